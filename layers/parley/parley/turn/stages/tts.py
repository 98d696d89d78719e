"""Text to speech: from a reply's clauses to its audio.

An attempt that fails is repeated with all of the text, until the first sound. A voice that breaks
off later is followed by another synthesizer's, if there is one, which speaks the rest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from parley.aio.replay_queue import ReplayQueue
from parley.aio.tasks import BackgroundClose, Tasks
from parley.audio.word_timing import Place
from parley.errors import ProviderError
from parley.protocol.messages import AudioFormat, Settings
from parley.providers.call import ProviderCall, StreamDeadline, exchange
from parley.providers.candidates import Candidate, Candidates
from parley.providers.hedging import TakeLead
from parley.providers.tts import SpeechPiece, SpeechStream, Synthesizer

_START = Place(0, 0)


class TtsStage:
    """Speaks one reply, or a part of it that is spoken as one.

    Args:
        synthesizers: who may be asked.
        timeout_s: how long the synthesizer may stay silent when something is owed.
        hedge_after_s: how long until a second stream is opened in parallel to a silent one.
        on_audio: gets every piece of audio, in order.
        on_break_off: called when another synthesizer is to go on after the first sound; returns
            where.
        on_failover: told why the first synthesizer failed when another one takes over.
        background: closes the streams.
    """

    def __init__(
        self,
        synthesizers: Candidates[Synthesizer],
        audio_format: AudioFormat,
        settings: Settings,
        *,
        timeout_s: float,
        hedge_after_s: float,
        on_audio: Callable[[SpeechPiece], None],
        on_break_off: Callable[[], Place],
        on_failover: Callable[[ProviderError], None],
        background: BackgroundClose,
    ) -> None:
        self._format: AudioFormat = audio_format
        self._settings = settings
        self._timeout_s = timeout_s
        self._hedge_after_s = hedge_after_s
        self._on_audio = on_audio
        self._on_break_off = on_break_off
        self._on_failover = on_failover
        self._background = background
        self._from = _START
        self._retries = 0
        self.spoken_chars = 0
        """How much text synthesizers were sent, each time that they were."""
        self.failed_over = False
        """Whether another synthesizer than the first one spoke."""
        self._call = self._make_call(synthesizers)
        self.clauses: ReplayQueue[str] = ReplayQueue()

    @property
    def retries(self) -> int:
        """How often the synthesizer was asked again."""
        return self._retries + self._call.retries

    @property
    def unfailed(self) -> Candidates[Synthesizer]:
        """Who has not failed."""
        return self._call.unfailed

    def give_up(self) -> None:
        """Note that nothing of it is wanted. Cancel `run` then."""
        self._call.give_up()

    def ask(self, synthesizers: Candidates[Synthesizer]) -> None:
        """Ask these instead. Call it before `run`."""
        self._call = self._make_call(synthesizers)

    async def run(self) -> None:
        """Connect at once, speak the clauses as they come, end when all have been spoken.

        Raises:
            ProviderError: `speech_failed`; after the first sound no attempt follows at the same
                synthesizer.
        """
        try:
            await self._speak()
        except ProviderError as error:
            others = self._call.unfailed
            if not self._call.begun.is_set() or not others:
                raise
            self._from = self._on_break_off()
            if self.clauses.closed and self._from.clause >= len(self.clauses):
                return  # the end was all that was missing
            if not self.failed_over:
                self._on_failover(error)
            self.failed_over = True
            self._retries = self._call.retries + 1
            self._call = self._make_call(others)
            await self._speak()

    def _make_call(self, synthesizers: Candidates[Synthesizer]) -> ProviderCall[Synthesizer]:
        return ProviderCall(
            "speech_failed",
            synthesizers,
            timeout_s=self._timeout_s,
            hedge_after_s=self._hedge_after_s,
            on_failover=self._on_failover,
        )

    async def _speak(self) -> None:
        call = self._call
        async with Tasks() as tasks:
            tasks.start(self._wait_for_clause(call))
            try:
                await call.run(self._attempt, is_repeatable=lambda: not call.begun.is_set())
            finally:
                self.failed_over = self.failed_over or call.failed_over

    async def _wait_for_clause(self, call: ProviderCall[Synthesizer]) -> None:
        async for _ in self._rest():
            break
        call.owed.set()  # also without a clause: then the end is owed

    async def _rest(self) -> AsyncIterator[str]:
        """Yield the clauses from where this voice begins."""
        place = -1
        async for clause in self.clauses:
            place += 1
            if place >= self._from.clause:
                yield clause[self._from.char :] if place == self._from.clause else clause

    async def _attempt(self, asked: Candidate[Synthesizer], take_lead: TakeLead) -> None:
        call = self._call

        async def receive(stream: SpeechStream, deadline: StreamDeadline) -> None:
            async for piece in stream.pieces():
                if not take_lead():
                    return
                call.begun.set()
                self._on_audio(piece)
                if self.clauses.closed:
                    deadline.restart()
                else:
                    deadline.clear()

        settings = self._settings
        if asked.voice:
            settings = settings.merged_with(Settings(voice=asked.voice))
        stream = await asked.provider.open(self._format, settings)
        await exchange(
            stream,
            self._send,
            receive,
            code="speech_failed",
            timeout_s=call.timeout_of(asked),
            background=self._background,
        )

    async def _send(self, stream: SpeechStream, deadline: StreamDeadline) -> None:
        async for clause in self._rest():
            await stream.speak(clause)
            self.spoken_chars += len(clause)
            if not self._call.begun.is_set() and not deadline.is_set:
                deadline.restart()
        await stream.finish()
        deadline.restart()
