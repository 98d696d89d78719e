"""A conversation with a Parley API: one session, over as many connections as it takes.

    async with Conversation.connect("ws://localhost:3001/dev") as conversation:
        reply = await conversation.say("What is the tallest mountain?")

This is what an application sees. `Channel` keeps the session reachable and `Turns`
keeps the books; here is what can be said, and whether it may be.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Mapping
from types import TracebackType
from typing import TypeAlias, cast

from parley_client.channel import HUNG_UP, Channel
from parley_client.chunker import CHUNK_MS, Chunker, PcmSource, cut_into_chunks, pace
from parley_client.client_tools import ClientTools, Tool
from parley_client.destination import Destination, TokenSource, UrlSource
from parley_client.encoder import settings_message
from parley_client.errors import (
    BadAudio,
    BadInput,
    ConversationClosed,
    Ending,
    ParleyClientError,
    SessionLost,
)
from parley_client.message_checks import check_size, check_text, size_of
from parley_client.messages import (
    MAX_CONTEXT_CHARS,
    AudioFormat,
    Choices,
    Config,
    ConfigUpdated,
    Context,
    Endpointing,
    Error,
    Limits,
    Ping,
    Pong,
    Ready,
    SessionEnded,
    Settings,
    SettingsMessage,
    Silence,
)
from parley_client.notices import OnNotice, State, report_failure
from parley_client.options import Reconnect, Timeouts
from parley_client.pause import Pause
from parley_client.pcm import BYTES_PER_SAMPLE, SAMPLE_RATES_HZ
from parley_client.session import Session
from parley_client.speech import Speech
from parley_client.turn import Turn
from parley_client.turns import Turns
from parley_client.utterance import Utterance

OnAgentTurn: TypeAlias = Callable[[Turn], Awaitable[None] | None]
"""What `on_agent_turn` is: `async`, it runs as a task of the conversation."""


class Conversation:
    """One session. `connect` makes it; use it as an async context manager.

    Leaving the block ends the session. Leaving it by an exception only closes the connection.
    """

    def __init__(
        self,
        destination: Destination,
        settings: SettingsMessage,
        *,
        heartbeat_s: float | None,
        timeouts: Timeouts,
        reconnect: Reconnect,
        on_notice: OnNotice | None,
        on_agent_turn: OnAgentTurn | None,
        tools: Mapping[str, Tool],
        agent: str | None,
    ) -> None:
        self._timeouts = timeouts
        self._on_agent_turn = on_agent_turn
        self._hanging_up = False
        functions = ClientTools(tools, lambda: self.limits.max_message_bytes)
        self._session = Session(settings, agent, functions.names)
        self._turns = Turns(
            timeouts,
            reconnect,
            tools=functions,
            pause=Pause(
                rules=lambda: self._opened.silence,
                tell=self._tell_silence,
                hang_up=self._hang_up,
            ),
            on_agent_turn=self._agent_began,
        )
        self._channel = Channel(
            destination,
            self._session,
            self._turns,
            policy=reconnect,
            timeouts=timeouts,
            heartbeat_s=heartbeat_s,
            on_notice=on_notice,
        )
        self._turns.attach(self._channel)

    @classmethod
    def connect(
        cls,
        url: UrlSource,
        settings: Settings | Mapping[str, object] | None = None,
        *,
        token: TokenSource | None = None,
        heartbeat_s: float | None = 240.0,
        timeouts: Timeouts | None = None,
        reconnect: Reconnect | None = None,
        on_notice: OnNotice | None = None,
        on_agent_turn: OnAgentTurn | None = None,
        tools: Mapping[str, Tool] | None = None,
        agent: str | None = None,
    ) -> PendingConversation:
        """Open a session: `async with Conversation.connect(url) as c`, or `await` it.

        Args:
            url: `ws://` or `wss://`, with the stage as its path; or a function,
                `async` or not, that is asked for it at each attempt.
            settings: voice, language, speed, stability, style, consent to be recorded.
            token: what the server lets the user in with; or a function, `async` or not, that
                is asked for one at each attempt, since tokens expire.
            heartbeat_s: how long the connection may be idle before a ping; API
                Gateway closes after 10 minutes. None never pings.
            timeouts: how long to wait for what.
            reconnect: how to survive the loss of the connection.
            on_notice: called at every change of the connection's state, and when a function of
                `tools` fails; it must not block.
            on_agent_turn: called with each turn that the agent begins; `async`, or it must not
                block.
            tools: the functions that the agent may call, by the names that the deployment
                declares; `async`, or run in a thread.
            agent: which of the deployment's agents the session has.

        Raises:
            BadInput: `tools` holds what cannot be offered (when entered or awaited).
            ConnectFailed: nothing usable answers there (when entered or awaited);
                `Unauthorized` if it wants a token, or another one.
            ServerError: the server refuses the session or a setting (likewise).
            ValueError: `heartbeat_s` is not above 0.
        """
        if heartbeat_s is not None and heartbeat_s <= 0:
            raise ValueError("heartbeat_s must be above 0, or None.")

        def make() -> Conversation:
            return cls(
                Destination(url, token),
                _wanted_settings(settings or {}),
                heartbeat_s=heartbeat_s,
                timeouts=timeouts or Timeouts(),
                reconnect=reconnect or Reconnect(),
                on_notice=on_notice,
                on_agent_turn=on_agent_turn,
                tools=tools or {},
                agent=agent,
            )

        return PendingConversation(make)

    @property
    def session_id(self) -> str:
        """Names the session."""
        return self._opened.session_id

    @property
    def resume_token(self) -> str:
        """Resumes the session, together with its id."""
        return self._opened.resume_token

    @property
    def limits(self) -> Limits:
        """What the server accepts."""
        return self._opened.limits

    @property
    def settings(self) -> Settings:
        """Every setting in force."""
        return self._session.settings

    @property
    def choices(self) -> Choices | None:
        """What may be chosen here; None if the server does not say."""
        return self._opened.choices

    @property
    def agent(self) -> str | None:
        """Whom the session is with; None where the deployment has one agent only."""
        return self._session.agent

    @property
    def stand_ins(self) -> tuple[str, ...]:
        """The stages whose provider only stands in for a real one, on a developer's machine."""
        return self._opened.stand_ins

    @property
    def state(self) -> State:
        """`connecting`, `ready`, `reconnecting` or `closed`."""
        return self._channel.state

    @property
    def errors(self) -> deque[Error]:
        """The latest errors that belong to no turn and no request."""
        return self._turns.errors

    @property
    def closed(self) -> bool:
        """Whether nothing more can be said."""
        return self._channel.closed_by is not None

    @property
    def ending(self) -> Ending | None:
        """Why a closed conversation was hung up: `agent`, `silence` or `too_long`; None if it is
        open, was ended here, or was lost."""
        return self._channel.ending if self.closed else None

    async def wait_closed(self) -> None:
        """Wait until nothing more can be said, for whatever reason."""
        await self._channel.closed()

    # --- turns ------------------------------------------------------------------

    def say(self, text: str) -> Turn:
        """Send a typed message. Await the turn for the reply, or iterate over it.

        Raises:
            BadInput: it is empty or too long.
        """
        utterance = Utterance.typed(_new_turn_id(), text)
        message = utterance.opening()
        check_text(text, self.limits.max_text_chars)
        check_size(message, self.limits.max_message_bytes, "text")
        turn = self._turns.begin(utterance)

        async def send() -> None:
            turn.utterance_ended()
            await self._channel.post(message)

        self._channel.spawn(send(), turn.fail)
        return turn

    def speak(
        self,
        audio: PcmSource,
        *,
        format: AudioFormat = "pcm_16000",
        endpointing: Endpointing = "manual",
        real_time: bool = True,
        chunk_ms: int | None = None,
        companding: bool = True,
    ) -> Turn:
        """Send speech. Transcripts come while it is still being sent.

        Args:
            audio: 16-bit mono PCM, whole or in pieces of any size; an async
                iterable may be live, its end is the end of the utterance.
            format: its sample rate.
            endpointing: who finds the end: `manual` the client, `server_vad` the server, where
                `choices.endpointing` has it.
            real_time: send as a microphone would, rather than at once.
            chunk_ms: how much audio goes into one message, at most. A message is sent sooner at the
                beginning and when speech pauses. Default: 480, or what the server takes.
            companding: whether `pcm_16000` is sent in 8 bits a sample (µ-law) where the server
                takes it, at half the price.

        Raises:
            BadAudio: the format or the chunk's length cannot be sent.
            BadInput: the server does not find the end of what is said.
        """
        if format not in SAMPLE_RATES_HZ:
            allowed = ", ".join(SAMPLE_RATES_HZ)
            raise BadAudio(f"The audio format {format!r} is not one of {allowed}.")
        rate_hz = SAMPLE_RATES_HZ[format]
        most_bytes = self.limits.max_chunk_bytes // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE
        if chunk_ms is None:
            chunk_bytes = min(rate_hz * CHUNK_MS // 1000 * BYTES_PER_SAMPLE, most_bytes)
        else:
            chunk_bytes = rate_hz * chunk_ms // 1000 * BYTES_PER_SAMPLE
        if not 0 < chunk_bytes <= most_bytes:
            longest_ms = self.limits.max_chunk_bytes * 1000 // (BYTES_PER_SAMPLE * rate_hz)
            raise BadAudio(
                f"A chunk of {chunk_ms} ms cannot be sent: 1 to {longest_ms} ms of {format} can."
            )
        able = self.choices.endpointing if self.choices is not None else ()
        if able and endpointing not in able:
            raise BadInput(
                f"This server's transcriber takes the endpointing {' or '.join(able)} only, "
                f"not {endpointing!r}."
            )
        takes = self.choices.speech_formats if self.choices is not None else ()
        mulaw = companding and format == "pcm_16000" and "mulaw_16000" in takes
        turn = self._turns.begin(
            Utterance.spoken(_new_turn_id(), "mulaw_16000" if mulaw else format, endpointing)
        )
        chunker = Chunker(chunk_bytes, rate_hz, silence_awaited=endpointing == "server_vad")
        chunks = cut_into_chunks(audio, chunker)
        paced = pace(chunks, rate_hz) if real_time else chunks
        speech = Speech(turn, self._channel.post, self.limits.max_chunks)
        self._channel.spawn(speech.send(paced), turn.fail)
        return turn

    async def interrupt(self, played_ms: float | None = None) -> None:
        """Stop the latest reply, of which `played_ms` of audio have been heard.

        None assumes that it was played as it came. A reply that has ended may be interrupted
        too, while its audio still plays.
        """
        if self._turns.latest is not None:
            await self._turns.interrupt(self._turns.latest, played_ms)

    # --- the session ------------------------------------------------------------

    async def tell(self, fact: str) -> None:
        """Tell a fact that the agent's next reply knows, such as what the user looks at. Nothing
        is said of it.

        Raises:
            BadInput: it is empty, longer than 2,000 characters, or not taken here.
        """
        if self.choices is None or not self.choices.context:
            raise BadInput(
                "This deployment takes no facts from an application: `choices.context` says "
                "whether it does."
            )
        message: Context = {"type": "context", "text": fact}
        check_text(fact, MAX_CONTEXT_CHARS, act="tell", done="told")
        check_size(message, self.limits.max_message_bytes, "text")
        await self._channel.post(message)

    async def configure(self, settings: Settings | Mapping[str, object]) -> Settings:
        """Change settings from the next turn on; return every setting in force."""
        message: Config = {"type": "config", "settings": _wanted_settings(settings)}
        answer = await self._channel.request(message, ConfigUpdated, self._timeouts.request_s)
        self._session.configured(answer.settings)
        return answer.settings

    async def ping(self) -> float:
        """Send a `ping`; return the round trip in ms."""
        started_s = time.perf_counter()
        message: Ping = {"type": "ping", "sent_at": time.time() * 1000}
        await self._channel.request(message, Pong, self._timeouts.request_s)
        return (time.perf_counter() - started_s) * 1000

    async def end(self) -> None:
        """End the session and close the connection."""
        try:
            if not self.closed:
                await self._turns.acknowledged()
                await self._channel.request({"type": "end"}, SessionEnded, self._timeouts.request_s)
        except ConversationClosed:
            pass  # it was hung up meanwhile
        except SessionLost as lost:
            if lost.code != "session_not_found":
                raise
            # it has ended as it should, and the connection broke before the server said so
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connection; the session stays as it is."""
        await self._channel.close(ConversationClosed("The conversation was closed."))

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

    # --- inside -----------------------------------------------------------------

    @property
    def _opened(self) -> Ready:
        assert self._session.ready is not None, "made by `connect`, which waits for `ready`"
        return self._session.ready

    async def _open(self) -> Conversation:
        try:
            await self._channel.start()
        except ParleyClientError as why:
            await self._channel.close(why)
            raise
        except BaseException:
            await self.close()
            raise
        return self

    def _agent_began(self, turn: Turn) -> None:
        if self._on_agent_turn is None:
            return
        try:
            following = self._on_agent_turn(turn)
        except Exception as theirs:
            report_failure("on_agent_turn", theirs)
            return
        if following is not None:
            self._channel.spawn(_awaited(following), self._agent_turn_failed)

    def _agent_turn_failed(self, error: Exception) -> None:
        if error is not self._channel.closed_by:
            report_failure("on_agent_turn", error)

    def _tell_silence(self, silent_ms: float) -> None:
        message: Silence = {"type": "silence", "silent_ms": round(silent_ms, 1)}
        self._channel.spawn(self._channel.post(message, always=True))

    def _hang_up(self) -> None:
        if not self._hanging_up:
            self._hanging_up = True
            self._channel.ending = "agent"
            self._channel.spawn(self._end_session(), lambda _: None)

    async def _end_session(self) -> None:
        await self._turns.acknowledged()
        try:
            await self._channel.request({"type": "end"}, SessionEnded, self._timeouts.request_s)
        except ParleyClientError:
            # The server has ended it, or does not answer: there is nothing more to say.
            await self._channel.close(ConversationClosed(HUNG_UP["agent"], ending="agent"))


class PendingConversation:
    """A conversation about to be opened: `await` it, or enter it."""

    def __init__(self, make: Callable[[], Conversation]) -> None:
        self._make = make
        self._opened: Conversation | None = None

    async def _open(self) -> Conversation:
        return await self._make()._open()

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


_turns_begun = itertools.count()


def _new_turn_id() -> str:
    """Unique, and sorts after those before it: of two turns that arrive in the same millisecond,
    the server takes the one that sorts last for the newer."""
    now_ms = int(time.time() * 1000)
    return f"{now_ms:012x}{next(_turns_begun):08x}{secrets.token_hex(6)}"


def _wanted_settings(settings: Settings | Mapping[str, object]) -> SettingsMessage:
    if isinstance(settings, Settings):
        found = settings_message(settings)
    else:
        given = {name: value for name, value in settings.items() if value is not None}
        found = cast(SettingsMessage, given)  # the server says what is wrong with it
    size_of(found, "settings")  # refuses what has none
    return found


async def _awaited(following: Awaitable[None]) -> None:
    await following
