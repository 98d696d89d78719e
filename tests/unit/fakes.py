"""In-memory stand-ins for what a turn works with: the three providers and the connection.

They keep the contracts of the seams in `parley.providers`, and break them only as a
test says; the table is in `tests.unit.memory`. Nothing is canned: the transcriber reads the words
out of the audio that it gets (`spoken` writes them there), and the synthesizer's audio holds the
text it was given (`text_in` reads it back).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from parley.audio.word_timing import Alignment
from parley.aws.management_api import Address
from parley.errors import ConnectionGone, FailureKind, ProviderError
from parley.protocol.messages import (
    AnyServerEvent,
    AudioFormat,
    Endpointing,
    ServerEvent,
    Settings,
    TurnEnd,
    TurnEvent,
)
from parley.protocol.tool_rounds import ToolCalls
from parley.providers.errors import ProviderErrorCode, make_failure
from parley.providers.llm import Prompt, ReplyPiece
from parley.providers.rules import STANDARD, CallRules
from parley.providers.stt import TranscriptPiece, TurnSign
from parley.providers.tts import SpeechPiece

DEADLINE_S = 5.0
CHAR_MS = 10
RATE_HZ = 24_000
SAMPLES_PER_CHAR = RATE_HZ * CHAR_MS // 1000


def broken(
    kind: FailureKind = "refused", code: ProviderErrorCode = "reply_failed"
) -> ProviderError:
    """A provider's failure; `refused` is not tried again, `unavailable` is."""
    return make_failure(code, kind)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.002)


# --- speech to text -----------------------------------------------------------------


def spoken(text: str) -> bytes:
    """Audio in which `text` can be heard by `FakeTranscriber`, a sample per character."""
    return text.encode("utf-16-le")


@dataclass
class FakeTranscriber:
    """Hears what `spoken` said.

    Attributes:
        troubles: one per `open`, in order: what that attempt raises, or None.
        fail_after: an attempt that is in trouble raises at this chunk; None: when opening.
        mute: never sends a final transcript.
        hears_the_end: finds the end of the utterance by itself, at a full stop.
        stalled: so many streams, the first, take audio and never say anything.
        slow_to_close: each stream closes when its `may_close` is set.
        language: what it says that it heard.
        confirms: answers a flush.
        has_partials: says something before the end.
    """

    troubles: list[Exception | None] = field(default_factory=list)
    rules: CallRules = STANDARD
    language: str = ""
    confirms: bool = False
    has_partials: bool = True
    fail_after: int | None = None
    mute: bool = False
    hears_the_end: bool = False
    stalled: int = 0
    slow_to_close: bool = False
    opened: list[tuple[AudioFormat, str, Endpointing]] = field(default_factory=list)
    streams: list[FakeTranscript] = field(default_factory=list)

    async def warm_up(self) -> None:
        """There is nothing to open."""

    async def open(
        self, audio_format: AudioFormat, language: str, endpointing: Endpointing
    ) -> FakeTranscript:
        self.opened.append((audio_format, language, endpointing))
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is not None and self.fail_after is None:
            raise trouble
        stream = FakeTranscript(self, trouble, stalled=len(self.streams) < self.stalled)
        self.streams.append(stream)
        return stream


