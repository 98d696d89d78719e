"""The reply: text as the responder writes it, and its speech clause by clause.

Text and speech run in parallel. Text never waits for speech. Speech that fails leaves a reply in
text, unless another synthesizer speaks the rest.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from parley.aio.replay_queue import ReplayQueue
from parley.aio.tasks import BackgroundClose
from parley.audio.pcm import duration_ms, sample_rate_hz
from parley.audio.word_timing import Place, WordTimer
from parley.errors import ProviderError
from parley.protocol.messages import Settings, Span, Stage, Word
from parley.protocol.tool_rounds import ToolCalls
from parley.providers.call import ProviderCall
from parley.providers.candidates import Candidate, Candidates
from parley.providers.errors import make_failure
from parley.providers.hedging import TakeLead
from parley.providers.llm import Prompt, Responder
from parley.providers.tts import SpeechPiece, Synthesizer
from parley.text.blank import is_blank
from parley.text.scripts import join_texts
from parley.text.sentence_splitter import SentenceSplitter
from parley.text.spoken_text import SpokenText
from parley.turn.output.latency import TurnLatency
from parley.turn.output.outbox import Outbox
from parley.turn.stages.tts import TtsStage
from parley.turn.token_count import TokenCount

MAX_REPLY_CHARS = 12_000
"""A quarter of an hour of speech. What the model says beyond it is not waited for: `turn_end`
carries the text, twice when it was interrupted, and must fit into API Gateway's 128 KB."""


