"""In-memory stand-ins for what a turn works with: the table, the three providers, the connection.

They keep the contracts of `parley.store`, `parley.speech` and `parley.responders`, and
break them only as a test says. Nothing is canned: the transcriber reads the words out of
the audio that it gets (`spoken` writes them there), and the synthesizer's audio holds the
text it was given (`text_in` reads it back).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from parley.connections import Address
from parley.cues import Sound
from parley.errors import ConnectionGone, ErrorCode, FailureKind, ProviderError
from parley.inbox import (
    AckEntry,
    ChunkEntry,
    EndEntry,
    InboxEntry,
    InterruptEntry,
    ResumeEntry,
)
from parley.items import Claim, Connection, Session, StoredFrame, TurnItem, message_key
from parley.principal import ANONYMOUS, Principal, SessionRef
from parley.protocol import (
    AnyServerEvent,
    AudioFormat,
    Endpointing,
    Message,
    ServerEvent,
    Settings,
    TurnEnd,
    TurnEvent,
    Word,
)
from parley.providers import failure
from parley.responders import Prompt
from parley.speech import SpeechPiece, TranscriptPiece
from parley.store import ERASED, Store
from parley.turns import Turns, now_ms
from parley.words import Alignment

DEADLINE_S = 5.0
own = ANONYMOUS.session
REF = own("s")
"""The session that `MemoryStore.open_session` opens."""
CHAR_MS = 10
RATE_HZ = 24_000
SAMPLES_PER_CHAR = RATE_HZ * CHAR_MS // 1000


def broken(kind: FailureKind = "refused", code: ErrorCode = "internal") -> ProviderError:
    """A provider's failure; `refused` is not tried again, `unavailable` is."""
    return failure(code, "A fake", kind)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.002)


# --- the table ------------------------------------------------------------------


@dataclass
class MemoryTurn:
    """A turn's item."""

    owner: str
    claim: Claim
    state: str = "running"
    lease_until_ms: int = 0
    failed_at_ms: int = 0
    words: list[Word] = field(default_factory=list)
    message_key: str = ""


