"""Reads a running turn's inbox, and hands on what it finds: audio, the end, an interruption."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from parley.aio.replay_queue import ReplayQueue
from parley.errors import ParleyError
from parley.protocol.messages import MAX_CHUNK_BYTES, MAX_CHUNKS
from parley.storage.inbox_entries import (
    AckEntry,
    BegunEntry,
    ChunkEntry,
    EndEntry,
    InboxEntry,
    InterruptEntry,
    ResumeEntry,
)
from parley.turn.input.endpointing import EndpointDetector
from parley.turn.output.latency import TurnLatency, monotonic_at
from parley.turn.stop import StopReason, TurnStop

LISTENING_POLL_S = 0.025
REPLYING_POLL_S = 0.04
UNREADABLE_POLL_S = 0.1
"""How often a table that failed is asked again."""
NO_AUDIO = MAX_CHUNKS + 1
"""A turn that is typed, or came whole, reads no chunks: whoever sent some would have it read all of
them again at every poll."""
UNREADABLE_GIVE_UP_S = 60.0
"""How long that ends no utterance; then silence and gaps last as ever."""


class InboxPoller:
    """Polls the inbox of one turn.

    Args:
        read: reads the inbox from a chunk's number on; blocking, run in a thread.
        attempt: which attempt at the turn this is.
        asked_ms: when it was asked for, in ms since the epoch.
        listening: of a spoken turn; None for a typed one.
        tell: takes what the client should be told.
        moved: told when the session has moved to another connection.
        stop: asked when there is an interruption, or a later attempt has begun.
        log: told about trouble; takes an event name and fields.
    """

    def __init__(
        self,
        read: Callable[[int], list[InboxEntry]],
        attempt: int,
        asked_ms: int,
        listening: EndpointDetector | None,
        timings: TurnLatency,
        *,
        tell: Callable[[ParleyError], None],
        moved: Callable[[ResumeEntry], None],
        stop: TurnStop,
        log: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._read = read
        self._attempt = attempt
        self._asked_ms = asked_ms
        self._listening = listening
        self._timings = timings
        self._tell = tell
        self._moved = moved
        self._stop = stop
        self._resumed_at_ms = 0
        self._log = log
        self._failed = 0
        self._failed_since_s = 0.0
        self._unreadable_s = 0.0
        """How long the outages were that are over."""
        self.acknowledged_seq = 0
        """Everything up to it has arrived, as the client says."""
        self.news = asyncio.Event()
        """Set when the client has acknowledged something or moved."""
        self.audio: ReplayQueue[bytes] = ReplayQueue()
        self.audio_bytes = 0
        """How much of it has been handed on."""

    def take_whole(self, audio: bytes) -> None:
        """All of the utterance is here already; the transcriber gets it in chunks."""
        self._hand_on(
            [audio[at : at + MAX_CHUNK_BYTES] for at in range(0, len(audio), MAX_CHUNK_BYTES)]
        )
        self.audio.close()

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await self.look()
            waiting = self._listening is not None and not self._listening.over
            pause = LISTENING_POLL_S if waiting else REPLYING_POLL_S
            await asyncio.sleep(UNREADABLE_POLL_S if self._failed else pause)

    async def look(self) -> None:
        """Read the inbox once; a table that fails is made up for by the next look."""
        next_seq = NO_AUDIO
        if self._listening is not None:
            next_seq = self._listening.read_from(self._listened_s())
        asked_s = time.monotonic()
        try:
            entries = await asyncio.to_thread(self._read, next_seq)
        except Exception as error:
            if not self._failed:  # once for each failure, however long it lasts
                self._log("inbox_unreadable", {"error": type(error).__name__})
                self._failed_since_s = asked_s
            self._failed += 1
            entries = []
        else:
            if self._failed:
                self._log("inbox_readable_again", {"failed_polls": self._failed})
                self._unreadable_s += self._unreadable_now_s()
            self._failed = 0
        for entry in entries:
            self._take(entry)
        self._let_time_pass()

    def _listened_s(self) -> float:
        """The time, on a clock that stands still while the inbox cannot be read: nobody could be
        heard then."""
        return time.monotonic() - self._unreadable_s - self._unreadable_now_s()

    def _unreadable_now_s(self) -> float:
        if not self._failed:
            return 0.0
        return min(time.monotonic() - self._failed_since_s, UNREADABLE_GIVE_UP_S)

    def heard_the_end(self) -> None:
        """The transcriber found the end of the utterance by itself."""
        if self._listening is not None:
            self._listening.stop()

    def _take(self, entry: InboxEntry) -> None:
        if isinstance(entry, InterruptEntry):
            if entry.stops(self._attempt, self._asked_ms):
                self._stop.request(StopReason.INTERRUPTED, entry)
        elif isinstance(entry, AckEntry):
            if entry.attempt == self._attempt and entry.seq > self.acknowledged_seq:
                self.acknowledged_seq = entry.seq
                self.news.set()
        elif isinstance(entry, BegunEntry):
            if entry.attempt > self._attempt:
                self._stop.request(StopReason.SUPERSEDED)
        elif isinstance(entry, ResumeEntry):
            if entry.resumed_at_ms > self._resumed_at_ms:
                self._resumed_at_ms = entry.resumed_at_ms
                self._moved(entry)
                if self._listening is not None:
                    self._listening.take_resume(self._listened_s())
                self.news.set()
        elif self._listening is None:
            return
        elif isinstance(entry, EndEntry):
            self._listening.take_end(entry, self._listened_s())
        else:
            assert isinstance(entry, ChunkEntry)
            self._hand_on(self._listening.take_chunk(entry, self._listened_s()))

    def _let_time_pass(self) -> None:
        if self._listening is None:
            return
        was_over = self._listening.over
        late_audio, errors = self._listening.update(self._listened_s())
        self._hand_on(late_audio)
        for error in errors:
            self._tell(error)
        if self._listening.over and not was_over:
            now = time.monotonic()
            end = self._listening.end
            zero = monotonic_at(end.received_at_ms) if end is not None else now
            self._timings.mark("received", zero)
            self._timings.mark("started", now)
            self.audio.close()

    def _hand_on(self, chunks: list[bytes]) -> None:
        for audio in chunks:
            self.audio_bytes += len(audio)
            self.audio.put(audio)
