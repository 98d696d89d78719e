"""The wire protocol, version 1: the messages and their limits.

This module is the only description of the protocol. JSON Schema, AsyncAPI and the clients' types
are generated from it. `parley.protocol.decoder` reads what a client sent, with errors that name
field and rule.

A message is one JSON text frame with a `type`. Unknown fields are ignored, so an older server
understands a newer client. Unknown types are refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from parley.errors import ErrorCode, ParleyError
from parley.limit import Limit

PROTOCOL_VERSION = 1

MAX_MESSAGE_BYTES = 32_768
"""API Gateway's limit of a WebSocket frame ("Amazon API Gateway quotas"). A browser cannot choose
its frames, so this limits a whole client message."""
MAX_CHUNK_BYTES = 20_480
"""Raw audio in one chunk. In base64 it is 27.3 KB, which leaves room for the JSON."""
MAX_TEXT_CHARS = 8_000
"""Of a typed turn."""
MAX_CHUNKS = 9_000
"""Chunks of 100 ms in 15 minutes, the longest invocation that Lambda allows. Usual ones are
longer."""
MAX_STYLE_CHARS = 1_000
"""Of the setting `style`."""
MIN_SPEED, MAX_SPEED = 0.7, 1.2
"""Of the setting `speed`: what every voice still speaks well."""
MAX_ATTEMPTS = 100
"""How often a turn may be sent again after it has failed."""
MAX_RESULT_CHARS = 8_000
"""Of a tool's result, as the model gets it."""
MAX_CONTEXT_CHARS = 2_000
"""Of a fact that a client or a backend tells."""
MAX_CLIENT_TOOLS = 64
"""How many of the deployment's client tools an application may have."""

