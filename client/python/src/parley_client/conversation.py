"""A conversation with a Parley API: one session over one connection.

    async with Conversation.connect("ws://localhost:3001/dev") as conversation:
        reply = await conversation.say("What is the tallest mountain?")

The connection is opened once and its loss is an error. What a return would need
is kept here (`session_id`, `resume_token`) and in each turn (`received_seq`).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from types import TracebackType

from parley_client.audio import BYTES_PER_SAMPLE, PcmSource, chunks, in_real_time, sample_rate_hz
from parley_client.connection import Connection
from parley_client.errors import (
    BadAudio,
    BadInput,
    ConversationClosed,
    ParleyClientError,
)
from parley_client.link import Link
from parley_client.messages import (
    PROTOCOL_VERSION,
    AudioFormat,
    ConfigUpdated,
    Endpointing,
    Error,
    Limits,
    Message,
    Pong,
    Ready,
    SessionEnded,
    Settings,
    TurnEnd,
    TurnEvent,
    encode,
)
from parley_client.speaking import Speech
from parley_client.turn import Turn


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the client waits, in seconds."""

    connect_s: float = 15.0
    """For the handshake, and again for `ready`: room for a cold start."""
    request_s: float = 15.0
    """For the answer to `config`, `ping` and `end`."""
    answer_s: float | None = 60.0
    """Between two events of a turn once the utterance has ended; None waits for ever."""
    gap_s: float = 3.0
    """For an event that later ones have overtaken."""


