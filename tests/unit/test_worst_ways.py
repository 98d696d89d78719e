"""The cheapest ways to cost the most, gone one by one: each uses what the price list supposes.

Through the functions' own code, over a table whose units are counted as DynamoDB bills them.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from benchmarks.worst_case import REFUSE_S, REQUEST_S, WAYS
from parley.audio.captions import Sound, split_cues
from parley.audio.heard import split_heard
from parley.auth.identity import Identity
from parley.clock import now_ms
from parley.config import DEFAULT_SETTINGS, Deployment
from parley.errors import ParleyError
from parley.http.framework import MAX_BODY_BYTES, HttpRequest
from parley.http.sessions import SessionHandlers
from parley.http.turns import TurnHandlers
from parley.ids import token_hash
from parley.limits.connection_lease import Shards, lease_name
from parley.limits.connection_slots import ConnectionSlots
from parley.limits.request_rates import RequestRates
from parley.limits.rules import LimitRules, Share
from parley.limits.turn_quota import Admission, Meter
from parley.principal import ANONYMOUS, Principal, SessionRef
from parley.protocol.messages import Message, Metrics, Settings, TurnEnd, Word
from parley.protocol.turn_request import TurnRequest
from parley.sessions.erasure import Erasure
from parley.sessions.settings_policy import SettingsPolicy
from parley.storage.history_cache import HistoryCache
from parley.storage.inbox_entries import AckEntry, InterruptEntry
from parley.storage.item_codec import Session, number
from parley.storage.session_reader import SessionReader
from parley.storage.sessions import SessionStore
from parley.storage.turns import TurnStore
from parley.turn.context import TurnServices
from parley.turn.start import run_turn
from parley.websocket.arrival import Envelope
from parley.websocket.message_handler import MessageHandler
from tests.unit.billed import BilledClient
from tests.unit.fakes import FakeResponder, FakeSynthesizer, FakeTranscriber, Wire
from tests.wav_files import chunk, fmt, riff

_names = itertools.count()
ENDPOINT = "https://abcdefghij.execute-api.eu-central-1.amazonaws.com/dev"
ID = "x" * 64
"""The longest name that a client may give."""
CHARS = "漢"
"""A sign of three bytes. One of four costs a reply more, and no synthesizer speaks it."""
FULL_MS = 3_600_000
"""A bucket that is full again in an hour is empty."""
TAKEN_FROM_MS = 15_000
"""A bucket of 20 s that is full again then has room for one more, and is not full soon."""


class Somebody:
    """A user who does what costs the most, through the functions' insides.

    Attributes:
        posts: what was posted to the client.
    """

    def __init__(self, client: Any, principal: Principal) -> None:
        self.billed = BilledClient(client)
        self.principal = principal
        self.rules = LimitRules()
        table = self.table = self.billed.table
        self.store, self.turns = SessionStore(table), TurnStore(table)
        self.requests = RequestRates(table, self.rules)
        self.posts: list[bytes] = []
        self.asked: list[TurnRequest] = []
        self.connection_id = f"L0SM9cOFvHcCIhw{next(_names)}="
        self.session = Session(
            ref=principal.session("01HGCZ7A9V3QK5W8XN2M4R6T0B"),
            token_hash=token_hash("token"),
            connection_id=self.connection_id,
            settings=Settings(style=CHARS * 1_000, voice="v" * 64, language="en"),
            status="active",
            endpoint=ENDPOINT,
            previous_hash=token_hash("before"),
            connected_at_ms=now_ms(),
        )
        self.ref = self.session.ref
        self.store.put_session(self.session)
        self.store.connections.add(self.connection_id, principal)
        self.store.connections.bind(self.connection_id, self.ref, "m")
        self.messages = MessageHandler(
            self.store,
            self.turns,
            self,
            self.asked.append,
            policy=SettingsPolicy(DEFAULT_SETTINGS),
            history_messages=40,
            limits=self.rules,
            requests=self.requests,
        )
        self.say("ping", sent_at=1, turn_id="warm")  # the environment knows the connection now
        self.http = TurnHandlers(
            self.store,
            self.turns,
            self._never,
            SettingsPolicy(DEFAULT_SETTINGS),
            admit_turn=self._admit,
            requests=self.requests,
        )
        archive, erasure = SessionReader(table), Erasure(self.store, self.turns, None)
        self.sessions = SessionHandlers(self.store, archive, erasure, None, self.requests)

    # --- what the functions work with ---------------------------------------------

    def post(self, endpoint: str, connection_id: str, frame: bytes) -> None:
        self.posts.append(frame)

    def close(self, endpoint: str, connection_id: str) -> None:
        raise AssertionError("nothing here is so bad")

    def _admit(self, ref: SessionRef, spoken: bool) -> Admission:
        return asyncio.run(Meter(self.table, self.rules).admit_turn(ref, spoken=spoken))

    def _never(self, request: TurnRequest, admission: Admission) -> None:
        raise AssertionError("it is refused")

    # --- what is done ---------------------------------------------------------------

    def say(self, kind: str, **fields: Any) -> None:
        """Send a message, when the session has not been looked for lately."""
        for binding in self.messages._binding._bindings.values():
            binding.seen_s = time.time()
        envelope = Envelope(self.connection_id, ENDPOINT, now_ms())
        error = self.messages.handle(envelope, json.dumps({"type": kind, **fields}))
        assert error is None, error

    def request(
        self, handler: Callable[[HttpRequest, Identity], Any], token: str, **body: Any
    ) -> str:
        """Make a request; what it is refused with, or nothing."""
        headers = {"content-type": "application/json"}
        if token:
            headers["x-resume-token"] = token
        request = HttpRequest(
            "GET",
            "",
            parameters={"session_id": self.session.session_id, "turn_id": ID},
            headers=headers,
            body=json.dumps(body).encode(),
            received_at_ms=now_ms(),
        )
        try:
            handler(request, Identity(self.principal))
        except ParleyError as refused:
            return refused.code
        return ""

    def run(self, request: TurnRequest) -> TurnEnd:
        """Start a turn's function."""
        wire = Wire()

        def acknowledge(event: Any) -> None:
            if isinstance(event, TurnEnd):
                entry = AckEntry(event.attempt, event.seq)
                self.turns.inboxes.put_ack(self.ref, request.turn_id, entry)

        wire.on_event = acknowledge
        services = TurnServices(
            self.store,
            self.turns,
            HistoryCache(self.store, 40),
            FakeTranscriber(),
            FakeResponder(),
            FakeSynthesizer(),
            Deployment(table="table"),
            lambda event, fields: None,
            meter=Meter(self.table, self.rules),
        )
        work = run_turn(request, services, wire.post, "o" * 36, remaining_s=lambda: 60, cold=False)
        asyncio.run(work)
        self.posts += wire.frames
        return wire.end

    def turn(self, text: str = "Hello.") -> TurnRequest:
        """A turn that is asked for."""
        return TurnRequest(self.ref, ID, self.connection_id, ENDPOINT, now_ms(), text, attempt=1)

    # --- how things are ---------------------------------------------------------------

    def empty(self, *buckets: str, tenant: bool = False) -> None:
        """These buckets of the user, or of the tenant, have nothing left."""
        key = self.principal.key.partition("/")[0] if tenant else self.principal.key
        if self.principal == ANONYMOUS:
            key = "default"
        for bucket in buckets:
            full_at = number(now_ms() + FULL_MS)
            item = {"pk": {"S": f"LIMIT#{key}"}, "sk": {"S": bucket}, "full_at": full_at}
            self.table.put({**item, "expires_at": number(9_999_999_999)})

    def in_use(self, *buckets: str) -> None:
        """These buckets of the user have been taken from: the first try to take finds that out."""
        for bucket in buckets:
            key = {"pk": {"S": f"LIMIT#{self.principal.key}"}, "sk": {"S": bucket}}
            full_at = number(now_ms() + TAKEN_FROM_MS)
            self.table.put({**key, "full_at": full_at, "taken_by": {"S": "n" * 32}})

    def longest_reply(self) -> None:
        """The reply to the turn is as long as it may be, and has ended."""
        words = [
            Word(CHARS * 5, at * 300, at * 300 + 280) for at in range(self.rules.reply_chars // 5)
        ]
        said = "".join(word.text for word in words)
        sound = Sound(now_ms(), words[-1].end_ms, split_cues(said, words))
        begun = self.turns.acquire_lease(self.ref, ID, "o" * 36, attempt=1, received_at_ms=now_ms())
        assert begun is not None
        message = Message("assistant", said, ID)
        key = self.store.put_message(self.ref, begun.started_ms, message, Metrics(), sound)
        self.turns.finish_turn(
            self.ref,
            ID,
            "o" * 36,
            reason="completed",
            message_key=key,
            parts=split_heard(said, words),
        )


Going = Callable[[Somebody], Callable[[], object]]
"""Prepares a way; returns what goes it."""
GOING: dict[tuple[str, str], Going] = {}


def way(row: str, name: str) -> Callable[[Going], Going]:
    """Whatever is decorated goes this way."""

    def add(going: Going) -> Going:
        GOING[row, name] = going
        return going

    return add


@way("messages", "a ping")
def _ping(who: Somebody) -> Callable[[], object]:
    return lambda: who.say("ping", sent_at=1)


@way("messages", "an acknowledgement of no turn")
def _acknowledge(who: Somebody) -> Callable[[], object]:
    return lambda: who.say("ack", turn_id=ID, seq=1_000_000, attempt=100)


@way("messages", "settings of the greatest size")
def _configure(who: Somebody) -> Callable[[], object]:
    return lambda: who.say("config", settings={"speed": 0.9123456789})


@way("handshakes", "one that is accepted, and its end")
def _handshake(who: Somebody) -> Callable[[], object]:
    connections = who.store.connections
    slots = ConnectionSlots(who.table, connections, LimitRules(Share(10), Share(100)))
    signed = Settings(style=CHARS * 1_000, voice="v" * 64, language="en", speed=0.9123456789)

    def come_and_go() -> None:
        connected_at_ms = now_ms()
        taken = slots.take_slots(who.principal, "c", connected_at_ms)
        connections.add("c", who.principal, connected_at_ms, taken, signed)
        connection = connections.remove("c")
        assert connection is not None
        slots.return_slots("c", connection)

    return come_and_go


@way("chunks of no turn", "the largest chunk")
def _chunk(who: Somebody) -> Callable[[], object]:
    audio = base64.b64encode(bytes(20_480)).decode()
    return lambda: who.say("audio_chunk", turn_id=ID, seq=1, audio=audio)


@way("turns that are refused", "a turn that its tenant has no room for")
def _refused_turn(who: Somebody) -> Callable[[], object]:
    who.in_use("USAGE")
    who.empty("USAGE", tenant=True)
    return lambda: expect(who.run(who.turn()).code, "rate_limited")


@way("turns that are stopped before they begin", "the longest message, interrupted")
def _stopped_turn(who: Somebody) -> Callable[[], object]:
    who.in_use("USAGE")
    who.turns.inboxes.put_interrupt(who.ref, ID, InterruptEntry(0, now_ms()))
    turn = who.turn("\N{GRINNING FACE}" * 8_000)
    late = msgspec.structs.replace(turn, received_at_ms=turn.received_at_ms - 1_000)
    return lambda: expect(who.run(late).reason, "interrupted")


@way("interruptions", "of no turn")
def _interrupt(who: Somebody) -> Callable[[], object]:
    return lambda: who.say("interrupt", turn_id=ID, played_ms=0)


@way("interruptions", "of the longest reply")
def _interrupt_reply(who: Somebody) -> Callable[[], object]:
    who.longest_reply()
    return lambda: who.say("interrupt", turn_id=ID, played_ms=86_000_000)


@way("questions after turns", "after one that never came")
def _ask(who: Somebody) -> Callable[[], object]:
    return lambda: who.say("ping", sent_at=1, turn_id=ID)


@way("questions after turns", "after one that runs")
def _ask_running(who: Somebody) -> Callable[[], object]:
    who.turns.acquire_lease(who.ref, ID, "o" * 36, attempt=1, received_at_ms=now_ms())
    return lambda: who.say("ping", sent_at=1, turn_id=ID)


@way("interruptions over HTTP", "of no turn")
def _http_interrupt(who: Somebody) -> Callable[[], object]:
    who.in_use("INTERRUPTS")
    return lambda: expect(who.request(who.http.interrupt_turn, "token", played_ms=0), "")


@way("interruptions over HTTP", "of the longest reply")
def _http_interrupt_reply(who: Somebody) -> Callable[[], object]:
    who.longest_reply()
    who.in_use("INTERRUPTS")
    return lambda: expect(who.request(who.http.interrupt_turn, "token", played_ms=86_000_000), "")


@way("requests over HTTP that are refused", "a first turn")
def _http_first_turn(who: Somebody) -> Callable[[], object]:
    who.empty("USAGE")
    return lambda: expect(who.request(who.http.run_turn, "", text="Hello."), "rate_limited")


@way("requests over HTTP that are refused", "a turn of a session")
def _http_turn(who: Somebody) -> Callable[[], object]:
    who.empty("USAGE", "READS")
    who.longest_reply()
    about = {"session_id": who.session.session_id, "turn_id": ID, "attempt": 2}
    return lambda: expect(
        who.request(who.http.run_turn, "token", text="Hello.", **about), "rate_limited"
    )


@way("requests over HTTP that are refused", "an interruption")
def _http_interrupt_refused(who: Somebody) -> Callable[[], object]:
    who.empty("INTERRUPTS")
    return lambda: expect(
        who.request(who.http.interrupt_turn, "token", played_ms=0), "rate_limited"
    )


@way("requests over HTTP that are refused", "the longest body")
def _longest_body(who: Somebody) -> Callable[[], object]:
    def refuse_them() -> None:
        for request in longest_bodies():
            with pytest.raises(ParleyError):
                who.http.run_turn(request, Identity(who.principal))

    return refuse_them


def longest_bodies() -> list[HttpRequest]:
    """Those that take longest to read, of each kind."""
    empty = riff(fmt(16_000), *[chunk(b"junk", b"")] * (MAX_BODY_BYTES // 8 - 10))
    words = json.dumps({"text": [CHARS] * (MAX_BODY_BYTES // 12)}).encode()
    return [
        HttpRequest("POST", "POST /turns", headers={"content-type": kind}, body=body)
        for kind, body in [("audio/wav", empty), ("application/json", words)]
    ]


@way("requests over HTTP that are refused", "a transcript")
def _transcript(who: Somebody) -> Callable[[], object]:
    who.empty("READS")
    return lambda: expect(who.request(who.sessions.read_session, "token"), "rate_limited")


@way("requests over HTTP that are refused", "a transcript without a token")
def _transcript_without(who: Somebody) -> Callable[[], object]:
    return lambda: expect(who.request(who.sessions.read_session, ""), "unauthorized")


@way("requests over HTTP that are refused", "a transcript with a token that is made up")
def _transcript_made_up(who: Somebody) -> Callable[[], object]:
    return lambda: expect(who.request(who.sessions.read_session, "made up"), "resume_denied")


@way("requests over HTTP that are refused", "an interruption with a token that is made up")
def _interrupt_made_up(who: Somebody) -> Callable[[], object]:
    return lambda: expect(
        who.request(who.http.interrupt_turn, "made up", played_ms=0), "resume_denied"
    )


def expect(found: object, wanted: object) -> None:
    """The way leads where it is thought to."""
    assert found == wanted


NOBODY_KNOWN = ("a transcript without a token", "a transcript with a token that is made up")


@pytest.mark.parametrize(
    ("row", "name"), [(row, name) for row, ways in WAYS.items() for name in ways], ids=str
)
def test_a_way_uses_what_the_price_list_supposes(row: str, name: str, moto_client: Any) -> None:
    nobody = name in NOBODY_KNOWN
    who = Somebody(moto_client, ANONYMOUS if nobody else Principal(f"tenant{next(_names)}", "ann"))
    go = GOING[row, name](who)
    who.billed.bill.clear()
    who.posts.clear()
    go()
    bill, supposed = who.billed.bill, WAYS[row][name]
    history = 1 if supposed.history else 0  # here it is short
    used = f"it uses {bill}, and posts {len(who.posts)}"
    assert (bill.writes, len(who.posts)) == (supposed.writes, supposed.posts), used
    # A turn looks into its inbox until it has been acknowledged.
    polls = 2 if supposed.history else 0
    assert supposed.reads - polls <= bill.reads - history <= supposed.reads, used


READ: Mapping[str, Callable[[bytes], object]] = {
    "audio/wav": lambda body: hashlib.sha256(body).digest(),
    "application/json": json.loads,
}
"""To look at each byte of a body once, as the standard library does it."""


def test_the_longest_body_is_refused_within_the_time_that_is_supposed(moto_client: Any) -> None:
    who = Somebody(moto_client, Principal(f"tenant{next(_names)}", "ann"))
    for request in longest_bodies():
        kind, body = request.headers["content-type"], request.body
        read_s = min(thread_s(functools.partial(READ[kind], body)) for _ in range(5))
        refused_s = min(thread_s(functools.partial(refuse, who, request)) for _ in range(5))
        assert refused_s < 2.5 * read_s, kind
        # A busy machine may have half of the speed that is supposed.
        assert refused_s < 2 * (REQUEST_S + REFUSE_S), kind


def refuse(who: Somebody, request: HttpRequest) -> None:
    with pytest.raises(ParleyError):
        who.http.run_turn(request, Identity(who.principal))


def thread_s(act: Callable[[], object]) -> float:
    """This thread's share of the processor, which other work makes longer and never shorter."""
    began_s = time.thread_time()
    act()
    return time.thread_time() - began_s


def test_every_way_is_gone() -> None:
    assert set(GOING) == {(row, name) for row, ways in WAYS.items() for name in ways}


@pytest.mark.parametrize(("most", "units"), [(30, 1), (100, 4), (360, 12), (420, 12)])
def test_a_handshake_that_is_refused_costs_a_unit_for_each_place_that_it_tries(
    moto_client: Any, most: int, units: int
) -> None:
    billed = BilledClient(moto_client)
    crowd = Principal(f"tenant{next(_names)}", "")
    connections = SessionStore(billed.table).connections
    slots = ConnectionSlots(billed.table, connections, LimitRules(Share(), Share(most)))
    shards = Shards(most)
    for shard in range(shards.count):  # all are taken, by connections of this moment
        leases = [lease_name(f"c{shard}-{n}", now_ms()) for n in range(shards.capacity(shard))]
        key = {"pk": {"S": f"LIMIT#{crowd.tenant}"}, "sk": {"S": f"CONNECTIONS#{shard:03d}"}}
        billed.table.put({**key, "leases": {"SS": leases}})
    billed.bill.clear()
    with pytest.raises(ParleyError):
        slots.take_slots(crowd, "one too many", now_ms())
    assert (billed.bill.writes, billed.bill.reads) == (units, 0)
