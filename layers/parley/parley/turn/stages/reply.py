"""From what the user said to the reply: text as it is thought of, speech clause by clause.

Text and speech run beside each other; text never waits for speech, and speech that
fails leaves a reply in text.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from parley.aio.deadline import owed_deadline
from parley.aio.tasks import BackgroundClose
from parley.audio.pcm import duration_ms, sample_rate_hz
from parley.audio.word_timing import WordTimer
from parley.errors import ProviderError
from parley.protocol.messages import Settings
from parley.providers.circuit_breaker import CircuitBreakers, guarded
from parley.providers.errors import failure
from parley.providers.hedging import TakeLead, hedged
from parley.providers.llm import Prompt, Responder
from parley.providers.retry import RetrySchedule
from parley.providers.tts import SpeechPiece, Synthesizer
from parley.text.blank import is_blank
from parley.text.sentence_splitter import SentenceSplitter
from parley.text.spoken_text import SpokenText
from parley.turn.output.latency import TurnLatency
from parley.turn.output.outbox import Outbox
from parley.turn.stages.tts import TtsStage

MAX_REPLY_CHARS = 12_000
"""A quarter of an hour of speech. What the model says beyond it is not waited for: `turn_end`
carries the text, twice when it was interrupted, and must fit into API Gateway's 128 KB."""


class ReplyStage:
    """One reply.

    Args:
        timeout_s: how long a provider may stay silent, retries included.
        hedge_after_s: how long until a provider that stalls is asked a second time.
        changed: called when the outbox has something new.
        circuits: say whether a provider is called at all.
        max_chars: what the model says beyond it is left out; 0 for what a frame can hold.
        asked: called when the responder has been asked, at each attempt.
        closing: closes the synthesizer's streams.
    """

    def __init__(
        self,
        responder: Responder,
        synthesizer: Synthesizer,
        settings: Settings,
        outbox: Outbox,
        timings: TurnLatency,
        *,
        timeout_s: float,
        hedge_after_s: float,
        changed: Callable[[], None],
        asked: Callable[[], None],
        circuits: CircuitBreakers,
        closing: BackgroundClose,
        max_chars: int = 0,
    ) -> None:
        self._responder = responder
        self._outbox = outbox
        self._timings = timings
        self._changed = changed
        self._asked = asked
        self._circuits = circuits
        self._schedule = RetrySchedule()
        self._hedge_after_s = hedge_after_s
        self._timeout_s = timeout_s
        self._owed = asyncio.Event()
        self._begun = asyncio.Event()
        self._hedges = 0
        self._last_error: ProviderError | None = None
        self._spoken = SpokenText()
        self._timer = WordTimer(self._spoken)
        self._language = str(settings.language or "")
        self._speaking = TtsStage(
            synthesizer,
            outbox.format,
            settings,
            timeout_s=timeout_s,
            hedge_after_s=hedge_after_s,
            on_audio=self._on_audio,
            closing=closing,
        )
        self.text = ""
        self.speech_error: ProviderError | None = None
        """Why the reply is, or goes on, as text alone."""
        self.speech_ms = 0.0
        """How much speech has been synthesised."""
        self._max_chars = min(max_chars or MAX_REPLY_CHARS, MAX_REPLY_CHARS)

    @property
    def times_known(self) -> bool:
        """Whether it is known when the words that have been spoken sound: none may have been."""
        return self._timer.timed

    @property
    def retries(self) -> int:
        """How often the responder and the synthesizer were tried again."""
        return self.responder_retries + self.speech_retries

    @property
    def responder_retries(self) -> int:
        """How often the responder was tried again."""
        return self._schedule.retries + self._hedges

    @property
    def speech_retries(self) -> int:
        """How often the synthesizer was tried again."""
        return self._speaking.retries

    async def speak(self) -> None:
        """Connect to the synthesizer at once, and speak what the responder says.

        A failure is told to the client; it does not end the turn.
        """
        try:
            await guarded(
                self._circuits.synthesizer,
                "speech_failed",
                self._speaking.run,
                lambda: self._speaking.begun,
            )
        except ProviderError as error:
            self.speech_error = error
            self._outbox.error(error)  # a word that it broke off in has not been said
        else:
            self._outbox.audio(b"", self._timer.finish(), time.monotonic())
        self._outbox.close_audio()
        self._changed()

    async def think(self, prompt: Prompt) -> None:
        """Have the responder answer, until its last word.

        Raises:
            ProviderError: `reply_failed`; never tried again after the first word.
        """
        splitter = SentenceSplitter(self._language)
        try:
            await guarded(
                self._circuits.responder,
                "reply_failed",
                lambda: self._answer_with_retries(prompt, splitter),
                self._begun.is_set,
            )
        finally:
            self._say(splitter.feed(self._spoken.finish()) + splitter.flush())
            self._speaking.clauses.close()

    async def _answer_with_retries(self, prompt: Prompt, splitter: SentenceSplitter) -> None:
        try:
            async with owed_deadline(self._owed, self._begun, self._timeout_s):
                while True:
                    try:
                        return await self._answer(prompt, splitter)
                    except ProviderError as error:
                        self._last_error = error
                        delay = None if self.text else self._schedule.delay_after(error)
                        if delay is None:
                            raise
                        await asyncio.sleep(delay)
        except TimeoutError:
            cause = self._last_error.cause if self._last_error else None
            raise failure("reply_failed", "timeout", cause=cause) from None

    async def _answer(self, prompt: Prompt, splitter: SentenceSplitter) -> None:
        self._timings.mark("requested", time.monotonic())
        self._owed.set()

        async def attempt(claim: TakeLead) -> None:
            async with contextlib.aclosing(self._responder.reply(prompt, self._asked)) as deltas:
                async for delta in deltas:
                    if not claim():
                        return
                    self._begun.set()
                    if not delta:
                        continue
                    self._add(delta[: self._max_chars - len(self.text)], splitter)
                    if len(self.text) >= self._max_chars:
                        return

        await hedged(attempt, self._owed, self._hedge_after_s, self._on_hedge)
        if is_blank(self.text):
            raise failure("reply_failed", "empty")

    def _on_hedge(self) -> None:
        self._hedges += 1

    def _add(self, delta: str, splitter: SentenceSplitter) -> None:
        now = time.monotonic()
        self._timings.mark("first_token", now)
        self.text += delta
        self._outbox.text(delta, now)
        self._changed()
        self._say(splitter.feed(self._spoken.feed(delta)))

    def _say(self, clauses: list[str]) -> None:
        for clause in clauses:
            self._timings.mark("first_clause", time.monotonic())
            self._timer.expect(clause)
            self._speaking.clauses.put(clause)

    def _on_audio(self, piece: SpeechPiece) -> None:
        now = time.monotonic()
        self._timings.mark("first_audio", now)
        words = self._timer.add(piece.alignment, self._outbox.audio_ms) if piece.alignment else []
        self.speech_ms += duration_ms(len(piece.pcm), sample_rate_hz(self._outbox.format))
        self._outbox.audio(piece.pcm, words, now)
        self._changed()