class Conversation:
    """One session. Made by `connect`; use it as an async context manager.

    Leaving the block ends the session; leaving it by an exception only closes
    the connection.
    """

    def __init__(self, connection: Connection, timeouts: Timeouts) -> None:
        self._link = Link(connection, self)
        self._timeouts = timeouts
        self._turns: dict[str, Turn] = {}
        self._speeches: dict[str, Speech] = {}
        self._acks: set[asyncio.Task[None]] = set()
        self._latest: Turn | None = None
        self._ready: Ready | None = None
        self._settings = Settings()
        self.errors: deque[Error] = deque(maxlen=32)
        """The latest errors that belong to no turn and no request."""

    @classmethod
    def connect(
        cls,
        url: str,
        settings: Settings | Mapping[str, object] | None = None,
        *,
        heartbeat_s: float | None = 240.0,
        timeouts: Timeouts | None = None,
    ) -> Connecting:
        """Open a session: `async with Conversation.connect(url) as c`, or `await` it.

        Args:
            url: `ws://` or `wss://`, with the stage as its path.
            settings: voice, language, speed, stability, style.
            heartbeat_s: how often to ping; API Gateway closes after 10 idle
                minutes. None never does.
            timeouts: how long to wait for what.

        Raises:
            ConnectFailed: nothing usable answers there (when entered or awaited).
            ServerError: the server refuses the session or a setting (likewise).
        """
        return Connecting(cls, url, settings, heartbeat_s, timeouts or Timeouts())

    @property
    def session_id(self) -> str:
        """Names the session."""
        return self._opened.session_id

    @property
    def resume_token(self) -> str:
        """What returning to the session takes, beside its id."""
        return self._opened.resume_token

    @property
    def limits(self) -> Limits:
        """What the server accepts."""
        return self._opened.limits

    @property
    def settings(self) -> Settings:
        """Every setting in force."""
        return self._settings

    @property
    def closed(self) -> bool:
        """Whether nothing more can be said."""
        return self._link.closed_by is not None

    # --- turns ------------------------------------------------------------------

    def say(self, text: str) -> Turn:
        """Send a typed message. Await the turn for the reply, or iterate over it.

        Raises:
            BadInput: it is empty or too long.
        """
        message: Message = {"type": "user_message", "turn_id": _new_turn_id(), "text": text}
        self._check_text(text, message)
        turn = self._new_turn(str(message["turn_id"]), spoken=False)

        async def send() -> None:
            turn.utterance_ended()
            await self._link.post(message)

        self._link.spawn(send(), turn.fail)
        return turn

    def speak(
        self,
        audio: PcmSource,
        *,
        format: AudioFormat = "pcm_16000",
        endpointing: Endpointing = "manual",
        real_time: bool = True,
        chunk_ms: int = 100,
    ) -> Turn:
        """Send speech. Transcripts come while it is still being sent.

        Args:
            audio: 16-bit mono PCM, whole or in pieces of any size; an async
                iterable may be live, its end is the end of the utterance.
            format: its sample rate.
            endpointing: who finds the end: `manual` the client, `server_vad` the server.
            real_time: send as a microphone would, rather than at once.
            chunk_ms: how much audio goes into one message.

        Raises:
            BadAudio: the format or the chunk's length cannot be sent.
        """
        rate_hz = sample_rate_hz(format)
        chunk_bytes = rate_hz * chunk_ms // 1000 * BYTES_PER_SAMPLE
        if not 0 < chunk_bytes <= self.limits.max_chunk_bytes:
            longest_ms = self.limits.max_chunk_bytes * 1000 // (BYTES_PER_SAMPLE * rate_hz)
            raise BadAudio(
                f"A chunk of {chunk_ms} ms cannot be sent: 1 to {longest_ms} ms of {format} can."
            )
        turn = self._new_turn(_new_turn_id(), spoken=True)
        start: Message = {
            "type": "audio_start",
            "turn_id": turn.turn_id,
            "format": format,
            "endpointing": endpointing,
        }
        cut = chunks(audio, chunk_bytes)
        paced = in_real_time(cut, rate_hz) if real_time else cut
        speech = Speech(turn, self._link.post, self.limits.max_chunks)
        self._speeches[turn.turn_id] = speech
        self._link.spawn(speech.send(start, paced), turn.fail)
        return turn

    async def interrupt(self, played_ms: float | None = None) -> None:
        """Stop the latest reply, of which `played_ms` of audio have been heard.

        None assumes that it was played as it came. A reply that has ended may
        be interrupted too, while its audio is still playing.
        """
        if self._latest is not None:
            await self._interrupt(self._latest, played_ms)

    # --- the session ------------------------------------------------------------

    async def configure(self, settings: Settings | Mapping[str, object]) -> Settings:
        """Change settings from the next turn on; returns every setting in force."""
        message: Message = {"type": "config", "settings": _settings_json(settings)}
        answer = await self._link.request(message, ConfigUpdated, self._timeouts.request_s)
        self._settings = answer.settings
        return self._settings

    async def ping(self) -> float:
        """Ask for a sign of life; returns the round trip in ms."""
        started_s = time.perf_counter()
        message: Message = {"type": "ping", "sent_at": time.time() * 1000}
        await self._link.request(message, Pong, self._timeouts.request_s)
        return (time.perf_counter() - started_s) * 1000

    async def end(self) -> None:
        """End the session and close the connection."""
        if not self.closed:
            try:
                await asyncio.gather(*self._acks)
                await self._link.request({"type": "end"}, SessionEnded, self._timeouts.request_s)
            finally:
                await self.close()

    async def close(self) -> None:
        """Close the connection; the session stays as it is."""
        await self._link.close(ConversationClosed("The conversation was closed."))

    async def __aenter__(self) -> Conversation:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            await self.end()
        else:
            await self.close()

    # --- sending ----------------------------------------------------------------

    @property
    def _opened(self) -> Ready:
        assert self._ready is not None, "made by `connect`, which waits for `ready`"
        return self._ready

    async def _open(self, settings: Message, heartbeat_s: float | None) -> None:
        init: Message = {"type": "init", "protocol": PROTOCOL_VERSION}
        if settings:
            init["settings"] = settings
        self._ready = await self._link.request(init, Ready, self._timeouts.connect_s)
        self._settings = self._ready.settings
        if heartbeat_s is not None:
            self._link.spawn(self._link.beat(heartbeat_s, self._timeouts.request_s))

    def _check_text(self, text: str, message: Message) -> None:
        if not text.strip():
            raise BadInput("There is nothing to say: the text is empty.")
        if len(text) > self.limits.max_text_chars:
            raise BadInput(
                f"The text has {len(text):,} characters; at most "
                f"{self.limits.max_text_chars:,} can be said at once."
            )
        try:
            size = len(encode(message).encode())
        except UnicodeEncodeError:
            raise BadInput("The text has half a character in it (a lone surrogate).") from None
        if size > self.limits.max_message_bytes:
            # API Gateway would close the connection (1009) rather than answer
            raise BadInput(
                f"The text makes a message of {size:,} bytes; at most "
                f"{self.limits.max_message_bytes:,} can be sent."
            )

    def _new_turn(self, turn_id: str, *, spoken: bool) -> Turn:
        self._link.check_open()
        turn = Turn(
            turn_id,
            spoken=spoken,
            interrupt=self._interrupt,
            gap_timeout_s=self._timeouts.gap_s,
            answer_timeout_s=self._timeouts.answer_s,
        )
        self._turns = {id_: each for id_, each in self._turns.items() if not each.done}
        self._speeches = {id_: each for id_, each in self._speeches.items() if id_ in self._turns}
        self._turns[turn_id] = self._latest = turn
        return turn

    async def _interrupt(self, turn: Turn, played_ms: float | None) -> None:
        played_ms = turn.played_ms if played_ms is None else played_ms
        await self._link.post(
            {"type": "interrupt", "turn_id": turn.turn_id, "played_ms": round(played_ms, 1)}
        )

    # --- told by the link -------------------------------------------------------

    def on_turn_event(self, event: TurnEvent) -> None:
        """An event of a turn, or an error that answers no request."""
        if event.seq is None or event.turn_id is None:
            self._refused(event)
        elif (turn := self._turns.get(event.turn_id)) is not None:
            for each in turn.receive(event):
                self._attend(turn, each)

    def on_closed(self, reason: ParleyClientError) -> None:
        """Nothing more will come."""
        for turn in self._turns.values():
            turn.fail(reason)

    # --- receiving --------------------------------------------------------------

    def _attend(self, turn: Turn, event: TurnEvent) -> None:
        """Do what an event asks of the client."""
        if isinstance(event, TurnEnd):
            self._acks = {ack for ack in self._acks if not ack.done()}
            self._acks.add(self._link.spawn(self._acknowledge(turn, event.seq)))
        elif isinstance(event, Error) and event.code == "audio_gap" and turn.spoken:
            speech = self._speeches[turn.turn_id]
            self._link.spawn(speech.send_again(event.missing), turn.fail)

    async def _acknowledge(self, turn: Turn, seq: int) -> None:
        try:
            await self._link.post({"type": "ack", "turn_id": turn.turn_id, "seq": seq})
        except ParleyClientError:
            return  # the reply is here; the server keeps its copy a little longer

    def _refused(self, error: Error) -> None:
        """An unnumbered error: find out whose it is."""
        turn = self._turns.get(error.turn_id or "")
        if turn is not None:
            turn.refuse(error)
            self._attend(turn, error)
            return
        self.errors.append(error)
        if error.turn_id is None:
            self._blame_a_turn(error)

    def _blame_a_turn(self, error: Error) -> None:
        """An error that names nothing is about a message just sent. A typed turn
        without an event has sent one only; of a spoken turn's many, the loss of
        a chunk mends itself, and the loss of its start shows as silence."""
        for turn in self._turns.values():
            if not turn.done and not turn.started:
                if turn.spoken:
                    turn.stray_error(error)
                else:
                    turn.refuse(error)
                return