AudioFormat = Literal["pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "pcm_44100", "pcm_48000"]
"""Signed 16-bit little-endian mono PCM. The number is the sample rate in Hz."""
SpeechFormat = Literal[
    "pcm_8000",
    "pcm_16000",
    "pcm_22050",
    "pcm_24000",
    "pcm_44100",
    "pcm_48000",
    "mulaw_16000",
]
"""How the user's speech is coded: PCM as in `AudioFormat`, or µ-law (ITU-T G.711), 8 bits a sample,
at 16 kHz."""
Endpointing = Literal["manual", "server_vad"]
"""Who finds the end of an utterance: the client, or the transcriber."""
SettingName = Literal["language", "speed", "voice", "stability", "style", "record"]
"""The fields of `Settings`."""
Stage = Literal["transcriber", "responder", "synthesizer"]
"""Speech to text, the language model, text to speech."""
Role = Literal["user", "assistant", "context"]
"""Of a message of the history. `context` is a fact that a backend or a page has told; clients are
not sent it."""
SessionEndReason = Literal["ended", "replaced", "silence", "too_long"]
"""The client ended the session, another connection took it over, the user was silent for too long,
or the session has lasted as long as the deployment allows."""
AgentTurnCause = Literal["greeting", "say", "silence"]
"""Why the agent begins a turn: it greets, a backend has it say something, or the user is silent."""
ToolState = Literal["running", "done", "failed", "cancelled", "unknown"]
"""A call runs, has a result, failed, was not run or not waited for, or nobody knows whether it
acted."""
TurnEndReason = Literal["completed", "interrupted", "failed"]
"""Why a turn is over."""

END = r"$(?!\n)"
"""The end of a pattern. Python's `$` alone also matches before a line break at the end of a text.
This does not, and the dialect of JSON Schema has it too."""

VOICE = "^[A-Za-z0-9_-][A-Za-z0-9_.:+()-]{0,127}" + END
"""The id of a voice, of whichever vendor. It may stand in a path: it never begins with a dot."""

Identifier = Annotated[
    str,
    Meta(
        pattern="^[A-Za-z0-9_-]{1,64}" + END,
        description="1 to 64 characters of A-Z, a-z, 0-9, '_' and '-'",
    ),
]
ToolName = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}" + END)]
CallId = Annotated[str, Meta(pattern="^[A-Za-z0-9_.-]{1,160}" + END)]
GatewayId = Annotated[str, Meta(pattern="^[A-Za-z0-9_=-]{1,64}" + END)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
ChunkSeq = Annotated[int, Meta(ge=1, le=MAX_CHUNKS)]
PauseNumber = Annotated[int, Meta(ge=1, le=MAX_CHUNKS)]
Attempt = Annotated[int, Meta(ge=1, le=MAX_ATTEMPTS)]
Milliseconds = Annotated[float, Meta(ge=0, le=86_400_000)]


class Settings(Struct, omit_defaults=True, frozen=True):
    """The settings of a session's replies. Every field is optional. A field that is not set keeps
    the deployment's default. `ready.choices` says which fields a client may set."""

    voice: Annotated[str, Meta(pattern=VOICE)] | UnsetType = UNSET
    """The synthesizer's id of a voice; of Kokoro's, also a mix such as `af_bella+af_sky`."""
    language: Annotated[str, Meta(pattern="^[a-z]{2,3}" + END)] | UnsetType = UNSET
    """ISO 639 code of the language spoken, e.g. `en`."""
    speed: Annotated[float, Meta(ge=MIN_SPEED, le=MAX_SPEED)] | UnsetType = UNSET
    """How fast the voice speaks; 1 is its own speed."""
    stability: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    """How even the voice sounds; low values vary more."""
    style: Annotated[str, Meta(max_length=MAX_STYLE_CHARS)] | UnsetType = UNSET
    """How to reply, in words, e.g. `Answer like a pirate, in one sentence.`"""
    record: bool | UnsetType = UNSET
    """The user consents to being recorded. A deployment that does not record answers `false` in any
    case."""

    def merged_with(self, newer: Settings) -> Settings:
        """Return these settings, overridden by everything that `newer` sets."""
        return msgspec.convert(
            {**msgspec.to_builtins(self), **msgspec.to_builtins(newer)}, Settings
        )


NO_SETTINGS = Settings()


class Received(Struct, frozen=True, omit_defaults=True):
    """How far a returning client has got: it has every event up to `seq` of its oldest turn that
    has not ended, or of its latest turn."""

    turn_id: Identifier
    seq: Count
    attempt: Attempt = 1


# --- client to server ---------------------------------------------------------


class ClientMessage(Struct, tag_field="type"):
    """Base of every message that a client sends."""


class Init(ClientMessage, tag="init"):
    """First message on every connection: opens a session or resumes one."""

    protocol: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    session_id: Identifier | None = None
    resume_token: Annotated[str, Meta(max_length=256)] | None = None
    received: Received | None = None
    settings: Settings = Settings()
    agent: Identifier | None = None
    """Which of the deployment's agents a new session has; one that the token allows."""
    tools: Annotated[list[ToolName], Meta(max_length=MAX_CLIENT_TOOLS)] = []
    """Which of the deployment's client tools this application has functions for."""


class UserMessage(ClientMessage, tag="user_message"):
    """A typed turn.

    `attempt` counts from 1. The same attempt of a turn runs once, however often it is sent. A turn
    that has failed runs again with the next attempt, or when it is sent without an attempt.
    """

    turn_id: Identifier
    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARS)]
    attempt: Attempt | None = None


class AudioStart(ClientMessage, tag="audio_start"):
    """A spoken turn begins. `attempt` is as in `user_message`."""

    turn_id: Identifier
    format: SpeechFormat = "pcm_16000"
    """One of `choices.speech_formats`."""
    endpointing: Endpointing = "manual"
    attempt: Attempt | None = None
    pauses: bool = False
    """Whether the client tells of pauses (`speech_paused`), so that nothing else is taken for
    one."""


class AudioChunk(ClientMessage, tag="audio_chunk"):
    """Up to 20 KB of the utterance, an even number of bytes in every format; 480 ms is usual."""

    turn_id: Identifier
    seq: ChunkSeq
    audio: Annotated[bytes, Meta(min_length=2, max_length=MAX_CHUNK_BYTES)]


class SpeechPaused(ClientMessage, tag="speech_paused"):
    """Speech seems to pause: everything that was said until now is in the chunks up to `chunks`.

    `pause` counts the pauses of the utterance. Of use where `choices.preemptive_replies` says so.
    """

    turn_id: Identifier
    chunks: Annotated[int, Meta(ge=0, le=MAX_CHUNKS)]
    pause: PauseNumber


