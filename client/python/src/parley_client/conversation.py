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
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from parley_client.audio import BYTES_PER_SAMPLE, PcmSource, chunks, in_real_time, sample_rate_hz
from parley_client.connection import Connection
from parley_client.errors import (
    AnswerTimeout,
    BadAudio,
    BadInput,
    ConversationClosed,
    ParleyClientError,
    ServerError,
)
from parley_client.messages import (
    PROTOCOL_VERSION,
    Answer,
    AudioFormat,
    ConfigUpdated,
    Endpointing,
    Error,
    Limits,
    Message,
    Pong,
    Ready,
    ServerEvent,
    SessionEnded,
    Settings,
    TurnEnd,
    TurnEvent,
    encode,
    to_base64,
)
from parley_client.requests import Requests
from parley_client.turn import Turn

A = TypeVar("A", bound=Answer)


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
        self._connection = connection
        self._timeouts = timeouts
        self._requests = Requests()
        self._turns: dict[str, Turn] = {}
        self._latest: Turn | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed_by: ParleyClientError | None = None
        self._ready: Ready | None = None
        self._settings = Settings()
        self.errors: deque[Error] = deque(maxlen=32)
        """The latest errors that belong to no turn and no request."""
        self._receiver = asyncio.create_task(self._receive())

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
        return self._closed_by is not None

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
            await self._post(message)

        self._run_for(turn, send())
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
        self._run_for(
            turn, self._speak(turn, start, in_real_time(cut, rate_hz) if real_time else cut)
        )
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
        self._settings = (await self._request(message, ConfigUpdated)).settings
        return self._settings

    async def ping(self) -> float:
        """Ask for a sign of life; returns the round trip in ms."""
        started_s = time.perf_counter()
        await self._request({"type": "ping", "sent_at": time.time() * 1000}, Pong)
        return (time.perf_counter() - started_s) * 1000

    async def end(self) -> None:
        """End the session and close the connection."""
        if not self.closed:
            try:
                await self._request({"type": "end"}, SessionEnded)
            finally:
                await self.close()

    async def close(self) -> None:
        """Close the connection; the session stays as it is."""
        self._shut(ConversationClosed("The conversation was closed."))
        tasks = [
            task for task in (*self._tasks, self._receiver) if task is not asyncio.current_task()
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._connection.close()

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
        self._ready = await self._request(init, Ready, self._timeouts.connect_s)
        self._settings = self._ready.settings
        if heartbeat_s is not None:
            self._spawn(self._heartbeat(heartbeat_s))

    async def _post(self, message: Message) -> None:
        if self._closed_by is not None:
            raise self._closed_by
        await self._connection.send(message)

    async def _request(
        self, message: Message, answer: type[A], timeout_s: float | None = None
    ) -> A:
        kind = str(message["type"])
        future = self._requests.expect(kind, answer)
        timeout_s = timeout_s or self._timeouts.request_s
        try:
            await self._post(message)
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise AnswerTimeout(
                f"The server at {self._connection.url} didn't answer `{kind}` within {timeout_s:g} s."
            ) from None
        finally:
            self._requests.forget(future)

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
        if self._closed_by is not None:
            raise self._closed_by
        turn = Turn(
            turn_id,
            spoken=spoken,
            interrupt=self._interrupt,
            gap_timeout_s=self._timeouts.gap_s,
            answer_timeout_s=self._timeouts.answer_s,
        )
        self._turns = {id_: each for id_, each in self._turns.items() if not each.done}
        self._turns[turn_id] = self._latest = turn
        return turn

    async def _interrupt(self, turn: Turn, played_ms: float | None) -> None:
        played_ms = turn.played_ms if played_ms is None else played_ms
        await self._post(
            {"type": "interrupt", "turn_id": turn.turn_id, "played_ms": round(played_ms, 1)}
        )

    async def _speak(self, turn: Turn, start: Message, source: PacedChunks) -> None:
        await self._post(start)
        sending = asyncio.create_task(self._send_chunks(turn, source))
        enough = asyncio.create_task(turn.utterance_over.wait())
        try:
            await asyncio.wait({sending, enough}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        except Exception:
            await self._post({"type": "interrupt", "turn_id": turn.turn_id, "played_ms": 0})
            raise
        finally:
            sending.cancel()
            enough.cancel()
            await asyncio.gather(sending, enough, return_exceptions=True)
        if not turn.done:
            turn.utterance_ended()
            await self._post(
                {"type": "audio_end", "turn_id": turn.turn_id, "chunks": turn.chunk_count}
            )

    async def _send_chunks(self, turn: Turn, source: PacedChunks) -> None:
        async with aclosing(source):
            async for chunk in source:
                if turn.chunk_count == self.limits.max_chunks:
                    raise BadAudio(
                        f"The speech is too long: at most {self.limits.max_chunks:,} chunks "
                        "can be sent. Send longer chunks, or stop earlier."
                    )
                await self._post_chunk(turn, turn.remember_chunk(chunk), chunk)

    async def _post_chunk(self, turn: Turn, seq: int, chunk: bytes) -> None:
        await self._post(
            {"type": "audio_chunk", "turn_id": turn.turn_id, "seq": seq, "audio": to_base64(chunk)}
        )

    async def _send_again(self, turn: Turn, missing: tuple[int, ...]) -> None:
        for seq in missing:
            if (chunk := turn.chunk(seq)) is not None:
                await self._post_chunk(turn, seq, chunk)

    async def _heartbeat(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.ping()
            except ParleyClientError as silent:
                # A connection that has died quietly is only found out this way.
                self._shut(silent)
                await self._connection.close()
                return

    def _run_for(self, turn: Turn, work: Coroutine[object, object, None]) -> None:
        """Run `work` in the background; what it raises, the turn raises."""

        def failed(error: Exception) -> None:
            turn.fail(error)

        self._spawn(work, failed)

    def _spawn(
        self,
        work: Coroutine[object, object, None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)

        def finished(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            error = None if done.cancelled() else done.exception()
            if isinstance(error, Exception) and failed is not None:
                failed(error)

        task.add_done_callback(finished)

    # --- receiving --------------------------------------------------------------

    async def _receive(self) -> None:
        try:
            async for event in self._connection.events():
                self._dispatch(event)
        except ParleyClientError as ended:
            self._shut(ended)
            await self._connection.close()

    def _dispatch(self, event: ServerEvent) -> None:
        if isinstance(event, Answer):
            self._requests.answer(event)
        elif isinstance(event, Error) and (event.seq is None or event.turn_id is None):
            self._refused(event)
        elif (turn := self._turns.get(event.turn_id or "")) is not None:
            for each in turn.receive(event):
                self._attend(turn, each)

    def _attend(self, turn: Turn, event: TurnEvent) -> None:
        """Do what an event asks of the client."""
        if isinstance(event, TurnEnd):
            self._spawn(self._acknowledge(turn, event.seq))
        elif isinstance(event, Error) and event.code == "audio_gap":
            self._spawn(self._send_again(turn, event.missing), turn.fail)

    async def _acknowledge(self, turn: Turn, seq: int) -> None:
        try:
            await self._post({"type": "ack", "turn_id": turn.turn_id, "seq": seq})
        except ParleyClientError:
            return  # the reply is here; the server keeps its copy a little longer

    def _refused(self, error: Error) -> None:
        """An unnumbered error: find out whose it is."""
        turn = self._turns.get(error.turn_id or "")
        if turn is not None:
            turn.refuse(error)
            self._attend(turn, error)
            return
        kind = (error.field or "").partition(".")[0] or None
        if self._requests.refuse(ServerError(error), kind):
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

    def _shut(self, reason: ParleyClientError) -> None:
        """Nothing can be sent or will come any more."""
        if self._closed_by is None:
            self._closed_by = reason
        self._requests.fail_all(reason)
        for turn in self._turns.values():
            turn.fail(reason)


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