class Connecting:
    """A conversation about to be opened: `await` it, or enter it."""

    def __init__(
        self,
        conversation: type[Conversation],
        url: str,
        settings: Settings | Mapping[str, object] | None,
        heartbeat_s: float | None,
        timeouts: Timeouts,
    ) -> None:
        self._class = conversation
        self._url = url
        self._settings = _settings_json(settings or {})
        self._heartbeat_s = heartbeat_s
        self._timeouts = timeouts
        self._opened: Conversation | None = None

    async def _open(self) -> Conversation:
        connection = await Connection.open(self._url, self._timeouts.connect_s)
        conversation = self._class(connection, self._timeouts)
        try:
            await conversation._open(self._settings, self._heartbeat_s)
        except BaseException:
            await conversation.close()
            raise
        return conversation

    def __await__(self) -> Generator[object, None, Conversation]:
        return self._open().__await__()

    async def __aenter__(self) -> Conversation:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._opened is not None, "left before it was entered"
        await self._opened.__aexit__(kind, error, traceback)


def _new_turn_id() -> str:
    return uuid.uuid4().hex


def _settings_json(settings: Settings | Mapping[str, object]) -> Message:
    if isinstance(settings, Settings):
        return settings.as_json()
    return {name: value for name, value in settings.items() if value is not None}