class MemoryStore(Store, Turns):
    """`Store` and `Turns` in dictionaries. `failing` names the methods that raise now."""

    def __init__(self) -> None:
        self.connections: dict[str, Connection] = {}
        self.sessions: dict[SessionRef, Session] = {}
        self.history: dict[SessionRef, dict[str, Message]] = {}
        self.heard_at: dict[str, int] = {}
        self.metrics: list[Any] = []
        self.sounds: dict[tuple[str, str], Sound | None] = {}
        self.turns: dict[tuple[SessionRef, str], MemoryTurn] = {}
        self.active_since: dict[SessionRef, int] = {}
        self.frames: dict[tuple[SessionRef, tuple[int, str, int, int]], StoredFrame] = {}
        self.inboxes: dict[tuple[SessionRef, str], dict[str, InboxEntry]] = {}
        self.answers: dict[tuple[SessionRef, str, int], list[bytes]] = {}
        self.reasons: dict[str, str] = {}
        self.failing: set[str] = set()
        self._lock = threading.RLock()

    def _check(self, method: str) -> None:
        if method in self.failing:
            raise OSError("the table cannot be reached")

    def open_session(self, session_id: str = "s", **changes: Any) -> Session:
        """A session that is there already."""
        fields: dict[str, Any] = {
            "token_hash": "",
            "connection_id": "c",
            "settings": Settings(),
            "status": "active",
            "endpoint": "https://x",
            **changes,
        }
        ref = ANONYMOUS.session(session_id)
        session = self.sessions[ref] = Session(ref, **fields)
        return session

    def messages(self, ref: SessionRef = REF) -> list[Message]:
        """The history, oldest first."""
        return [message for _, message in sorted(self.history.get(ref, {}).items())]

    def add_connection(self, connection_id: str, principal: Principal = ANONYMOUS) -> None:
        self.connections[connection_id] = Connection(principal)

    def remove_connection(self, connection_id: str) -> None:
        self.connections.pop(connection_id, None)

    def bind_connection(self, connection_id: str, ref: SessionRef, message_id: str) -> bool:
        self._check("bind_connection")
        connection = self.connections.get(connection_id)
        if connection is None or connection.ref is not None:
            return False
        self.connections[connection_id] = Connection(connection.principal, ref, message_id)
        return True

    def unbind_connection(self, connection_id: str, ref: SessionRef) -> None:
        self.connections[connection_id] = Connection(self.connections[connection_id].principal)

    def connection(self, connection_id: str) -> Connection | None:
        self._check("connection")
        return self.connections.get(connection_id)

    def put_session(self, session: Session) -> None:
        self.sessions[session.ref] = session

    def resume_session(
        self,
        ref: SessionRef,
        connection_id: str,
        endpoint: str,
        *,
        shown_hash: str,
        new_hash: str,
    ) -> Session | None:
        with self._lock:
            now = self.sessions[ref]
            if shown_hash not in (now.token_hash, now.previous_hash) or now.status != "active":
                return None
            return self._change(
                ref,
                token_hash=new_hash,
                previous_hash=shown_hash,
                connection_id=connection_id,
                endpoint=endpoint,
            )

    def rotate_token(
        self, ref: SessionRef, turn_id: str, *, shown_hash: str, new_hash: str
    ) -> bool:
        with self._lock:
            session = self.sessions[ref]
            known = shown_hash in (session.token_hash, session.previous_hash)
            if not known or session.active_turn != turn_id:
                return False
            self._change(ref, token_hash=new_hash, previous_hash=shown_hash)
            return True

    def change_settings(self, ref: SessionRef, changes: Settings) -> Settings | None:
        if ref not in self.sessions:
            return None
        return self._change(ref, settings=self.sessions[ref].settings.merged_with(changes)).settings

    def end_session(self, ref: SessionRef) -> str | None:
        self._change(ref, status="ended")
        return self.sessions[ref].active_turn

    def session(self, ref: SessionRef) -> Session | None:
        return self.sessions.get(ref)

    def erase(self, ref: SessionRef) -> None:
        """What whoever erases a session does first."""
        self._change(ref, status=ERASED)

    def sweep(self, ref: SessionRef) -> None:
        self._check("sweep")
        self.history.pop(ref, None)
        found: tuple[dict[Any, Any], ...] = (self.turns, self.inboxes, self.frames)
        for kept in found:
            for key in [key for key in kept if key[0] == ref]:
                del kept[key]

    def conversation(
        self, ref: SessionRef, messages: int, since: str = "MESSAGE#"
    ) -> tuple[Session | None, list[Message]]:
        self._check("conversation")
        with self._lock:
            kept = sorted(self.history.get(ref, {}).items())
            found = [message for key, message in kept if key >= since]
            return self.sessions.get(ref), found[-messages:] if messages else []

    def claim_turn(
        self,
        ref: SessionRef,
        turn_id: str,
        owner: str,
        *,
        attempt: int | None = None,
        received_at_ms: int = 0,
    ) -> Claim | None:
        self._check("claim_turn")
        with self._lock:
            old = self.turns.get((ref, turn_id))
            claim = Claim(attempt or 1, now_ms())
            if old is not None:
                dead = old.state == "running" and old.lease_until_ms < now_ms()
                newer = (
                    old.failed_at_ms < received_at_ms
                    if attempt is None
                    else old.claim.attempt < attempt
                )
                if not (newer and (old.state == "failed" or dead)):
                    return None
                claim = Claim(attempt or old.claim.attempt + 1, old.claim.started_ms)
            turn = MemoryTurn(owner, claim, lease_until_ms=now_ms() + 30_000)
            self.turns[ref, turn_id] = turn
            return claim

    def renew_lease(self, ref: SessionRef, turn_id: str, owner: str) -> bool:
        self._check("renew_lease")
        turn = self.turns[ref, turn_id]
        return (turn.owner, turn.state) == (owner, "running")

    def set_active_turn(
        self, ref: SessionRef, turn_id: str, received_at_ms: int = 0
    ) -> Session | None:
        self._check("set_active_turn")
        with self._lock:
            if ref not in self.sessions or self.sessions[ref].status != "active":
                return None
            if self.active_since.get(ref, 0) > received_at_ms:
                return None
            self.active_since[ref] = received_at_ms
            old = self.sessions[ref]
            self._change(ref, active_turn=turn_id)
            return old

    def finish_turn(
        self,
        ref: SessionRef,
        turn_id: str,
        owner: str,
        *,
        reason: str,
        message_key: str = "",
        words: Sequence[Word] = (),
    ) -> bool:
        self._check("finish_turn")
        with self._lock:
            turn = self.turns[ref, turn_id]
            if (turn.owner, turn.state) != (owner, "running"):
                return False
            turn.state, turn.words, turn.message_key = reason, list(words), message_key
            turn.failed_at_ms = now_ms() if reason == "failed" else 0
            self.reasons[turn_id] = reason
            return True

    def fail_turn(
        self, ref: SessionRef, turn_id: str, owner: str | None, attempt: int = 1
    ) -> Claim | None:
        self._check("fail_turn")
        with self._lock:
            turn = self.turns.get((ref, turn_id))
            if turn is None:
                turn = self.turns[ref, turn_id] = MemoryTurn("", Claim(attempt, now_ms()))
            elif turn.state == "failed" and turn.claim.attempt < attempt:
                turn.claim = Claim(attempt, turn.claim.started_ms)
            elif turn.state == "failed" or not (
                turn.lease_until_ms < now_ms() if owner is None else turn.owner == owner
            ):
                return None
            turn.state, turn.failed_at_ms = "failed", now_ms()
            return turn.claim

    def turn(self, ref: SessionRef, turn_id: str) -> TurnItem | None:
        turn = self.turns.get((ref, turn_id))
        if turn is None:
            return None
        return TurnItem(turn.state, turn.claim, turn.words, turn.message_key, turn.lease_until_ms)

    def put_answer(
        self, ref: SessionRef, turn_id: str, attempt: int, frames: Sequence[bytes]
    ) -> None:
        self._check("put_answer")
        self.answers[ref, turn_id, attempt] = list(frames)

    def answer(self, ref: SessionRef, turn_id: str, attempt: int) -> list[bytes]:
        return self.answers.get((ref, turn_id, attempt), [])

    def put_undelivered(self, ref: SessionRef, frames: Sequence[StoredFrame]) -> None:
        self._check("put_undelivered")
        for frame in frames:
            self.frames[ref, _order(frame)] = frame

    def undelivered(self, ref: SessionRef) -> Iterator[StoredFrame]:
        found = sorted(key for key in self.frames if key[0] == ref)
        yield from [self.frames[key] for key in found]

    def delete_undelivered(self, ref: SessionRef, frames: Sequence[StoredFrame]) -> None:
        for frame in frames:
            del self.frames[ref, _order(frame)]

    def put_message(
        self,
        ref: SessionRef,
        started_ms: int,
        message: Message,
        metrics: Any,
        sound: Sound | None = None,
    ) -> str:
        self._check("put_message")
        with self._lock:
            key = message_key(started_ms, message)
            kept = msgspec.structs.replace(message, started_ms=started_ms)
            self.history.setdefault(ref, {})[key] = kept
            self.metrics.append(metrics)
            self.sounds[message.turn_id, message.role] = sound
            return key

    def forget_reply(self, ref: SessionRef, started_ms: int, turn_id: str) -> None:
        key = message_key(started_ms, Message("assistant", "", turn_id))
        self.history.get(ref, {}).pop(key, None)

    def set_heard(
        self,
        ref: SessionRef,
        message_key: str,
        heard: str,
        received_at_ms: int = 0,
        played_ms: float | None = None,
    ) -> None:
        messages = self.history[ref]
        if received_at_ms < self.heard_at.get(message_key, 0):
            return
        self.heard_at[message_key] = received_at_ms
        messages[message_key] = msgspec.structs.replace(messages[message_key], heard=heard)

    def put_chunk(self, ref: SessionRef, turn_id: str, chunk: ChunkEntry) -> None:
        self._check("put_chunk")
        self._inbox(ref, turn_id)[f"audio#{chunk.seq:06d}"] = chunk

    def put_end(self, ref: SessionRef, turn_id: str, end: EndEntry) -> None:
        self._inbox(ref, turn_id)["end"] = end

    def put_interrupt(self, ref: SessionRef, turn_id: str, interrupt: InterruptEntry) -> None:
        self._inbox(ref, turn_id).setdefault("interrupt", interrupt)

    def put_ack(self, ref: SessionRef, turn_id: str, ack: AckEntry) -> None:
        self._inbox(ref, turn_id)["received"] = ack

    def put_resume(self, ref: SessionRef, turn_id: str, resume: ResumeEntry) -> None:
        self._inbox(ref, turn_id)["resume"] = resume

    def clear_controls(self, ref: SessionRef, turn_id: str, before_ms: int) -> None:
        with self._lock:
            for name in ("interrupt", "received", "resume", "end"):
                self._inbox(ref, turn_id).pop(name, None)

    def read_inbox(self, ref: SessionRef, turn_id: str, next_seq: int) -> list[InboxEntry]:
        self._check("read_inbox")
        with self._lock:
            entries = sorted(self._inbox(ref, turn_id).items())
        first = f"audio#{next_seq:06d}"
        return [entry for key, entry in entries if key >= first]

    def _inbox(self, ref: SessionRef, turn_id: str) -> dict[str, InboxEntry]:
        with self._lock:
            return self.inboxes.setdefault((ref, turn_id), {})

    def _change(self, ref: SessionRef, **changes: Any) -> Session:
        with self._lock:
            old = self.sessions[ref]
            fields = {name: getattr(old, name) for name in old.__slots__}
            new = self.sessions[ref] = Session(**{**fields, **changes})
            return new