class SpeechResumed(ClientMessage, tag="speech_resumed"):
    """Speech goes on after a pause."""

    turn_id: Identifier
    pause: PauseNumber


class AudioEnd(ClientMessage, tag="audio_end"):
    """The user has finished. `chunks` says how many chunks there were.

    `pause` names the pause that still holds: nothing was said after it had begun.
    """

    turn_id: Identifier
    chunks: Annotated[int, Meta(ge=0, le=MAX_CHUNKS)]
    pause: PauseNumber | None = None


class Interrupt(ClientMessage, tag="interrupt"):
    """Stop the reply. The user has heard `played_ms` of its audio."""

    turn_id: Identifier
    played_ms: Milliseconds


class Config(ClientMessage, tag="config"):
    """New settings, from the next turn on."""

    settings: Settings


class Ack(ClientMessage, tag="ack"):
    """Every event of an attempt at the turn, up to `seq`, has arrived."""

    turn_id: Identifier
    seq: Count
    played_ms: Milliseconds | None = None
    attempt: Attempt = 1


class Ping(ClientMessage, tag="ping"):
    """Heartbeat. `sent_at` comes back unchanged.

    With `turn_id` it also asks whether this attempt at the turn still runs. An attempt that does
    not run, and never ended, is ended now.
    """

    sent_at: float
    turn_id: Identifier | None = None
    attempt: Attempt = 1
    request_id: GatewayId | None = None
    """The request that API Gateway said has failed. An attempt that it ran is ended now. An attempt
    that has not begun is not ended."""


class End(ClientMessage, tag="end"):
    """Ends the session."""


class ToolResult(ClientMessage, tag="tool_result"):
    """Answers `client_call`. The first answer to a call counts."""

    turn_id: Identifier
    call_id: CallId
    result: Annotated[str, Meta(max_length=MAX_RESULT_CHARS)] | None = None
    """What the model is told: text, or JSON as text."""
    error: Annotated[str, Meta(max_length=1_000)] | None = None
    """Why the function failed, in place of a result. The model is told that it did."""


