"""Read a running turn's inbox, and hand on what it holds: audio, its end, an interruption."""

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
    PauseEntry,
    ResumeEntry,
)
from parley.turn.input.endpointing import EndpointDetector
from parley.turn.input.poll_rhythm import PollRhythm
from parley.turn.output.latency import TurnLatency, monotonic_at
from parley.turn.stop import StopReason, TurnStop

UNREADABLE_POLL_S = 0.1
"""How often a table that failed is asked again."""
NO_AUDIO = MAX_CHUNKS + 1
"""A turn that is typed, or came whole, reads no chunks: a client that sent some would have it read
all of them again at every poll."""
UNREADABLE_GIVE_UP_S = 60.0
"""For so long no time passes in an utterance while its inbox cannot be read."""


class InboxPoller:
    """Poll the inbox of one turn.

    Args:
        read: reads the inbox from a chunk's number on, consistently or not; blocking, run in a
            thread.
        decode: makes PCM of a chunk.
        attempt: which attempt at the turn this is.
        asked_ms: when it was asked for, in ms since the epoch.
        detector: of a spoken turn; None for a typed one.
        rhythm: says when it is read again.
        tell: takes what the client should be told.
        moved: told when the session has moved to another connection.
        stop: asked when there is an interruption, or a later attempt has begun.
        log: told about trouble; takes an event name and fields.
    """

    def __init__(
        self,
        read: Callable[[int, bool], list[InboxEntry]],
        attempt: int,
        asked_ms: int,
        detector: EndpointDetector | None,
        latency: TurnLatency,
        *,
        decode: Callable[[bytes], bytes] = bytes,
        rhythm: PollRhythm,
        tell: Callable[[ParleyError], None],
        moved: Callable[[ResumeEntry], None],
        stop: TurnStop,
        log: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._read = read
        self._attempt = attempt
        self._asked_ms = asked_ms
        self._detector = detector
        self._latency = latency
        self._decode = decode
        self._rhythm = rhythm
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
        self.client_news = asyncio.Event()
        """Set when the client has acknowledged something or moved."""
        self.audio: ReplayQueue[bytes] = ReplayQueue()
        self.audio_bytes = 0
        """How much of it has been handed on."""
        self.on_utterance: Callable[[], None] = lambda: None
        """Called when the user may have paused, gone on, or finished."""
        self._pause: PauseEntry | None = None

    @property
    def pause(self) -> PauseEntry | None:
        """The newest pause, once everything is here that was said before it, or its end."""
        pause, detector = self._pause, self._detector
        if pause is None or detector is None:
            return None
        return pause if pause.is_over or detector.has(pause.chunks) else None

    @property
    def end(self) -> EndEntry | None:
        """What the client has said of the end of the utterance."""
        return self._detector.end if self._detector is not None else None

    def take_utterance(self, audio: bytes) -> None:
        """Take an utterance that is here as a whole; the transcriber gets it in chunks."""
        self._hand_on(
            [audio[at : at + MAX_CHUNK_BYTES] for at in range(0, len(audio), MAX_CHUNK_BYTES)]
        )
        self.audio.close()

    async def run(self) -> None:
        """Poll until cancelled."""
        consistent = True
        while True:
            await self.poll(consistent=consistent)
            then = self._rhythm.next_read(time.monotonic())
            consistent = then.consistent
            await asyncio.sleep(UNREADABLE_POLL_S if self._failed else then.after_s)

    async def poll(self, *, consistent: bool = True) -> None:
        """Read the inbox once; the next poll makes up for a table that fails.

        Args:
            consistent: whether to find all that has been written before. What a turn decides
                because something has not come needs that.
        """
        next_seq = NO_AUDIO
        if self._detector is not None:
            next_seq = self._detector.first_seq_to_read(self._utterance_s())
        asked_s = time.monotonic()
        try:
            entries = await asyncio.to_thread(self._read, next_seq, consistent)
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
        before = self._utterance_state
        for entry in entries:
            self._take(entry)
        self._let_time_pass()
        if self._utterance_state != before:
            self.on_utterance()

    @property
    def _utterance_state(self) -> tuple[PauseEntry | None, EndEntry | None, bool]:
        return self.pause, self.end, self.audio.closed

    def _utterance_s(self) -> float:
        """Return the time on a clock that stands still while the inbox cannot be read.

        Nobody can be heard then, so no silence may pass.
        """
        return time.monotonic() - self._unreadable_s - self._unreadable_now_s()

    def _unreadable_now_s(self) -> float:
        """Return how long the outage has lasted that is not over."""
        if not self._failed:
            return 0.0
        return min(time.monotonic() - self._failed_since_s, UNREADABLE_GIVE_UP_S)

    def end_utterance(self) -> None:
        """End the utterance: what was said is known, whatever of its audio is still to come."""
        if self._detector is not None:
            if self._detector.end is not None:
                self._mark_end(self._detector.end)
            self._detector.end_utterance()
            self._rhythm.note_over()

    def expect_ack(self) -> None:
        """Look for the client's acknowledgement: all has been posted."""
        self._rhythm.expect_ack()

    def _mark_end(self, end: EndEntry | None) -> None:
        now = time.monotonic()
        # Without `audio_end`, the end is when silence has told it: nobody else has dated it.
        zero = monotonic_at(end.received_at_ms) if end is not None else now
        self._latency.mark("received", zero)
        self._latency.mark("started", now)

    def _take(self, entry: InboxEntry) -> None:
        if isinstance(entry, InterruptEntry):
            # One that was meant for an earlier attempt stays in the inbox.
            if entry.stops(self._attempt, self._asked_ms):
                self._stop.request(StopReason.INTERRUPTED, entry)
        elif isinstance(entry, AckEntry):
            # Acks overtake each other, and those of an earlier attempt mean other events.
            if entry.attempt == self._attempt and entry.seq > self.acknowledged_seq:
                self.acknowledged_seq = entry.seq
                self.client_news.set()
        elif isinstance(entry, BegunEntry):
            if entry.attempt > self._attempt:  # nobody waits for this one any more
                self._stop.request(StopReason.SUPERSEDED)
        elif isinstance(entry, ResumeEntry):
            if entry.resumed_at_ms > self._resumed_at_ms:
                self._resumed_at_ms = entry.resumed_at_ms
                self._moved(entry)  # before anybody who waits for news looks where the client is
                if self._detector is not None:
                    self._detector.note_resume(self._utterance_s())
                self.client_news.set()
        elif self._detector is None:  # audio that somebody sent for a typed turn
            return
        elif isinstance(entry, PauseEntry):
            self._pause = entry
            self._rhythm.note_pause(is_over=entry.is_over)
        elif isinstance(entry, EndEntry):
            self._detector.note_end(entry, self._utterance_s())
            self._rhythm.note_end()
        else:
            assert isinstance(entry, ChunkEntry)
            chunk = ChunkEntry(entry.seq, self._decode(entry.audio))
            self._rhythm.note_chunk(chunk.seq, len(chunk.audio), time.monotonic())
            self._hand_on(self._detector.add_chunk(chunk, self._utterance_s()))

    def _let_time_pass(self) -> None:
        if self._detector is None:
            return
        was_over = self._detector.over
        late_audio, errors = self._detector.advance(self._utterance_s())
        self._hand_on(late_audio)
        for error in errors:
            self._tell(error)
        if self._detector.over and not was_over:
            self._mark_end(self._detector.end)
            self._rhythm.note_over()
            self.audio.close()

    def _hand_on(self, chunks: list[bytes]) -> None:
        for audio in chunks:
            self.audio_bytes += len(audio)
            self.audio.put(audio)
