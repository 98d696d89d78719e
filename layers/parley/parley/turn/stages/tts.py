"""Text to speech: from a reply's clauses to its audio.

An attempt that fails is repeated with all of the text, until the first sound.
"""

from __future__ import annotations

from collections.abc import Callable

from parley.aio.replay_queue import ReplayQueue
from parley.aio.tasks import BackgroundClose, Tasks
from parley.protocol.messages import AudioFormat, Settings
from parley.providers.call import ProviderCall, StreamDeadline, exchange
from parley.providers.circuit_breaker import CircuitBreaker
from parley.providers.hedging import TakeLead
from parley.providers.tts import SpeechPiece, SpeechStream, Synthesizer


class TtsStage:
    """Speaks one reply.

    Args:
        breaker: says whether the synthesizer is called at all.
        timeout_s: how long the synthesizer may stay silent when something is owed.
        hedge_after_s: how long until a second stream is opened in parallel to a silent one.
        on_audio: gets every piece of audio, in order.
        background: closes the streams.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        audio_format: AudioFormat,
        settings: Settings,
        *,
        breaker: CircuitBreaker,
        timeout_s: float,
        hedge_after_s: float,
        on_audio: Callable[[SpeechPiece], None],
        background: BackgroundClose,
    ) -> None:
        self._synthesizer = synthesizer
        self._format: AudioFormat = audio_format
        self._settings = settings
        self._timeout_s = timeout_s
        self._on_audio = on_audio
        self._background = background
        self._call = ProviderCall(
            "speech_failed", breaker, timeout_s=timeout_s, hedge_after_s=hedge_after_s
        )
        self.clauses: ReplayQueue[str] = ReplayQueue()

    @property
    def retries(self) -> int:
        """How often the synthesizer was asked again."""
        return self._call.retries

    async def run(self) -> None:
        """Connect at once, speak the clauses as they come, end when all have been spoken.

        Raises:
            ProviderError: `speech_failed`; no attempt follows the first sound.
        """
        async with Tasks() as tasks:
            tasks.start(self._wait_for_clause())
            await self._call.run(self._attempt, is_repeatable=lambda: not self._call.begun.is_set())

    async def _wait_for_clause(self) -> None:
        async for _ in self.clauses:
            break
        self._call.owed.set()  # also without a clause: then the end is owed

    async def _attempt(self, take_lead: TakeLead) -> None:
        async def receive(stream: SpeechStream, deadline: StreamDeadline) -> None:
            async for piece in stream.pieces():
                if not take_lead():
                    return
                self._call.begun.set()
                self._on_audio(piece)
                if self.clauses.closed:
                    deadline.restart()
                else:
                    deadline.clear()

        stream = await self._synthesizer.open(self._format, self._settings)
        await exchange(
            stream,
            self._send,
            receive,
            code="speech_failed",
            timeout_s=self._timeout_s,
            background=self._background,
        )

    async def _send(self, stream: SpeechStream, deadline: StreamDeadline) -> None:
        async for clause in self.clauses:
            await stream.speak(clause)
            if not self._call.begun.is_set() and not deadline.is_set:
                deadline.restart()
        await stream.finish()
        deadline.restart()