class FakeTranscript:
    """One utterance."""

    def __init__(
        self, provider: FakeTranscriber, trouble: Exception | None, *, stalled: bool = False
    ) -> None:
        self._provider = provider
        self._trouble = trouble
        self._stalled = stalled
        self._out: asyncio.Queue[TranscriptPiece | Exception] = asyncio.Queue()
        self.chunks: list[bytes] = []
        self.flushes = 0
        self.finished = False
        self.closed = False
        self.may_close = asyncio.Event()

    @property
    def _text(self) -> str:
        return b"".join(self.chunks).decode("utf-16-le").strip()

    async def send(self, pcm: bytes) -> None:
        self.chunks.append(pcm)
        if self._stalled:
            return
        if self._trouble is not None and len(self.chunks) == self._provider.fail_after:
            self._out.put_nowait(self._trouble)
            return
        over = self._provider.hears_the_end and self._text.endswith(".")
        if over or self._provider.has_partials:
            self._out.put_nowait(self._piece(over))

    async def flush(self) -> bool:
        self.flushes += 1
        if self._provider.confirms:
            language = self._provider.language
            self._out.put_nowait(TranscriptPiece(self._text, False, language, "confirmed"))
        return self._provider.confirms

    def tell(self, sign: TurnSign, text: str | None = None) -> None:
        """Say that the turn may be over, or is not."""
        self._out.put_nowait(TranscriptPiece(self._text if text is None else text, False, "", sign))

    async def finish(self) -> None:
        self.finished = True
        if not self._provider.mute:
            self._out.put_nowait(self._piece(True))

    def _piece(self, final: bool) -> TranscriptPiece:
        return TranscriptPiece(self._text, final, self._provider.language if final else "")

    async def pieces(self) -> AsyncIterator[TranscriptPiece]:
        while True:
            piece = await self._out.get()
            if isinstance(piece, Exception):
                raise piece
            yield piece
            if piece.final:
                return

    async def close(self) -> None:
        if self._provider.slow_to_close:
            await self.may_close.wait()
        self.closed = True


# --- the language model ---------------------------------------------------------------

Step = str | ToolCalls | Exception | asyncio.Event
"""What a responder does next: says something, wants tools called, fails, or waits until it may go
on."""


@dataclass
class FakeResponder:
    """Says what a test says; without `replies`, it repeats what the user said.

    Attributes:
        replies: the steps of each call, in order; after them, the user is repeated.
    """

    replies: list[list[Step]] = field(default_factory=list)
    rules: CallRules = STANDARD
    prompts: list[Prompt] = field(default_factory=list)
    warmed_up: int = 0
    connection_reused: bool | None = True

    async def warm_up(self) -> None:
        self.warmed_up += 1

    async def reply(
        self, prompt: Prompt, asked: Callable[[], None]
    ) -> AsyncGenerator[ReplyPiece, None]:
        self.prompts.append(prompt)
        asked()
        repeat = f"You said: {prompt.text}"
        steps = self.replies.pop(0) if self.replies else [*repeat]
        for step in steps:
            await asyncio.sleep(0)
            if isinstance(step, Exception):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                yield step


# --- text to speech -------------------------------------------------------------------


def sound_of(text: str) -> bytes:
    """10 ms of PCM for every character, from which `text_in` reads it back."""
    return b"".join(ord(char).to_bytes(2, "little") * SAMPLES_PER_CHAR for char in text)


def text_in(pcm: bytes) -> str:
    """What `sound_of` said."""
    return pcm[:: 2 * SAMPLES_PER_CHAR].decode("latin-1") if pcm else ""


@dataclass
class FakeSynthesizer:
    """Speaks with `sound_of`.

    Attributes:
        troubles: one per `open`, in order: what that attempt raises, or None.
        fail_after: an attempt in trouble raises after so many clauses; None: when opening.
        silent: never sends any audio.
        timed: sends the times of the characters.
        exact: says that they are the clauses' own.
        timed_chars: of each stream, so many have times, if it is timed; None for all.
        ends_clauses: says where the audio of a clause ends.
        trouble: what a stream that breaks off raises.
        cut: bytes that are missing at the end of every piece.
        breaks_off_after: each stream fails when so many characters have sounded.
        slow_to_close: each stream closes when its `may_close` is set.
    """

    troubles: list[Exception | None] = field(default_factory=list)
    rules: CallRules = STANDARD
    fail_after: int | None = None
    breaks_off_after: int | None = None
    silent: bool = False
    timed: bool = True
    exact: bool = True
    timed_chars: int | None = None
    ends_clauses: bool = False
    trouble: FailureKind = "refused"
    cut: int = 0
    slow_to_close: bool = False
    opened: list[tuple[AudioFormat, Settings]] = field(default_factory=list)
    streams: list[FakeSpeech] = field(default_factory=list)

    async def warm_up(self) -> None:
        """There is nothing to open."""

    async def open(self, audio_format: AudioFormat, settings: Settings) -> FakeSpeech:
        self.opened.append((audio_format, settings))
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is not None and self.fail_after is None:
            raise trouble
        stream = FakeSpeech(self, trouble)
        self.streams.append(stream)
        return stream


