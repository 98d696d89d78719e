"""Speech to text: from an utterance's audio to its final transcript.

An attempt that fails is repeated with all of the audio, also by another transcriber.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from parley.aio.replay_queue import ReplayQueue
from parley.aio.tasks import BackgroundClose, Tasks
from parley.errors import ProviderError
from parley.protocol.messages import AudioFormat, Endpointing
from parley.providers.call import ProviderCall, StreamDeadline, exchange
from parley.providers.candidates import Candidate, Candidates
from parley.providers.errors import make_failure
from parley.providers.hedging import TakeLead
from parley.providers.stt import Transcriber, TranscriptPiece, TranscriptStream

UNHEARD_S = 5.0
"""A transcriber that is to find the end of the utterance by itself, and says nothing while so much
audio comes, has stalled, or the user is silent. A stall costs the turn, a second stream only money,
so it is opened in either case."""
_PAUSE_S = 2.0
"""Chunks come more often than that; what is more is a pause in the audio."""


class Unheard:
    """Measures how long audio has flowed without a word, in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._flowed_s = 0.0
        self._spoken_s: float | None = None

    def note_audio(self, now_s: float) -> bool:
        """Note that audio came; return whether it has flowed for too long."""
        if self._spoken_s is not None:
            self._flowed_s += min(now_s - self._spoken_s, _PAUSE_S)
        self._spoken_s = now_s
        return self._flowed_s >= UNHEARD_S

    def note_words(self) -> None:
        """Note that the transcriber said something."""
        self._flowed_s = 0.0


@dataclass(slots=True, eq=False)
class _Listener:
    """A stream that hears the utterance.

    Attributes:
        sent: how many chunks it has been sent.
        asked: the pauses that it has yet to confirm, in order.
    """

    stream: TranscriptStream
    sent: int = 0
    asked: deque[int] = field(default_factory=deque)


class SttStage:
    """Transcribes one utterance.

    Args:
        audio: what was said, as it arrives; closed at its end.
        transcribers: who may be asked.
        timeout_s: how long the final transcript may take once it is owed.
        hedge_after_s: how long until a second stream is opened in parallel to a silent one.
        on_partial: gets every transcript that is not final.
        on_confirmed: gets the transcript of what was said before a pause, by the pause's number.
        on_failover: told why the first transcriber failed when another one takes over.
        background: closes the streams.

    Attributes:
        language: what was heard, as the transcriber spells it; empty if it does not say.
    """

    def __init__(
        self,
        transcribers: Candidates[Transcriber],
        audio: ReplayQueue[bytes],
        audio_format: AudioFormat,
        language: str,
        endpointing: Endpointing,
        *,
        timeout_s: float,
        hedge_after_s: float,
        on_partial: Callable[[TranscriptPiece], None],
        on_failover: Callable[[ProviderError], None],
        background: BackgroundClose,
        on_confirmed: Callable[[int, TranscriptPiece], None] = lambda pause, piece: None,
    ) -> None:
        self._listeners: list[_Listener] = []
        self._on_confirmed = on_confirmed
        self._audio = audio
        self._format: AudioFormat = audio_format
        self._language = language
        self._endpointing: Endpointing = endpointing
        self._on_partial = on_partial
        self._background = background
        self._unheard = Unheard()
        self.language = ""
        self._call = ProviderCall(
            "transcription_failed",
            transcribers,
            timeout_s=timeout_s,
            hedge_after_s=hedge_after_s,
            whole=True,
            # A second stream may be worth its price before the transcript is owed: the first one
            # may have stalled while the user still talks.
            due=asyncio.Event(),
            on_failover=on_failover,
        )

    @property
    def retries(self) -> int:
        """How often the transcriber was asked again."""
        return self._call.retries

    @property
    def failed_over(self) -> bool:
        """Whether another transcriber than the first one understood."""
        return self._call.failed_over

    async def transcribe(self) -> str:
        """Return the final transcript, once `audio` is closed or the transcriber heard the end.

        Raises:
            ProviderError: `transcription_failed`, after the retries.
        """
        async with Tasks() as tasks:
            tasks.start(self._watch_audio())
            return await self._call.run(self._attempt, prepare=self._prepare)

    async def confirm(self, pause: int, chunks: int) -> None:
        """Ask what was said before a pause. No answer may come.

        Args:
            chunks: how many chunks it is in.
        """
        for listener in tuple(self._listeners):
            # One that has yet to be sent some of it would answer without that.
            if listener.sent < min(chunks, len(self._audio)):
                continue
            listener.asked.append(pause)  # first: the answer may be quick
            taken = False
            with contextlib.suppress(ProviderError):  # who receives from it finds that as well
                taken = await listener.stream.flush()
            if not taken and pause in listener.asked:
                listener.asked.remove(pause)

    def _prepare(self) -> None:
        if not self._call.owed.is_set():
            self._call.due.clear()
            self._unheard = Unheard()

    async def _watch_audio(self) -> None:
        async for _ in self._audio:
            stalls = self._unheard.note_audio(time.monotonic())
            if stalls and self._endpointing == "server_vad":
                self._call.due.set()
        self._call.owed.set()
        self._call.due.set()

    async def _attempt(self, asked: Candidate[Transcriber], take_lead: TakeLead) -> str:
        stream = await asked.provider.open(self._format, self._language, self._endpointing)
        listener = _Listener(stream)
        self._listeners.append(listener)
        try:
            heard = await exchange(
                stream,
                functools.partial(self._send, listener),
                functools.partial(self._receive, listener),
                code="transcription_failed",
                timeout_s=self._call.timeout_of(asked),
                background=self._background,
            )
        finally:
            self._listeners.remove(listener)
        if take_lead():
            self.language = heard.language
        return heard.text

    async def _send(
        self, listener: _Listener, stream: TranscriptStream, deadline: StreamDeadline
    ) -> None:
        async for audio in self._audio:
            await stream.send(audio)
            listener.sent += 1
        await stream.finish()
        deadline.restart()

    async def _receive(
        self, listener: _Listener, stream: TranscriptStream, _deadline: StreamDeadline
    ) -> TranscriptPiece:
        async for piece in stream.pieces():
            self._call.begun.set()
            self._unheard.note_words()
            if piece.final:
                return piece
            if piece.sign == "confirmed" and listener.asked:
                self.language = piece.language or self.language
                self._on_confirmed(listener.asked.popleft(), piece)
            self._on_partial(piece)
        raise make_failure("transcription_failed", "unavailable")
