"""The reply: text as the responder writes it, and its speech clause by clause.

Text and speech run in parallel. Text never waits for speech. Speech that fails leaves a reply in
text, unless another synthesizer speaks the rest.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable

from parley.aio.tasks import BackgroundClose
from parley.audio.pcm import duration_ms, sample_rate_hz
from parley.audio.word_timing import Place, WordTimer
from parley.errors import ProviderError
from parley.protocol.messages import Settings, Stage, Word
from parley.providers.call import ProviderCall
from parley.providers.candidates import Candidate, Candidates
from parley.providers.errors import make_failure
from parley.providers.hedging import TakeLead
from parley.providers.llm import Prompt, Responder
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
    """Writes and speaks one reply.

    Args:
        responders, synthesizers: who may be asked.
        timeout_s: how long a provider may stay silent, retries included.
        hedge_after_s: how long until a provider that stalls is asked a second time.
        on_change: called when the outbox has something new.
        on_asked: called when the responder has been asked, at each attempt.
        on_failover: told the stage whose first provider another one takes over from, and why.
        background: closes the synthesizer's streams.
        max_chars: what the model says beyond it is left out; 0 for what a frame can hold.
    """

    def __init__(
        self,
        responders: Candidates[Responder],
        synthesizers: Candidates[Synthesizer],
        settings: Settings,
        outbox: Outbox,
        latency: TurnLatency,
        *,
        timeout_s: float,
        hedge_after_s: float,
        on_change: Callable[[], None],
        on_asked: Callable[[], None],
        on_failover: Callable[[Stage, ProviderError], None],
        background: BackgroundClose,
        max_chars: int = 0,
    ) -> None:
        self._outbox = outbox
        self._latency = latency
        self._on_change = on_change
        self._on_asked = on_asked
        self._call = ProviderCall(
            "reply_failed",
            responders,
            timeout_s=timeout_s,
            hedge_after_s=hedge_after_s,
            on_failover=functools.partial(on_failover, "responder"),
        )
        self._spoken = SpokenText()
        self._timer = WordTimer(self._spoken)
        self._language = str(settings.language or "")
        self._tts = TtsStage(
            synthesizers,
            outbox.format,
            settings,
            timeout_s=timeout_s,
            hedge_after_s=hedge_after_s,
            on_audio=self._on_audio,
            on_break_off=self._break_off,
            on_failover=functools.partial(on_failover, "synthesizer"),
            background=background,
        )
        self.text = ""
        self.speech_error: ProviderError | None = None
        """Why the reply is, or goes on, as text alone."""
        self.speech_ms = 0.0
        """How much speech has been synthesised."""
        self._max_chars = min(max_chars or MAX_REPLY_CHARS, MAX_REPLY_CHARS)

    @property
    def times_known(self) -> bool:
        """Whether it is known, or estimated, when the words that have been spoken sound: none may
        have been."""
        return self._timer.timed

    @property
    def connection_reused(self) -> bool | None:
        """Whether the reply came over a connection that was already open."""
        answered = self._call.leader
        return answered.provider.connection_reused if answered else None

    @property
    def failed_over(self) -> int:
        """In how many stages another provider than the first one answered."""
        return self._call.failed_over + self._tts.failed_over

    def estimate_stopped(self) -> list[Word]:
        """Return the words of audio that came without times, of a reply that was stopped. Call it
        once."""
        return self._timer.estimate_stopped()

    @property
    def retries(self) -> int:
        """How often the responder and the synthesizer were asked again."""
        return self.responder_retries + self.speech_retries

    @property
    def responder_retries(self) -> int:
        """How often the responder was asked again."""
        return self._call.retries

    @property
    def speech_retries(self) -> int:
        """How often the synthesizer was asked again."""
        return self._tts.retries

    async def speak(self) -> None:
        """Connect to the synthesizer at once, and speak what the responder writes.

        The client is told of a failure, which does not end the turn.
        """
        try:
            await self._tts.run()
        except ProviderError as error:
            self.speech_error = error
            # A word that it broke off in has not been said.
            self._outbox.add_audio(
                b"", self._timer.estimate_stopped(broke_off=True), time.monotonic()
            )
            self._outbox.add_error(error)
        else:
            self._outbox.add_audio(b"", self._timer.finish(), time.monotonic())
        self._outbox.close_audio()
        self._on_change()

    async def write(self, prompt: Prompt) -> None:
        """Have the responder write the reply, to its last word.

        Raises:
            ProviderError: `reply_failed`; no attempt follows the first word.
        """
        splitter = SentenceSplitter(self._language)

        async def attempt(asked: Candidate[Responder], take_lead: TakeLead) -> None:
            await self._read_reply(asked.provider, prompt, take_lead, splitter)

        try:
            await self._call.run(
                attempt, is_repeatable=lambda: not self.text, prepare=self._note_request
            )
        finally:
            self._say(splitter.feed(self._spoken.finish()) + splitter.flush())
            self._tts.clauses.close()

    def _note_request(self) -> None:
        self._latency.mark("requested", time.monotonic())
        self._call.owed.set()

    async def _read_reply(
        self,
        responder: Responder,
        prompt: Prompt,
        take_lead: TakeLead,
        splitter: SentenceSplitter,
    ) -> None:
        async with contextlib.aclosing(responder.reply(prompt, self._on_asked)) as deltas:
            async for delta in deltas:
                if not take_lead():
                    return
                self._call.begun.set()
                if not delta:  # the model thinks
                    continue
                self._add(delta[: self._max_chars - len(self.text)], splitter)
                if len(self.text) >= self._max_chars:
                    break
        if take_lead() and is_blank(self.text):
            raise make_failure("reply_failed", "empty")

    def _add(self, delta: str, splitter: SentenceSplitter) -> None:
        now = time.monotonic()
        self._latency.mark("first_token", now)
        self.text += delta
        self._outbox.add_text(delta, now)
        self._on_change()
        self._say(splitter.feed(self._spoken.feed(delta)))

    def _say(self, clauses: list[str]) -> None:
        for clause in clauses:
            self._latency.mark("first_clause", time.monotonic())
            self._timer.expect(clause)
            self._tts.clauses.put(clause)

    def _on_audio(self, piece: SpeechPiece) -> None:
        now = time.monotonic()
        self._latency.mark("first_audio", now)
        length_ms = duration_ms(len(piece.pcm), sample_rate_hz(self._outbox.format))
        words = self._timer.add(piece.alignment, self._outbox.audio_ms, length_ms)
        if piece.ends_clause:
            words += self._timer.end_clause()
        self.speech_ms += length_ms
        self._outbox.add_audio(piece.pcm, words, now)
        self._on_change()

    def _break_off(self) -> Place:
        """Settle what has been spoken. Return where another voice goes on."""
        words, place = self._timer.break_off()
        # Its audio may end in the middle of a sample, which would make noise of all that follows.
        self._outbox.add_audio(bytes(self._outbox.audio_bytes % 2), words, time.monotonic())
        self._on_change()
        return place
