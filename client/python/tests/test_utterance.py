"""What a turn has said and may have to say again, against a network that loses it."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from parley_client.messages import ClientMessage
from parley_client.utterance import Utterance

WINDOW_S = 2.0


def kinds(messages: list[ClientMessage]) -> list[Any]:
    return [message.get("seq", message["type"]) for message in messages]


def say(utterance: Utterance, chunks: int, at_s: float = 0.0) -> None:
    utterance.sent(utterance.opening(), at_s)
    for _ in range(chunks):
        utterance.sent(utterance.add_chunk(b"\0\0"), at_s)


def test_what_was_never_sent_is_not_sent_again() -> None:
    utterance = Utterance.typed("t", "hello")
    assert utterance.again(0.0) == []


def test_a_typed_turn_is_sent_again_as_its_attempt() -> None:
    utterance = Utterance.typed("t", "hello")
    utterance.sent(utterance.opening(), 1.0)
    assert utterance.again(99.0) == [
        {"type": "user_message", "turn_id": "t", "text": "hello", "attempt": 1}
    ]


def test_of_speech_only_recent_chunks_are_sent_again() -> None:
    utterance = Utterance.spoken("t", "pcm_16000", "manual")
    say(utterance, 2, at_s=10.0)
    utterance.sent(utterance.add_chunk(b"\1\0"), 12.0)
    assert kinds(utterance.again(11.0)) == ["audio_start", 3]
    utterance.sent(utterance.end(), 12.5)
    assert kinds(utterance.again(11.0)) == ["audio_start", 3, "audio_end"]


def test_a_chunk_that_still_waits_to_be_sent_is_left_to_the_queue() -> None:
    utterance = Utterance.spoken("t", "pcm_16000", "manual")
    say(utterance, 1)
    utterance.add_chunk(b"\0\0")
    utterance.end()
    assert kinds(utterance.again(0.0)) == ["audio_start", 1]


def test_chunks_that_do_not_exist_cannot_be_missing() -> None:
    utterance = Utterance.spoken("t", "pcm_16000", "manual")
    say(utterance, 2)
    assert kinds(utterance.missing((0, 1, 2, 3))) == [1, 2]


def test_the_next_attempt_says_everything_and_forgets_the_interruption() -> None:
    utterance = Utterance.spoken("t", "pcm_16000", "manual")
    say(utterance, 2)
    utterance.interrupt(5)
    assert kinds(utterance.next_attempt(2)) == ["audio_start", 1, 2], "the user still speaks"
    utterance.complete = True
    assert kinds(utterance.next_attempt(2)) == ["audio_start", 1, 2, "audio_end"]
    assert utterance.opening()["attempt"] == 2
    assert not utterance.interrupted
    assert utterance.again(0.0) == []


class SpokenTurn(RuleBasedStateMachine):
    """A user speaks; connections come and go, each taking what was just sent with it."""

    def __init__(self) -> None:
        super().__init__()
        self.utterance = Utterance.spoken("t", "pcm_16000", "manual")
        self.now_s = 100.0
        self.connected = True
        self.broken = False
        self.spoken: list[bytes] = []
        self.ended = False
        self.queue: list[ClientMessage] = []
        self.arrived: dict[int, bytes] = {}
        self.started = False
        self.end: int | None = None
        self.post(self.utterance.opening())

    def post(self, message: ClientMessage) -> None:
        if self.connected:
            self.transmit(message)
        else:
            self.queue.append(message)

    def transmit(self, message: ClientMessage) -> None:
        self.utterance.sent(message, self.now_s)
        if self.broken:
            return  # swallowed by a connection whose end nobody has noticed
        match message["type"]:
            case "audio_start":
                self.started = True
            case "audio_chunk":
                assert isinstance(message["seq"], int)
                self.arrived[message["seq"]] = base64.b64decode(str(message["audio"]))
            case "audio_end":
                assert isinstance(message["chunks"], int)
                self.end = message["chunks"]

    @rule(passed_s=st.floats(0.05, 3.0))
    def time_passes(self, passed_s: float) -> None:
        self.now_s += passed_s

    @precondition(lambda self: not self.ended)
    @rule(pcm=st.binary(min_size=2, max_size=4))
    def a_chunk_is_spoken(self, pcm: bytes) -> None:
        self.spoken.append(pcm)
        self.post(self.utterance.add_chunk(pcm))

    @precondition(lambda self: not self.ended)
    @rule()
    def the_user_has_finished(self) -> None:
        self.ended = True
        self.post(self.utterance.end())

    @precondition(lambda self: self.connected and not self.broken)
    @rule()
    def the_network_breaks(self) -> None:
        self.broken = True

    @precondition(lambda self: self.connected)
    @rule()
    def the_loss_is_noticed(self) -> None:
        self.connected = False

    @precondition(lambda self: not self.connected)
    @rule()
    def the_client_is_back(self) -> None:
        self.connected, self.broken = True, False
        for message in self.utterance.again(self.now_s - WINDOW_S):
            self.transmit(message)
        for message in self.queue:
            self.transmit(message)
        self.queue.clear()

    @invariant()
    def no_chunk_is_ever_changed(self) -> None:
        assert all(self.spoken[seq - 1] == pcm for seq, pcm in self.arrived.items())

    def teardown(self) -> None:
        if not self.ended:
            self.the_user_has_finished()
        if self.connected:
            self.the_loss_is_noticed()
        self.the_client_is_back()
        assert self.started
        assert self.end == len(self.spoken)
        gap = tuple(seq for seq in range(1, self.end + 1) if seq not in self.arrived)
        for message in self.utterance.missing(gap):
            self.transmit(message)
        assert [self.arrived[seq] for seq in range(1, self.end + 1)] == self.spoken


TestSpokenTurn = SpokenTurn.TestCase
TestSpokenTurn.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
