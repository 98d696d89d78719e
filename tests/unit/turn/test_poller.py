"""The inbox polled: which part of it is read, and what an outage of the table does to the time."""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from parley.audio.mulaw import decode_mulaw
from parley.errors import ParleyError
from parley.protocol.messages import MAX_CHUNKS
from parley.storage.inbox_entries import (
    ChunkEntry,
    EndEntry,
    InboxEntry,
    InterruptEntry,
    ResumeEntry,
)
from parley.turn.input import poller
from parley.turn.input.endpointing import (
    GAP_GIVE_UP_S,
    GAP_REPORT_S,
    GAP_WHILE_TALKING_S,
    EndpointDetector,
)
from parley.turn.input.poll_rhythm import PollRhythm
from parley.turn.input.poller import UNREADABLE_GIVE_UP_S, InboxPoller
from parley.turn.output.latency import TurnLatency
from parley.turn.stop import TurnStop

SILENCE_S = 8.0


class Watch:
    """An inbox, a clock that a test moves, and what is seen.

    Attributes:
        down: whether the table cannot be read.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        spoken: bool = True,
        decode: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.now_s = 100.0
        self.down = False
        self.inbox: list[InboxEntry] = []
        self.read_from: list[int] = []
        self.told: list[ParleyError] = []
        self.logged: list[str] = []
        clock = SimpleNamespace(monotonic=lambda: self.now_s)
        monkeypatch.setattr(poller, "time", clock)
        self.detector = EndpointDetector(SILENCE_S, self.now_s)
        self.stop = TurnStop()
        self.poller = InboxPoller(
            self._read,
            1,
            0,
            self.detector if spoken else None,
            TurnLatency(),
            decode=decode,
            rhythm=PollRhythm(self.now_s, listening=spoken),
            tell=self.told.append,
            moved=lambda _resume: None,
            stop=self.stop,
            log=self._log,
        )

    def _read(self, next_seq: int, _consistent: bool) -> list[InboxEntry]:
        if self.down:
            raise OSError
        self.read_from.append(next_seq)
        return [e for e in self.inbox if not isinstance(e, ChunkEntry) or e.seq >= next_seq]

    def _log(self, event: str, _fields: dict[str, Any]) -> None:
        self.logged.append(event)

    async def after(self, seconds: float) -> None:
        """Look, so much later."""
        self.now_s += seconds
        await self.poller.poll()


@pytest.fixture
async def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def chunk(seq: int) -> ChunkEntry:
    return ChunkEntry(seq, bytes(2 * seq))


async def test_silence_does_not_pass_while_the_inbox_cannot_be_read(watch: Watch) -> None:
    watch.inbox.append(chunk(1))
    await watch.after(0)
    await watch.after(SILENCE_S - 2)
    watch.down = True
    await watch.after(0.1)
    await watch.after(SILENCE_S)
    await watch.after(SILENCE_S)
    assert not watch.detector.over
    watch.down = False
    await watch.after(0.1)
    assert not watch.detector.over, "the client had no chance to be heard"
    watch.inbox.append(chunk(2))
    await watch.after(1)
    await watch.after(SILENCE_S - 0.1)
    assert not watch.detector.over
    await watch.after(0.2)
    assert watch.detector.over
    assert list(watch.poller.audio.items) == [chunk(1).audio, chunk(2).audio]
    assert watch.logged == ["inbox_unreadable", "inbox_readable_again"]


async def test_a_gap_is_not_given_up_while_the_inbox_cannot_be_read(watch: Watch) -> None:
    watch.inbox += [chunk(1), chunk(3), EndEntry(3, 0)]
    await watch.after(0)
    await watch.after(GAP_REPORT_S)
    watch.down = True
    await watch.after(0.1)
    watch.down = False
    await watch.after(2 * GAP_GIVE_UP_S)
    assert not watch.detector.over
    watch.inbox.append(chunk(2))
    await watch.after(0.5)
    assert watch.detector.over
    assert len(watch.poller.audio) == 3


async def test_a_gap_is_not_given_up_as_soon_as_its_client_is_back(watch: Watch) -> None:
    watch.inbox += [chunk(1), chunk(3), EndEntry(3, 0)]
    await watch.after(0)
    watch.inbox.append(ResumeEntry("again", "", 1, 0, resumed_at_ms=1))
    await watch.after(GAP_GIVE_UP_S - 0.5)
    await watch.after(1)
    assert not watch.detector.over
    await watch.after(GAP_GIVE_UP_S)
    assert watch.detector.over, "it came back once, and sent nothing"


async def test_an_inbox_that_stays_unreadable_ends_the_utterance(watch: Watch) -> None:
    watch.inbox.append(chunk(1))
    await watch.after(0)
    watch.down = True
    await watch.after(0.1)
    await watch.after(UNREADABLE_GIVE_UP_S)
    assert not watch.detector.over
    await watch.after(SILENCE_S)
    assert watch.detector.over
    assert watch.poller.audio.closed


async def test_what_is_behind_a_gap_is_not_read_with_every_poll(watch: Watch) -> None:
    watch.inbox += [chunk(1), chunk(3), chunk(4)]
    await watch.after(0)
    await watch.after(0)
    await watch.after(GAP_WHILE_TALKING_S)
    assert [error.missing for error in watch.told] == [[2]]
    for _ in range(3):
        await watch.after(0.025)
    assert watch.read_from == [1, 2, 2, 5, 5, 5]
    await watch.after(0.5)
    assert watch.read_from[-1] == 2


async def test_a_typed_turn_reads_none_of_the_audio_that_somebody_sent_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = Watch(monkeypatch, spoken=False)
    watch.inbox = [ChunkEntry(1, b"ab"), ChunkEntry(MAX_CHUNKS, b"cd"), InterruptEntry(5.0)]
    await watch.after(0.04)
    (first,) = watch.read_from
    assert first > MAX_CHUNKS
    assert watch.stop.interruption == InterruptEntry(5.0)


async def test_what_is_coded_is_handed_on_as_pcm(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch, decode=decode_mulaw)
    watch.inbox = [ChunkEntry(1, b"\xff\x80"), EndEntry(1, 0)]
    await watch.after(0)
    assert list(watch.poller.audio.items) == [struct.pack("<2h", 0, 32_124)]
    assert watch.poller.audio_bytes == 4
    assert watch.detector.over