class Context(ClientMessage, tag="context"):
    """Tells a fact that the next reply knows, where `choices.context` allows it."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_CONTEXT_CHARS)]


class Silence(ClientMessage, tag="silence"):
    """The user has been silent for `silent_ms` since the last reply had been played to its end.

    Sent as `ready.silence` says. The server asks whether the user is still there, or ends the
    session.
    """

    silent_ms: Milliseconds


AnyClientMessage = (
    Init
    | UserMessage
    | AudioStart
    | AudioChunk
    | SpeechPaused
    | SpeechResumed
    | AudioEnd
    | Interrupt
    | Config
    | Ack
    | Ping
    | End
    | ToolResult
    | Context
    | Silence
)
CLIENT_MESSAGES: tuple[type[ClientMessage], ...] = get_args(AnyClientMessage)


# --- server to client ---------------------------------------------------------


class ServerEvent(Struct, omit_defaults=True, tag_field="type"):
    """Base of every event that the server sends."""


class Attempted(ServerEvent, kw_only=True):
    """An event that belongs to one attempt at a turn. A turn that is sent again starts anew: its
    events count from 1 again, under the next `attempt`."""

    attempt: int = 1


class TurnEvent(Attempted):
    """An event of a turn. `seq` counts the events of an attempt from 1 without a gap."""

    turn_id: str
    seq: int


class Word(Struct, frozen=True, array_like=True):
    """A piece of the reply's text and when it sounds, in ms of its audio: `[text, start, end]`.

    In scripts without spaces it is a character. A piece without sound ends with the next piece that
    sounds.
    """

    text: str
    start_ms: int
    end_ms: int


class Span(Struct, frozen=True, array_like=True):
    """A part of a text, counted in code points: `[start, end]`, without the character at `end`."""

    start: int
    end: int


class Message(Struct, omit_defaults=True, frozen=True):
    """One message of the history. `heard` is set when less was heard than said."""

    role: Role
    text: str
    turn_id: str
    heard: str | None = None
    started_ms: int = 0
    """When its turn began, in ms since the epoch."""
    language: str | None = None
    """ISO 639 code, where the deployment detects languages."""
    heard_estimated: bool = False
    """Whether the synthesizer gave no times, so that `heard` is an estimate."""
    fillers: list[Span] = []
    """Where in `text` something was said only to fill a silence."""
    tools: list[str] = []
    """The tools that were called for this reply, by name, in order."""
    agent: bool = False
    """Whether the agent said it unasked: it answers nobody."""


class Limits(Struct, frozen=True):
    """The limits of what the server accepts."""

    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_chunk_bytes: int = MAX_CHUNK_BYTES
    max_chunks: int = MAX_CHUNKS
    max_text_chars: int = MAX_TEXT_CHARS


class Voice(Struct, frozen=True):
    """A voice that may be chosen, and its name for a person."""

    id: str
    name: str


class Choices(Struct, frozen=True):
    """What a client may choose: the settings that it may set, and the values of those that have a
    closed list."""

    settings: list[SettingName]
    voices: list[Voice]
    languages: list[str]
    """ISO 639 codes."""
    endpointing: list[Endpointing] = msgspec.field(
        default_factory=lambda: list(get_args(Endpointing))
    )
    """Who may find the end of an utterance."""
    speech_formats: list[SpeechFormat] = msgspec.field(
        default_factory=lambda: list(get_args(SpeechFormat))
    )
    """What `audio_start.format` may be. A server that does not say takes those of `AudioFormat`."""
    min_speed: float = MIN_SPEED
    max_speed: float = MAX_SPEED
    """What the voice speaks. A `speed` beyond is brought into it."""
    stability: bool = True
    """Whether `stability` makes a difference."""
    detects_language: bool = False
    """Whether the language follows what the user speaks. `settings.language` is then the one that
    was heard last."""
    context: bool = False
    """Whether a client may send `context`."""
    preemptive_replies: bool = False
    """Whether a reply may begin at a pause, so that `speech_paused` and `speech_resumed` are of
    use."""
    agents: list[Identifier] = []
    """Which agents a new session may have (`init.agent`); empty where a client may choose none."""


class SilenceRules(Struct, frozen=True, omit_defaults=True):
    """When a client sends `silence`, in ms of silence after the last reply had been played."""

    ask_after_ms: int | None = None
    """The agent asks whether the user is still there. Absent: it does not."""
    end_after_ms: int | None = None
    """The session ends, so long after the agent had asked, or after the last reply if it does not
    ask. Absent: it does not."""


class Ready(ServerEvent, tag="ready"):
    """Answers `init`. `settings` holds every setting in force.

    `stand_ins` names the stages whose provider is a stand-in, on a developer's machine. An
    application should tell its user.
    """

    session_id: str
    resume_token: str
    resumed: bool
    settings: Settings
    limits: Limits
    protocol: Literal[1]
    choices: Choices | UnsetType = UNSET
    stand_ins: list[Stage] = msgspec.field(default_factory=list)
    history: list[Message] | UnsetType = UNSET
    agent: str | UnsetType = UNSET
    """The session's agent, where the deployment has several."""
    silence: SilenceRules | UnsetType = UNSET
    """Absent where silence changes nothing."""


class Transcript(TurnEvent, tag="transcript"):
    """What the user is understood to have said so far. A final transcript does not change."""

    text: str
    final: bool
    language: str | None = None
    """ISO 639 code of the language that was heard, of a final transcript; it is one of
    `choices.languages`. Absent if the deployment detects none."""


class AgentTurn(TurnEvent, tag="agent_turn"):
    """The first event of a turn that the agent begins, without anything that the user said."""

    cause: AgentTurnCause


class ReplyText(TurnEvent, tag="reply_text"):
    """More of the reply's text."""

    delta: str
    filler: bool = False
    """Whether it only fills a silence, while a tool runs."""


class ToolUpdate(TurnEvent, tag="tool"):
    """A tool is called, or its call has ended. Where the turn is tried again, a call of an earlier
    attempt comes once, as what became of it."""

    call_id: str
    name: str
    title: str
    """Of the tool, for a person."""
    state: ToolState
    ms: int | None = None
    """How long the call took, of one that has ended."""
    arguments: dict[str, Any] | UnsetType = UNSET
    """Where the deployment shows them."""
    result: str | UnsetType = UNSET
    """What the model is told, where the deployment shows it."""