class RoundRunner(Protocol):
    """Runs what a model wants called."""

    def prompt(self, prompt: Prompt) -> Prompt:
        """Return the prompt of the next round."""

    def expects_more(self, request: ToolCalls, text: str) -> bool:
        """Return whether something will be said after the calls of a round, unless they fail."""

    async def run(self, request: ToolCalls, text: str) -> bool:
        """Run the calls of a round; return whether the model is to be asked again."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """A part of the reply that one stream speaks: all of it, or what lies between tool calls."""

    spoken: SpokenText
    timer: WordTimer
    splitter: SentenceSplitter
    tts: TtsStage

    @property
    def is_empty(self) -> bool:
        """Whether it has ended without a word."""
        return self.tts.clauses.closed and not self.tts.clauses


def _joined(before: str, text: str) -> str:
    """Return a text that follows another, apart from it as their script has it."""
    apart = not before or before[-1].isspace() or text[:1].isspace()
    return text if apart else join_texts((before, text))[len(before) :]


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
        on_text: called when the responder says something.
        may_be_silent: whether a reply without a word is one.

    Attributes:
        text: what has been said.
        fillers: where in it something was said only to fill a silence.
        speech_error: why the reply is, or goes on, as text alone.
        speech_ms: how much speech has been synthesised.
        tokens: of the calls to the model, hedged and repeated ones included.
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
        on_text: Callable[[], None] = lambda: None,
        may_be_silent: Callable[[], bool] = lambda: False,
    ) -> None:
        self._speaking: _Segment | None = None
        self._responders = responders
        self._synthesizers = synthesizers
        self._settings = settings
        self._outbox = outbox
        self._latency = latency
        self._timeout_s = timeout_s
        self._hedge_after_s = hedge_after_s
        self._on_change = on_change
        self._on_asked = on_asked
        self._on_failover = on_failover
        self._background = background
        self._on_text = on_text
        self._may_be_silent = may_be_silent
        self._calls: list[ProviderCall[Responder]] = []
        self._round_from = 0
        self._filler_chars = 0
        self._unspoken = ""
        self._segments: ReplayQueue[_Segment] = ReplayQueue()
        self._start_segment()
        self.text = ""
        self.fillers: list[Span] = []
        self.speech_error: ProviderError | None = None
        self.speech_ms = 0.0
        self.tokens = TokenCount()
        self._max_chars = min(max_chars or MAX_REPLY_CHARS, MAX_REPLY_CHARS)

    def _make_call(self, prompt: Prompt) -> ProviderCall[Responder]:
        responders = self._responders
        if prompt.rounds:
            # One that acts by itself does not know what has been done: it would do it once more.
            responders = [r for r in responders if r.rules.repeatable] or responders
        return ProviderCall(
            "reply_failed",
            responders,
            timeout_s=self._timeout_s,
            hedge_after_s=self._hedge_after_s,
            on_failover=functools.partial(self._on_failover, "responder"),
        )

    def _start_segment(self) -> None:
        spoken = SpokenText()
        tts = TtsStage(
            self._synthesizers,
            self._outbox.format,
            self._settings,
            timeout_s=self._timeout_s,
            hedge_after_s=self._hedge_after_s,
            on_audio=self._on_audio,
            on_break_off=self._break_off,
            on_failover=functools.partial(self._on_failover, "synthesizer"),
            background=self._background,
        )
        splitter = SentenceSplitter(str(self._settings.language or ""))
        self._segments.put(_Segment(spoken, WordTimer(spoken), splitter, tts))

    @property
    def _segment(self) -> _Segment:
        """The segment that is written."""
        return self._segments.items[-1]

    @property
    def times_known(self) -> bool:
        """Whether it is known, or estimated, when the words that have been spoken sound: none may
        have been."""
        return any(segment.timer.timed for segment in self._segments.items)

    @property
    def connection_reused(self) -> bool | None:
        """Whether the reply came over a connection that was already open."""
        answered = self._calls[0].leader if self._calls else None
        return answered.provider.connection_reused if answered else None

    @property
    def failed_over(self) -> int:
        """In how many stages another provider than the first one answered."""
        responders = any(call.failed_over for call in self._calls)
        return responders + any(each.tts.failed_over for each in self._segments.items)

    def estimate_stopped(self) -> list[Word]:
        """Return the words of audio that came without times, of a reply that was stopped. Call it
        once."""
        return self._spoken_segment.timer.estimate_stopped()

    @property
    def retries(self) -> int:
        """How often the responder and the synthesizer were asked again."""
        return self.responder_retries + self.speech_retries

    @property
    def responder_retries(self) -> int:
        """How often the responder was asked again."""
        return sum(call.retries for call in self._calls)

    @property
    def speech_retries(self) -> int:
        """How often the synthesizer was asked again."""
        return sum(each.tts.retries for each in self._segments.items)

    @property
    def spoken_chars(self) -> int:
        """How much text synthesizers were sent."""
        return sum(each.tts.spoken_chars for each in self._segments.items)

    def release(
        self, outbox: Outbox, latency: TurnLatency, on_change: Callable[[], None], at_s: float
    ) -> None:
        """Say in a turn's outbox what was put into one that nobody posts, and all that follows.

        Args:
            at_s: when the reply was sure to be wanted.
        """
        outbox.take_over(self._outbox, at_s)
        latency.take_over(self._latency, at_s)
        self._outbox, self._latency, self._on_change = outbox, latency, on_change
        on_change()

    def give_up(self) -> None:
        """Note that nothing of it is wanted. Cancel `write` and `speak` then."""
        for call in self._calls:
            call.give_up()
        for segment in self._segments.items:
            segment.tts.give_up()

    async def speak(self) -> None:
        """Connect to the synthesizer at once, and speak what the responder writes.

        The client is told of a failure, which does not end the turn.
        """
        try:
            async for segment in self._segments:
                if not segment.is_empty:  # such a one needs no connection
                    await self._speak_segment(segment)
                if not segment.timer.timed:
                    self._unspoken += segment.spoken.written
        except ProviderError as error:
            self.speech_error = error
            # A word that it broke off in has not been said.
            words = self._spoken_segment.timer.estimate_stopped(broke_off=True)
            self._add_audio(b"", words)
            self._outbox.add_error(error)
        self._outbox.close_audio()
        self._on_change()

    async def _speak_segment(self, segment: _Segment) -> None:
        self._speaking, tts = segment, segment.tts
        segment.timer.start_at(self._outbox.audio_ms)
        tts.ask(self._synthesizers)
        await tts.run()
        if tts.failed_over:  # one voice goes on to the reply's end
            self._synthesizers = tts.unfailed or self._synthesizers
        self._add_audio(b"", segment.timer.finish())

    def _add_audio(self, pcm: bytes, words: list[Word]) -> None:
        if words and (shown := self._unspoken.strip()):
            # What was only shown has been heard when the next word has, as within a segment.
            words = [msgspec.structs.replace(words[0], text=shown), *words]
            self._unspoken = ""
        self._outbox.add_audio(pcm, words, time.monotonic())

    @property
    def _spoken_segment(self) -> _Segment:
        """The segment that is spoken."""
        return self._speaking or self._segments.items[0]

    async def write(self, prompt: Prompt, tools: RoundRunner | None = None) -> None:
        """Have the responder write the reply, to its last word, with what it wants called.

        Args:
            tools: runs the calls of each round; None if there are no tools.

        Raises:
            ProviderError: `reply_failed`; in each round, no attempt follows the first word.
        """
        try:
            goes_on = True
            while goes_on:
                goes_on = await self._write_round(prompt, tools)
        finally:
            self.close()

    async def _write_round(self, prompt: Prompt, tools: RoundRunner | None) -> bool:
        """Write one round; return whether another one follows."""
        calls = await self._ask(prompt if tools is None else tools.prompt(prompt))
        if calls is None or tools is None:
            return False
        text = self.text[self._round_from :]
        self._flush()
        if tools.expects_more(calls, text):
            # What follows is a segment of its own, whose stream opens while the calls run: one that
            # nothing is said to for long is closed by some vendors.
            self._end_segment()
        goes_on = await tools.run(calls, text)
        self._end_segment()
        return goes_on

    def recite(self, text: str) -> None:
        """Say a text as it is, without a model."""
        self._add(text)
        self.close()

    def close(self) -> None:
        """Note that nothing more will be said."""
        self._flush()
        self._segment.tts.clauses.close()
        self._segments.close()

    def fill(self, sentence: str) -> None:
        """Say something to fill a silence, before the first words of a round."""
        begin = len(self.text)
        self._add(_joined(self.text, sentence), filler=True)
        self.fillers.append(Span(begin, len(self.text)))
        self._filler_chars += len(self.text) - begin
        # It is none of the round's words, and its Markdown is not continued by them.
        self._round_from = len(self.text)
        self._end_segment()

    def change_settings(self, settings: Settings) -> None:
        """Speak what follows with other settings. What has been written keeps its voice."""
        self._settings = settings
        self._end_segment()
        # The next stream may be open already: it gets nothing to say.
        self._segment.tts.clauses.close()
        self._start_segment()

    async def _ask(self, prompt: Prompt) -> ToolCalls | None:
        """Have the responder write one round; return the calls that it ends with."""
        self._round_from = len(self.text)
        self._calls.append(self._make_call(prompt))

        async def attempt(asked: Candidate[Responder], take_lead: TakeLead) -> ToolCalls | None:
            return await self._read_reply(asked.provider, prompt, take_lead)

        calls = await self._call.run(
            attempt, is_repeatable=lambda: not self._has_round_text, prepare=self._note_request
        )
        if self._call.failed_over:  # the next round is not to wait for who has failed in this one
            self._responders = self._call.unfailed or self._responders
        return calls

    @property
    def _call(self) -> ProviderCall[Responder]:
        return self._calls[-1]

    @property
    def _has_round_text(self) -> bool:
        return len(self.text) > self._round_from

    def _flush(self) -> None:
        """Have everything spoken that has been written."""
        segment = self._segment
        if not segment.spoken.written:  # it has yet to begin: the Markdown in it is to be read
            return
        self._say(segment.splitter.feed(segment.spoken.finish()) + segment.splitter.flush())

    def _end_segment(self) -> None:
        """Have what has been written spoken to its end, apart from what follows."""
        if self._segment.spoken.written:
            self._flush()
            self._segment.tts.clauses.close()
            self._start_segment()

    def _note_request(self) -> None:
        self._latency.mark("requested", time.monotonic())
        self._call.owed.set()

    async def _read_reply(
        self, responder: Responder, prompt: Prompt, take_lead: TakeLead
    ) -> ToolCalls | None:
        calls: ToolCalls | None = None
        tokens = self.tokens if responder.rules.has_tokens else TokenCount()
        with tokens.count(prompt) as call:
            async with contextlib.aclosing(responder.reply(call.prompt, self._on_asked)) as pieces:
                async for piece in pieces:
                    call.note(piece)
                    if not take_lead():
                        return None
                    self._call.begun.set()
                    if isinstance(piece, ToolCalls):
                        # Some servers do not know that a model may not: nobody follows it for ever.
                        calls = piece if prompt.may_call else None
                    elif piece:  # an empty one: the model thinks
                        self._on_text()
                        self._add(self._continued(piece))
                    if not self._left_chars:
                        break
        said_nothing = calls is None and is_blank(self.text[self._round_from :])
        if take_lead() and said_nothing and not self._may_be_silent():
            raise make_failure("reply_failed", "empty")
        return calls

    def _continued(self, delta: str) -> str:
        """Return a piece of text, apart from what an earlier round has said."""
        if self.text and not self._has_round_text:
            delta = _joined(self.text, delta)
        return delta[: self._left_chars]

    @property
    def _left_chars(self) -> int:
        """How much more the model may say."""
        return max(0, self._max_chars + self._filler_chars - len(self.text))

    def _add(self, delta: str, *, filler: bool = False) -> None:
        now = time.monotonic()
        self._latency.mark("first_token", now)
        self.text += delta
        self._outbox.add_text(delta, now, filler=filler)
        self._on_change()
        segment = self._segment
        self._say(segment.splitter.feed(segment.spoken.feed(delta)))

    def _say(self, clauses: list[str]) -> None:
        for clause in clauses:
            self._latency.mark("first_clause", time.monotonic())
            self._segment.timer.expect(clause)
            self._segment.tts.clauses.put(clause)

    def _on_audio(self, piece: SpeechPiece) -> None:
        now = time.monotonic()
        self._latency.mark("first_audio", now)
        length_ms = duration_ms(len(piece.pcm), sample_rate_hz(self._outbox.format))
        timer = self._spoken_segment.timer
        words = timer.add(piece.alignment, self._outbox.audio_ms, length_ms)
        if piece.ends_clause:
            words += timer.end_clause()
        self.speech_ms += length_ms
        self._add_audio(piece.pcm, words)
        self._on_change()

    def _break_off(self) -> Place:
        """Settle what has been spoken. Return where another voice goes on."""
        words, place = self._spoken_segment.timer.break_off()
        # Its audio may end in the middle of a sample, which would make noise of all that follows.
        self._add_audio(bytes(self._outbox.audio_bytes % 2), words)
        self._on_change()
        return place
