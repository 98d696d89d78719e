"""From an utterance's audio to its final transcript, retried with all of its audio."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from parley.aio.deadline import owed_deadline, pause
from parley.aio.replay_queue import ReplayQueue
from parley.aio.tasks import BackgroundClose, Tasks
from parley.errors import ProviderError
from parley.protocol.messages import AudioFormat, Endpointing
from parley.providers.errors import failure
from parley.providers.hedging import TakeLead, hedged
from parley.providers.retry import RetrySchedule
from parley.providers.stt import Transcriber, TranscriptPiece, TranscriptStream

UNHEARD_S = 5.0
"""A transcriber that is to find the end of the utterance by itself, and says nothing while so much
audio comes, has stalled, or the user is silent. A stall costs the turn, a second stream only money,
so it is opened in either case."""
_PAUSE_S = 2.0
"""Chunks come more often than that; what is more is a pause in the audio."""


class Unheard:
    """How long audio has flowed without a word. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._flowed_s = 0.0
        self._spoken_s: float | None = None

    def spoken(self, now_s: float) -> bool:
        """Audio came; whether it has flowed for too long."""
        if self._spoken_s is not None:
            self._flowed_s += min(now_s - self._spoken_s, _PAUSE_S)
        self._spoken_s = now_s
        return self._flowed_s >= UNHEARD_S

    def heard(self) -> None:
        """The transcriber said something."""
        self._flowed_s = 0.0


class SttStage:
    """Transcribes one utterance.

    Args:
        audio: what was said, as it arrives; closed at its end.
        timeout_s: how long the final transcript may take once it is asked for.
        hedge_after_s: how long until a second stream is opened beside a silent one.
        on_partial: told every transcript that is not final.
        closing: closes the streams.
    """

    def __init__(
        self,
        transcriber: Transcriber,
        audio: ReplayQueue[bytes],
        audio_format: AudioFormat,
        language: str,
        endpointing: Endpointing,
        *,
        timeout_s: float,
        hedge_after_s: float,
        on_partial: Callable[[TranscriptPiece], None],
        closing: BackgroundClose,
    ) -> None:
        self._transcriber = transcriber
        self._audio = audio
        self._format: AudioFormat = audio_format
        self._language = language
        self._endpointing: Endpointing = endpointing
        self._timeout_s = timeout_s
        self._hedge_after_s = hedge_after_s
        self._owed = asyncio.Event()
        self._due = asyncio.Event()
        """Set when a second stream is worth its price: it is owed, or the first seems to stall."""
        self._unheard = Unheard()
        self.hedges = 0
        self.begun = False
        """Whether the transcriber has understood anything."""
        self._on_partial = on_partial
        self._closing = closing
        self._schedule = RetrySchedule()
        self._last_error: ProviderError | None = None

    @property
    def retries(self) -> int:
        """How often the transcriber was tried again."""
        return self._schedule.retries + self.hedges

    async def transcript(self) -> str:
        """The final transcript, once `audio` has been closed or the transcriber heard the end.

        Raises:
            ProviderError: `transcription_failed`, after the retries.
        """
        try:
            async with (
                owed_deadline(self._owed, asyncio.Event(), self._timeout_s),
                Tasks() as tasks,
            ):
                tasks.start(self._wait_for_the_end())
                return await self._hear()
        except TimeoutError:
            cause = self._last_error.cause if self._last_error else None
            raise failure("transcription_failed", "timeout", cause=cause) from None

    async def _hear(self) -> str:
        while True:
            if not self._owed.is_set():
                self._due.clear()
                self._unheard = Unheard()
            try:
                return await hedged(self._attempt, self._due, self._hedge_after_s, self._on_hedge)
            except ProviderError as error:
                self._last_error = error
                delay = self._schedule.delay_after(error, owed=self._owed.is_set())
                if delay is None:
                    raise
                await pause(delay, self._owed)

    async def _wait_for_the_end(self) -> None:
        async for _ in self._audio:
            stalls = self._unheard.spoken(time.monotonic())
            if stalls and self._endpointing == "server_vad":
                self._due.set()
        self._owed.set()
        self._due.set()

    def _on_hedge(self) -> None:
        self.hedges += 1

    async def _attempt(self, claim: TakeLead) -> str:
        stream = await self._transcriber.open(self._format, self._language, self._endpointing)
        try:
            async with asyncio.timeout(None) as deadline:
                sending = asyncio.create_task(self._send(stream, deadline))
                try:
                    text = await self._receive(stream)
                    claim()
                    return text
                finally:
                    sending.cancel()
                    with contextlib.suppress(asyncio.CancelledError, ProviderError):
                        await sending
        except TimeoutError:
            raise failure("transcription_failed", "timeout") from None
        finally:
            self._closing.close(stream)

    async def _send(self, stream: TranscriptStream, deadline: asyncio.Timeout) -> None:
        async for audio in self._audio:
            await stream.send(audio)
        await stream.finish()
        deadline.reschedule(asyncio.get_running_loop().time() + self._timeout_s)

    async def _receive(self, stream: TranscriptStream) -> str:
        async for piece in stream.pieces():
            self.begun = True
            self._unheard.heard()
            if piece.final:
                return piece.text
            self._on_partial(piece)
        raise failure("transcription_failed", "unavailable")