class ClientCall(TurnEvent, tag="client_call"):
    """Asks the application to run a function of its own, and to answer with `tool_result`.

    Another attempt at the turn asks again with the same `call_id`. A function runs once for each.
    """

    call_id: str
    name: str
    arguments: dict[str, Any]
    timeout_ms: int


class Custom(TurnEvent, tag="custom"):
    """An event of the deployment's own, from a tool or from the responder."""

    name: str
    data: Any = None


class Audio(TurnEvent, tag="audio"):
    """More of the reply's audio, from `start_ms` for `duration_ms`."""

    audio: bytes
    format: AudioFormat
    start_ms: int
    duration_ms: int
    words: list[Word] = msgspec.field(default_factory=list)
    estimated: bool = False
    """Whether the synthesizer gave no times for `words`, so that theirs are estimates."""


class Metrics(Struct, omit_defaults=True):
    """Where a turn's time went, in ms.

    Zero is the moment when API Gateway received `user_message` or `audio_end`. The parts from
    `dispatch_ms` to `delivery_ms` add up to `first_audio_ms`.
    """

    dispatch_ms: float | None = None
    """From API Gateway to the turn: Lambda's own queue and a cold start (typed), or the way through
    the inbox (spoken)."""
    transcript_ms: float | None = None
    """From the end of the utterance to its final transcript (spoken only)."""
    prepare_ms: float | None = None
    """Acquiring the turn's lease, reading the history, sending the request."""
    responder_ms: float | None = None
    """From the request to the reply's first token."""
    clause_ms: float | None = None
    """From the first token to the first speakable clause."""
    synthesizer_ms: float | None = None
    """From that clause to its first audio."""
    delivery_ms: float | None = None
    """From that audio until API Gateway had accepted it."""
    first_text_ms: float | None = None
    """Until the first text of the reply was sent."""
    first_audio_ms: float | None = None
    """Until API Gateway had taken the first audio: the sum of the parts above."""
    total_ms: float | None = None
    """Until the turn ended."""
    audio_ms: int | None = None
    """How much speech was synthesised. What nobody heard is in it, as after an interruption or of a
    reply that was begun in vain."""
    reply_chars: int | None = None
    """How long the reply's text is."""
    posts: int | None = None
    """Messages posted to the connection before `turn_end`."""
    retries: int | None = None
    """How often a provider was asked again."""
    failed_over: int | None = None
    """In how many stages another provider took over from the first one."""
    tools_ms: float | None = None
    """What tools took before the first token of the reply's text; a part of `first_audio_ms`."""
    tool_calls: int | None = None
    """How many tools were called."""
    tool_rounds: int | None = None
    """How often the model was asked again with their results."""
    tools_unknown: int | None = None
    """Of how many calls nobody knows whether they acted."""
    fillers: int | None = None
    """How often something was said to fill a silence."""
    heard_ms: int | None = None
    """How much audio went to the transcriber."""
    spoken_chars: int | None = None
    """How much text went to the synthesizer, of replies that were begun in vain too."""
    input_tokens: int | None = None
    """How many tokens the model has read, for replies that were begun in vain too; absent where
    nobody knows, as of a workflow."""
    output_tokens: int | None = None
    """How many it has written."""
    tokens_estimated: bool | None = None
    """The model's answers did not say how many tokens: four characters count as one."""
    table_reads: int | None = None
    """How often the turn's function read from the table before `turn_end`."""
    table_writes: int | None = None
    """How often it wrote to it."""
    preemptive_tries: int | None = None
    """How many replies were begun before the end of the utterance was sure."""
    preemptive_hit: bool | None = None
    """Whether one of them is the reply. Then each part of the time above is what was left of it
    when the end was sure."""
    preemptive_wasted_chars: int | None = None
    """How much text the others had, which nobody saw. What they cost is in the tokens, the
    characters and the speech above."""
    cold: bool | None = None
    """The turn ran in a fresh Lambda environment."""
    connection_reused: bool | None = None
    """The connection to the responder was already open."""