def _order(frame: StoredFrame) -> tuple[int, str, int, int]:
    return frame.started_ms, frame.turn_id, frame.attempt, frame.seq


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
    """

    troubles: list[Exception | None] = field(default_factory=list)
    fail_after: int | None = None
    mute: bool = False
    hears_the_end: bool = False
    opened: list[tuple[AudioFormat, str, Endpointing]] = field(default_factory=list)
    streams: list[FakeTranscript] = field(default_factory=list)

    async def open(
        self, audio_format: AudioFormat, language: str, endpointing: Endpointing
    ) -> FakeTranscript:
        self.opened.append((audio_format, language, endpointing))
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is not None and self.fail_after is None:
            raise trouble
        stream = FakeTranscript(self, trouble)
        self.streams.append(stream)
        return stream


class FakeTranscript:
    """One utterance."""

    def __init__(self, provider: FakeTranscriber, trouble: Exception | None) -> None:
        self._provider = provider
        self._trouble = trouble
        self._out: asyncio.Queue[TranscriptPiece | Exception] = asyncio.Queue()
        self.chunks: list[bytes] = []
        self.finished = False
        self.closed = False

    @property
    def _text(self) -> str:
        return b"".join(self.chunks).decode("utf-16-le").strip()

    async def send(self, pcm: bytes) -> None:
        self.chunks.append(pcm)
        if self._trouble is not None and len(self.chunks) == self._provider.fail_after:
            self._out.put_nowait(self._trouble)
            return
        over = self._provider.hears_the_end and self._text.endswith(".")
        self._out.put_nowait(TranscriptPiece(self._text, final=over))

    async def finish(self) -> None:
        self.finished = True
        if not self._provider.mute:
            self._out.put_nowait(TranscriptPiece(self._text, final=True))

    async def pieces(self) -> AsyncIterator[TranscriptPiece]:
        while True:
            piece = await self._out.get()
            if isinstance(piece, Exception):
                raise piece
            yield piece
            if piece.final:
                return

    async def close(self) -> None:
        self.closed = True


# --- the language model ---------------------------------------------------------------

Step = str | Exception | asyncio.Event
"""What a responder does next: says something, fails, or waits until it may go on."""


@dataclass
class FakeResponder:
    """Says what a test says; without `replies`, it repeats what the user said.

    Attributes:
        replies: the steps of each call, in order; after them, the user is repeated.
    """

    replies: list[list[Step]] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)
    warmed_up: int = 0
    connection_reused: bool | None = True

    async def warm_up(self) -> None:
        self.warmed_up += 1

    async def reply(self, prompt: Prompt, asked: Callable[[], None]) -> AsyncGenerator[str, None]:
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
        cut: bytes that are missing at the end of every piece.
    """

    troubles: list[Exception | None] = field(default_factory=list)
    fail_after: int | None = None
    silent: bool = False
    timed: bool = True
    cut: int = 0
    opened: list[tuple[AudioFormat, Settings]] = field(default_factory=list)
    streams: list[FakeSpeech] = field(default_factory=list)

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
        self.finished = False
        self.closed = False

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
        starts = [float(CHAR_MS * i) for i in range(len(text))]
        times = Alignment(list(text), starts, [float(CHAR_MS)] * len(text))
        pcm = sound_of(text)
        pcm = pcm[: len(pcm) - self._provider.cut]
        self._out.put_nowait(SpeechPiece(pcm, times if self._provider.timed else None))

    async def finish(self) -> None:
        self.finished = True
        if not self._provider.silent:
            self._out.put_nowait(None)

    async def pieces(self) -> AsyncIterator[SpeechPiece]:
        while (piece := await self._out.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def close(self) -> None:
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
