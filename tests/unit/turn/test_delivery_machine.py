"""Whatever a connection loses, doubles or delays, and whenever a client comes back: it gets every
event of an attempt once, in order, and what was stored is what it may not have."""

from __future__ import annotations

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from parley.protocol.messages import (
    AnyServerEvent,
    Audio,
    Metrics,
    Received,
    ReplyText,
    TurnEnd,
    encode,
)
from parley.storage.item_codec import StoredFrame
from parley.turn.output.outbox import Numbered, Outbox
from parley.websocket.resume import _has_arrived


class Client:
    """Delivers each event once, in order: what docs/protocol.md asks of every client."""

    def __init__(self) -> None:
        self.delivered: list[Numbered] = []
        self._early: dict[int, Numbered] = {}

    @property
    def received(self) -> int:
        return len(self.delivered)

    def take(self, frame: bytes) -> None:
        event = msgspec.json.decode(frame, type=AnyServerEvent)
        assert isinstance(event, ReplyText | Audio | TurnEnd)
        if event.seq <= self.received:
            return
        self._early[event.seq] = event
        while (following := self._early.pop(self.received + 1, None)) is not None:
            self.delivered.append(following)


class Delivery(RuleBasedStateMachine):
    """One turn, one client, and connections that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox("t", "pcm_8000")
        self.client = Client()
        self.now = 0.0
        self.text = ""
        self.audio = b""
        self.ended = False
        self.connected = True
        self.flying: list[bytes] = []
        self.stored: list[StoredFrame] | None = None

    # --- the turn -------------------------------------------------------------------

    @precondition(lambda self: not self.ended)
    @rule(delta=st.text(alphabet="ab ", min_size=1, max_size=4))
    def think(self, delta: str) -> None:
        self.text += delta
        self.outbox.add_text(delta, self.now)

    @precondition(lambda self: not self.ended)
    @rule(samples=st.integers(1, 4_000))
    def speak(self, samples: int) -> None:
        pcm = bytes([len(self.audio) % 251, samples % 251]) * samples
        self.audio += pcm
        self.outbox.add_audio(pcm, [], self.now)

    @precondition(lambda self: not self.ended)
    @rule()
    def end(self) -> None:
        self.ended = True
        self.outbox.close_audio()
        self.outbox.add_end("completed", self.text, Metrics())

    @precondition(lambda self: self.stored is None)
    @rule(later_s=st.floats(0, 0.2))
    def post(self, later_s: float) -> None:
        self.now += later_s
        if self.connected and (event := self.outbox.take_next(self.now)) is not None:
            self.flying.append(encode(event))

    @precondition(lambda self: self.ended and self.stored is None)
    @rule()
    def give_up_waiting(self) -> None:
        while self.outbox.take_next(self.now, everything=True) is not None:
            pass
        self.stored = [
            StoredFrame("t", 1_000, 1, event.seq or 0, encode(event))
            for event in self.outbox.unacknowledged(0)
        ]

    # --- the connection ---------------------------------------------------------------

    @precondition(lambda self: self.flying)
    @rule(place=st.integers(0, 50), twice=st.booleans())
    def arrive(self, place: int, twice: bool) -> None:
        frame = self.flying[place % len(self.flying)]
        if not twice:
            self.flying.remove(frame)
        self.client.take(frame)

    @rule()
    def break_off(self) -> None:
        self.connected = False
        self.flying.clear()

    @rule()
    def come_back(self) -> None:
        self.connected = True
        if self.stored is None:
            self.flying = [encode(e) for e in self.outbox.unacknowledged(self.client.received)]
        else:
            received = Received("t", self.client.received)
            missed = [f for f in self.stored if not _has_arrived(f, received, 1_000)]
            self.flying = [frame.frame for frame in missed]

    @precondition(lambda self: self.stored is None)
    @rule()
    def acknowledge(self) -> None:
        self.outbox.acknowledge(self.client.received)

    # --- what always holds --------------------------------------------------------------

    @invariant()
    def each_once_in_order(self) -> None:
        assert [e.seq for e in self.client.delivered] == [*range(1, self.client.received + 1)]

    @invariant()
    def nothing_that_was_not_said(self) -> None:
        said = "".join(e.delta for e in self.client.delivered if isinstance(e, ReplyText))
        heard = b"".join(e.audio for e in self.client.delivered if isinstance(e, Audio))
        assert self.text.startswith(said)
        assert self.audio.startswith(heard)

    def teardown(self) -> None:
        """However it went, a client that comes back and stays gets all of it."""
        if not self.ended:
            self.end()
        self.come_back()
        for frame in self.flying:
            self.client.take(frame)
        while (event := self.outbox.take_next(self.now, everything=True)) is not None:
            self.client.take(encode(event))
        assert isinstance(self.client.delivered[-1], TurnEnd)
        said = "".join(e.delta for e in self.client.delivered if isinstance(e, ReplyText))
        heard = b"".join(e.audio for e in self.client.delivered if isinstance(e, Audio))
        assert (said, heard) == (self.text, self.audio)


Delivery.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestDelivery = Delivery.TestCase