class TurnEnd(TurnEvent, tag="turn_end"):
    """The last event of a turn. `heard` is set when less was heard than said.

    A turn whose function died is ended by another function, which does not know its events. Then
    `seq` is 0, and no more events of this attempt will come.
    """

    reason: TurnEndReason
    text: str
    metrics: Metrics
    heard: str | None = None
    code: ErrorCode | None = None
    """Why the turn failed."""
    retryable: bool = False
    """Whether the same turn, sent again, may work."""
    language: str | None = None
    """ISO 639 code of the reply's language, where the deployment detects languages."""
    heard_estimated: bool = False
    """Whether the synthesizer gave no times, so that `heard` is an estimate."""
    ends_session: bool = False
    """Whether the agent ends the session with this turn. The client hangs up once it has played
    the reply."""


class ConfigUpdated(ServerEvent, tag="config_updated"):
    """Answers `config` with every setting in force."""

    settings: Settings


class Pong(ServerEvent, tag="pong"):
    """Answers `ping`."""

    sent_at: float


class Usage(Struct, omit_defaults=True):
    """What the turns of a session have used: the sums of their `metrics`, over all attempts.

    Attempts whose function died are missing.
    """

    turns: int = 0
    """How many turns have used something."""
    heard_ms: int = 0
    """How much audio went to the transcriber."""
    spoken_chars: int = 0
    """How much text went to the synthesizer."""
    audio_ms: int = 0
    """How much speech was synthesised."""
    input_tokens: int = 0
    """How many tokens the model has read."""
    output_tokens: int = 0
    """How many it has written."""
    tokens_estimated: bool = False
    """Some answers of the model did not say how many tokens: four characters count as one."""
    tool_calls: int = 0
    """How many tools were called."""
    posts: int = 0
    """Messages posted to the connection by turns."""
    table_reads: int = 0
    """How often turns read from the table."""
    table_writes: int = 0
    """How often they wrote to it."""
    preemptive_tries: int = 0
    """How many replies were begun before the end of an utterance was sure."""
    preemptive_wasted_chars: int = 0
    """How much text of them nobody saw."""


class SessionEnded(ServerEvent, tag="session_ended"):
    """Answers `end`, or says that another connection has taken the session over."""

    session_id: str
    reason: SessionEndReason = "ended"
    usage: Usage | None = None
    """What the turns of the session have used that had ended; absent if another connection has
    taken it over."""


class Error(Attempted, tag="error"):
    """Something went wrong. It has a `seq` when it is an event of a turn, and none when it answers
    a message. `seq` is 0 where it explains a `turn_end` with `seq` 0."""

    code: ErrorCode
    message: str
    retryable: bool
    turn_id: str | None = None
    seq: int | None = None
    field: str | None = None
    retry_after_ms: int | None = None
    missing: list[int] | None = None
    limit: Limit | None = None

    @classmethod
    def from_error(
        cls,
        error: ParleyError,
        *,
        turn_id: str | None = None,
        seq: int | None = None,
        attempt: int = 1,
    ) -> Error:
        """Return the event that tells the client about `error`."""
        return cls(
            attempt=attempt,
            code=error.code,
            message=error.message,
            retryable=error.retryable,
            turn_id=turn_id or error.turn_id,
            seq=seq,
            field=error.field,
            retry_after_ms=error.retry_after_ms,
            missing=error.missing,
            limit=error.limit,
        )


AnyServerEvent = (
    Ready
    | AgentTurn
    | Transcript
    | ReplyText
    | Audio
    | ToolUpdate
    | ClientCall
    | Custom
    | TurnEnd
    | ConfigUpdated
    | Pong
    | SessionEnded
    | Error
)

NumberedEvent = (
    AgentTurn | Transcript | ReplyText | Audio | ToolUpdate | ClientCall | Custom | TurnEnd | Error
)
"""The events of a turn, which `seq` counts."""

_encoder = msgspec.json.Encoder()


def encode(event: ServerEvent) -> bytes:
    """Return the event as one JSON text frame (UTF-8)."""
    return _encoder.encode(event)
