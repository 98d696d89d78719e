"""From a reply's clauses to its audio, retried with all of its text until the first sound."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from parley.aio.deadline import owed_deadline, pause
from parley.aio.replay_queue import ReplayQueue
from parley.aio.tasks import BackgroundClose, Tasks
from parley.errors import ProviderError
from parley.protocol.messages import AudioFormat, Settings
from parley.providers.errors import failure
from parley.providers.hedging import TakeLead, hedged
from parley.providers.retry import RetrySchedule
from parley.providers.tts import SpeechPiece, SpeechStream, Synthesizer


class TtsStage:
    """Speaks one reply.

    Args:
        timeout_s: how long the synthesizer may stay silent when something is owed.
        hedge_after_s: how long until a second stream is opened beside a silent one.
        on_audio: told every piece of audio, in order.
        closing: closes the streams.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        audio_format: AudioFormat,
        settings: Settings,
        *,
        timeout_s: float,
        hedge_after_s: float,
        on_audio: Callable[[SpeechPiece], None],
        closing: BackgroundClose,
    ) -> None:
        self._synthesizer = synthesizer
        self._format: AudioFormat = audio_format
        self._settings = settings
        self._timeout_s = timeout_s
        self._hedge_after_s = hedge_after_s
        self._on_audio = on_audio
        self._closing = closing
        self._schedule = RetrySchedule()
        self._last_error: ProviderError | None = None
        self._owed = asyncio.Event()
        self._sounded = asyncio.Event()
        self.hedges = 0
        self.clauses: ReplayQueue[str] = ReplayQueue()

    @property
    def retries(self) -> int:
        """How often the synthesizer was tried again."""
        return self._schedule.retries + self.hedges

    @property
    def begun(self) -> bool:
        """Whether there has been a sound."""
        return self._sounded.is_set()

    async def run(self) -> None:
        """Connect at once, speak the clauses as they come, end when all have been spoken.

        Raises:
            ProviderError: `speech_failed`; never tried again after the first sound.
        """
        try:
            async with (
                owed_deadline(self._owed, self._sounded, self._timeout_s),
                Tasks() as tasks,
            ):
                tasks.start(self._wait_for_a_clause())
                await self._speak()
        except TimeoutError:
            cause = self._last_error.cause if self._last_error else None
            raise failure("speech_failed", "timeout", cause=cause) from None

    async def _speak(self) -> None:
        while True:
            try:
                return await hedged(self._attempt, self._owed, self._hedge_after_s, self._on_hedge)
            except ProviderError as error:
                self._last_error = error
                if self._sounded.is_set():
                    raise
                delay = self._schedule.delay_after(error, owed=self._owed.is_set())
                if delay is None:
                    raise
                await pause(delay, self._owed)

    def _on_hedge(self) -> None:
        self.hedges += 1

    async def _wait_for_a_clause(self) -> None:
        async for _ in self.clauses:
            break
        self._owed.set()  # also if there is none: the end is waited for then

    async def _attempt(self, claim: TakeLead) -> None:
        stream = await self._synthesizer.open(self._format, self._settings)
        try:
            async with asyncio.timeout(None) as deadline:
                sending = asyncio.create_task(self._send(stream, deadline))
                try:
                    await self._receive(stream, deadline, claim)
                finally:
                    sending.cancel()
                    with contextlib.suppress(asyncio.CancelledError, ProviderError):
                        await sending
        except TimeoutError:
            raise failure("speech_failed", "timeout") from None
        finally:
            self._closing.close(stream)

    async def _send(self, stream: SpeechStream, deadline: asyncio.Timeout) -> None:
        async for clause in self.clauses:
            await stream.speak(clause)
            if not self._sounded.is_set() and deadline.when() is None:
                self._expect_audio(deadline)
        await stream.finish()
        self._expect_audio(deadline)

    async def _receive(
        self, stream: SpeechStream, deadline: asyncio.Timeout, claim: TakeLead
    ) -> None:
        async for piece in stream.pieces():
            if not claim():
                return
            self._sounded.set()
            self._on_audio(piece)
            if self.clauses.closed:
                self._expect_audio(deadline)
            else:
                deadline.reschedule(None)

    def _expect_audio(self, deadline: asyncio.Timeout) -> None:
        deadline.reschedule(asyncio.get_running_loop().time() + self._timeout_s)