class FakeSpeech:
    """One reply."""

    def __init__(self, provider: FakeSynthesizer, trouble: Exception | None) -> None:
        self._provider = provider
        self._trouble = trouble
        self._out: asyncio.Queue[SpeechPiece | Exception | None] = asyncio.Queue()
        self.clauses: list[str] = []
        self.said = ""
        self.finished = False
        self.closed = False
        self.may_close = asyncio.Event()

    async def speak(self, clause: str) -> None:
        fail_after = self._provider.fail_after
        if self._trouble is not None and len(self.clauses) == fail_after:
            self.clauses.append(clause)
            self._out.put_nowait(self._trouble)
            return
        self.clauses.append(clause)
        if self._provider.silent:
            return
        text = clause + " "
        breaks_off = self._provider.breaks_off_after
        if breaks_off is not None:
            text = text[: max(0, breaks_off - len(self.said))]
        has_times = len(text) if self._provider.timed else 0
        if self._provider.timed_chars is not None:
            has_times = min(has_times, max(0, self._provider.timed_chars - len(self.said)))
        self.said += text
        broke_off = len(text) <= len(clause)
        if has_times:
            starts = [float(CHAR_MS * i) for i in range(has_times)]
            durations = [float(CHAR_MS)] * has_times
            times = Alignment(list(text[:has_times]), starts, durations, self._provider.exact)
            self._put(text[:has_times], times, last=has_times == len(text) and not broke_off)
        if has_times < len(text):
            self._put(text[has_times:], None, last=not broke_off)
        if broke_off:
            self._out.put_nowait(broken(self._provider.trouble, "speech_failed"))

    def _put(self, text: str, times: Alignment | None, *, last: bool) -> None:
        pcm = sound_of(text)
        pcm = pcm[: len(pcm) - self._provider.cut]
        ends_clause = last and self._provider.ends_clauses
        self._out.put_nowait(SpeechPiece(pcm, times, ends_clause))

    async def finish(self) -> None:
        self.finished = True
        if not self._provider.silent:
            self._out.put_nowait(None)

    def break_off(self) -> None:
        """Fail now, as a socket that dies."""
        self._out.put_nowait(broken("unavailable", "speech_failed"))

    async def pieces(self) -> AsyncIterator[SpeechPiece]:
        while (piece := await self._out.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def close(self) -> None:
        if self._provider.slow_to_close:
            await self.may_close.wait()
        self.closed = True


# --- the connection -------------------------------------------------------------------


class Wire:
    """The turn's connection: keeps every event that is posted.

    Attributes:
        gone_after: so many posts work; then the connection is gone.
        slow_s: how long a post takes.
        open: posts wait for it; set, unless a test clears it.
        posting: whether a post is under way.
        on_event: called with every event that arrives; a client that acknowledges, say.
    """

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.events: list[ServerEvent] = []
        self.gone_after: int | None = None
        self.slow_s = 0.0
        self.at_s: list[float] = []
        self.open = asyncio.Event()
        self.open.set()
        self.posting = False
        self.on_event: Callable[[ServerEvent], None] = lambda event: None
        self.addresses: list[Address] = []

    async def post(self, address: Address, frame: bytes) -> None:
        assert not self.posting, "posts are made one at a time"
        self.posting = True
        try:
            await asyncio.sleep(self.slow_s)
            await self.open.wait()
            if self.gone_after is not None and len(self.frames) >= self.gone_after:
                raise ConnectionGone
            self.frames.append(frame)
            self.addresses.append(address)
            self.events.append(msgspec.json.decode(frame, type=AnyServerEvent))
            self.at_s.append(time.monotonic())
            self.on_event(self.events[-1])
        finally:
            self.posting = False

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def end(self) -> TurnEnd:
        """The turn's end; there is exactly one, it is last, and no number is missing."""
        numbers = [getattr(event, "seq", None) for event in self.events]
        assert numbers == list(range(1, len(self.events) + 1))
        assert [isinstance(event, TurnEnd) for event in self.events[:-1]].count(True) == 0
        last = self.events[-1]
        assert isinstance(last, TurnEnd)
        assert len({e.turn_id for e in self.events if isinstance(e, TurnEvent)}) == 1
        return last
