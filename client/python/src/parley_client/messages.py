"""The wire protocol, version 1: messages, events, enumerations and limits.

Generated from layers/parley/parley/protocol/messages.py by docs/generate.py; do not edit.

What a client sends is a `TypedDict`, for it becomes JSON as it is. What it reads is a dataclass:
None or an empty tuple stands for what was left out. `| str` stands for what a newer server may say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, NotRequired, TypeAlias, TypedDict

PROTOCOL_VERSION = 1
MAX_MESSAGE_BYTES = 32_768
"""API Gateway's limit of a WebSocket frame ("Amazon API Gateway quotas"). A browser cannot choose
its frames, so this limits a whole client message."""
MAX_CHUNK_BYTES = 20_480
"""Raw audio in one chunk. In base64 it is 27.3 KB, which leaves room for the JSON."""
MAX_TEXT_CHARS = 8_000
"""Of a typed turn."""
MAX_CHUNKS = 9_000
"""Chunks of 100 ms in 15 minutes, the longest invocation that Lambda allows. Usual ones are longer.
"""
MAX_STYLE_CHARS = 1_000
"""Of the setting `style`."""
MAX_ATTEMPTS = 100
"""How often a turn may be sent again after it has failed."""
MAX_RESULT_CHARS = 8_000
"""Of a tool's result, as the model gets it."""
MAX_CONTEXT_CHARS = 2_000
"""Of a fact that a client or a backend tells."""
MAX_CLIENT_TOOLS = 64
"""How many of the deployment's client tools an application may have."""


ErrorCode: TypeAlias = Literal[
    "bad_request",
    "unknown_type",
    "not_initialised",
    "unsupported_protocol",
    "session_not_found",
    "resume_denied",
    "unauthorized",
    "rate_limited",
    "too_large",
    "audio_gap",
    "no_speech",
    "transcription_failed",
    "reply_failed",
    "speech_failed",
    "turn_timeout",
    "quota_exceeded",
    "turn_running",
    "turn_over",
    "internal",
]
AudioFormat: TypeAlias = Literal[
    "pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "pcm_44100", "pcm_48000"
]
"""Signed 16-bit little-endian mono PCM. The number is the sample rate in Hz."""
SpeechFormat: TypeAlias = Literal[
    "pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "pcm_44100", "pcm_48000", "mulaw_16000"
]
"""How the user's speech is coded: PCM as in `AudioFormat`, or µ-law (ITU-T G.711), 8 bits a sample,
at 16 kHz."""
Endpointing: TypeAlias = Literal["manual", "server_vad"]
"""Who finds the end of an utterance: the client, or the transcriber."""
SettingName: TypeAlias = Literal["language", "speed", "voice", "stability", "style", "record"]
"""The fields of `Settings`."""
Stage: TypeAlias = Literal["transcriber", "responder", "synthesizer"]
"""Speech to text, the language model, text to speech."""
Role: TypeAlias = Literal["user", "assistant", "context"]
"""Of a message of the history. `context` is a fact that a backend or a page has told; clients are
not sent it."""
SessionEndReason: TypeAlias = Literal["ended", "replaced", "silence", "too_long"]
"""The client ended the session, another connection took it over, the user was silent for too long,
or the session has lasted as long as the deployment allows."""
AgentTurnCause: TypeAlias = Literal["greeting", "say", "silence"]
"""Why the agent begins a turn: it greets, a backend has it say something, or the user is silent."""
ToolState: TypeAlias = Literal["running", "done", "failed", "cancelled", "unknown"]
"""A call runs, has a result, failed, was not run or not waited for, or nobody knows whether it
acted."""
TurnEndReason: TypeAlias = Literal["completed", "interrupted", "failed"]
"""Why a turn is over."""
LimitScope: TypeAlias = Literal["subject", "tenant", "connection"]
"""Whom a limit holds for: one user, all users of a tenant together, or one connection."""


# --- client to server ---------------------------------------------------------


class Received(TypedDict):
    """How far a returning client has got: it has every event up to `seq` of its oldest turn that
    has not ended, or of its latest turn."""

    turn_id: str
    seq: int
    attempt: NotRequired[int]
    """1 to 100."""


class SettingsMessage(TypedDict, total=False):
    """The settings of a session's replies. Every field is optional. A field that is not set keeps
    the deployment's default. `ready.choices` says which fields a client may set."""

    voice: str
    """The synthesizer's id of a voice; of Kokoro's, also a mix such as `af_bella+af_sky`."""
    language: str
    """ISO 639 code of the language spoken, e.g. `en`."""
    speed: float
    """How fast the voice speaks; 1 is its own speed. 0.7 to 1.2."""
    stability: float
    """How even the voice sounds; low values vary more. 0 to 1."""
    style: str
    """How to reply, in words, e.g. `Answer like a pirate, in one sentence.` Up to 1,000 characters.
    """
    record: bool
    """The user consents to being recorded. A deployment that does not record answers `false` in any
    case."""


class Init(TypedDict):
    """First message on every connection: opens a session or resumes one."""

    type: Literal["init"]
    protocol: int
    session_id: NotRequired[str]
    resume_token: NotRequired[str]
    """Up to 256 characters."""
    received: NotRequired[Received]
    settings: NotRequired[SettingsMessage]
    agent: NotRequired[str]
    """Which of the deployment's agents a new session has; one that the token allows."""
    tools: NotRequired[list[str]]
    """Which of the deployment's client tools this application has functions for. Up to 64 items."""


class UserMessage(TypedDict):
    """A typed turn.

    `attempt` counts from 1. The same attempt of a turn runs once, however often it is sent. A turn
    that has failed runs again with the next attempt, or when it is sent without an attempt.
    """

    type: Literal["user_message"]
    turn_id: str
    text: str
    """1 to 8,000 characters."""
    attempt: NotRequired[int]
    """1 to 100."""


class AudioStart(TypedDict):
    """A spoken turn begins. `attempt` is as in `user_message`."""

    type: Literal["audio_start"]
    turn_id: str
    format: NotRequired[SpeechFormat]
    """One of `choices.speech_formats`."""
    endpointing: NotRequired[Endpointing]
    attempt: NotRequired[int]
    """1 to 100."""
    pauses: NotRequired[bool]
    """Whether the client tells of pauses (`speech_paused`), so that nothing else is taken for one.
    """


class AudioChunk(TypedDict):
    """Up to 20 KB of the utterance, an even number of bytes in every format; 480 ms is usual."""

    type: Literal["audio_chunk"]
    turn_id: str
    seq: int
    """1 to 9,000."""
    audio: str
    """2 to 20,480 bytes, in base64."""


class SpeechPaused(TypedDict):
    """Speech seems to pause: everything that was said until now is in the chunks up to `chunks`.

    `pause` counts the pauses of the utterance. Of use where `choices.preemptive_replies` says so.
    """

    type: Literal["speech_paused"]
    turn_id: str
    chunks: int
    """0 to 9,000."""
    pause: int
    """1 to 9,000."""


class SpeechResumed(TypedDict):
    """Speech goes on after a pause."""

    type: Literal["speech_resumed"]
    turn_id: str
    pause: int
    """1 to 9,000."""


class AudioEnd(TypedDict):
    """The user has finished. `chunks` says how many chunks there were.

    `pause` names the pause that still holds: nothing was said after it had begun.
    """

    type: Literal["audio_end"]
    turn_id: str
    chunks: int
    """0 to 9,000."""
    pause: NotRequired[int]
    """1 to 9,000."""


class Interrupt(TypedDict):
    """Stop the reply. The user has heard `played_ms` of its audio."""

    type: Literal["interrupt"]
    turn_id: str
    played_ms: float
    """0 to 86,400,000."""


class Config(TypedDict):
    """New settings, from the next turn on."""

    type: Literal["config"]
    settings: SettingsMessage


class Ack(TypedDict):
    """Every event of an attempt at the turn, up to `seq`, has arrived."""

    type: Literal["ack"]
    turn_id: str
    seq: int
    played_ms: NotRequired[float]
    """0 to 86,400,000."""
    attempt: NotRequired[int]
    """1 to 100."""


class Ping(TypedDict):
    """Heartbeat. `sent_at` comes back unchanged.

    With `turn_id` it also asks whether this attempt at the turn still runs. An attempt that does
    not run, and never ended, is ended now.
    """

    type: Literal["ping"]
    sent_at: float
    turn_id: NotRequired[str]
    attempt: NotRequired[int]
    """1 to 100."""
    request_id: NotRequired[str]
    """The request that API Gateway said has failed. An attempt that it ran is ended now. An attempt
    that has not begun is not ended."""


class End(TypedDict):
    """Ends the session."""

    type: Literal["end"]


class ToolResult(TypedDict):
    """Answers `client_call`. The first answer to a call counts."""

    type: Literal["tool_result"]
    turn_id: str
    call_id: str
    result: NotRequired[str]
    """What the model is told: text, or JSON as text. Up to 8,000 characters."""
    error: NotRequired[str]
    """Why the function failed, in place of a result. The model is told that it did. Up to 1,000
    characters."""


class Context(TypedDict):
    """Tells a fact that the next reply knows, where `choices.context` allows it."""

    type: Literal["context"]
    text: str
    """1 to 2,000 characters."""


class Silence(TypedDict):
    """The user has been silent for `silent_ms` since the last reply had been played to its end.

    Sent as `ready.silence` says. The server asks whether the user is still there, or ends the
    session.
    """

    type: Literal["silence"]
    silent_ms: float
    """0 to 86,400,000."""


ClientMessage: TypeAlias = (
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


# --- server to client ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a session's replies. Every field is optional. A field that is not set keeps
    the deployment's default. `ready.choices` says which fields a client may set."""

    voice: str | None = None
    """The synthesizer's id of a voice; of Kokoro's, also a mix such as `af_bella+af_sky`."""
    language: str | None = None
    """ISO 639 code of the language spoken, e.g. `en`."""
    speed: float | None = None
    """How fast the voice speaks; 1 is its own speed. 0.7 to 1.2."""
    stability: float | None = None
    """How even the voice sounds; low values vary more. 0 to 1."""
    style: str | None = None
    """How to reply, in words, e.g. `Answer like a pirate, in one sentence.` Up to 1,000 characters.
    """
    record: bool | None = None
    """The user consents to being recorded. A deployment that does not record answers `false` in any
    case."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of what the server accepts."""

    max_message_bytes: int = 32_768
    max_chunk_bytes: int = 20_480
    max_chunks: int = 9_000
    max_text_chars: int = 8_000


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that may be chosen, and its name for a person."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Choices:
    """What a client may choose: the settings that it may set, and the values of those that have a
    closed list."""

    settings: tuple[SettingName | str, ...]
    voices: tuple[Voice, ...]
    languages: tuple[str, ...]
    """ISO 639 codes."""
    endpointing: tuple[Endpointing | str, ...] = ()
    """Who may find the end of an utterance."""
    speech_formats: tuple[SpeechFormat | str, ...] = ()
    """What `audio_start.format` may be. A server that does not say takes those of `AudioFormat`."""
    min_speed: float = 0.7
    max_speed: float = 1.2
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
    agents: tuple[str, ...] = ()
    """Which agents a new session may have (`init.agent`); empty where a client may choose none."""


class Span(NamedTuple):
    """A part of a text, counted in code points: `[start, end]`, without the character at `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the history. `heard` is set when less was heard than said."""

    role: Role | str
    text: str
    turn_id: str
    heard: str | None = None
    started_ms: int = 0
    """When its turn began, in ms since the epoch."""
    language: str | None = None
    """ISO 639 code, where the deployment detects languages."""
    heard_estimated: bool = False
    """Whether the synthesizer gave no times, so that `heard` is an estimate."""
    fillers: tuple[Span, ...] = ()
    """Where in `text` something was said only to fill a silence."""
    tools: tuple[str, ...] = ()
    """The tools that were called for this reply, by name, in order."""
    agent: bool = False
    """Whether the agent said it unasked: it answers nobody."""


@dataclass(frozen=True, slots=True)
class SilenceRules:
    """When a client sends `silence`, in ms of silence after the last reply had been played."""

    ask_after_ms: int | None = None
    """The agent asks whether the user is still there. Absent: it does not."""
    end_after_ms: int | None = None
    """The session ends, so long after the agent had asked, or after the last reply if it does not
    ask. Absent: it does not."""


class Word(NamedTuple):
    """A piece of the reply's text and when it sounds, in ms of its audio: `[text, start, end]`.

    In scripts without spaces it is a character. A piece without sound ends with the next piece that
    sounds.
    """

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Metrics:
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


@dataclass(frozen=True, slots=True)
class Usage:
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


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that was met: its name, its value in the unit of the name, and whom it holds for."""

    name: str
    value: int
    scope: LimitScope | str


@dataclass(frozen=True, slots=True)
class Ready:
    """Answers `init`. `settings` holds every setting in force.

    `stand_ins` names the stages whose provider is a stand-in, on a developer's machine. An
    application should tell its user.
    """

    type: ClassVar[Literal["ready"]] = "ready"
    session_id: str
    resume_token: str
    resumed: bool
    settings: Settings
    limits: Limits
    protocol: int
    choices: Choices | None = None
    stand_ins: tuple[Stage | str, ...] = ()
    history: tuple[Message, ...] = ()
    agent: str | None = None
    """The session's agent, where the deployment has several."""
    silence: SilenceRules | None = None
    """Absent where silence changes nothing."""


@dataclass(frozen=True, slots=True)
class AgentTurn:
    """The first event of a turn that the agent begins, without anything that the user said."""

    type: ClassVar[Literal["agent_turn"]] = "agent_turn"
    turn_id: str
    seq: int
    cause: AgentTurnCause | str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Transcript:
    """What the user is understood to have said so far. A final transcript does not change."""

    type: ClassVar[Literal["transcript"]] = "transcript"
    turn_id: str
    seq: int
    text: str
    final: bool
    language: str | None = None
    """ISO 639 code of the language that was heard, of a final transcript; it is one of
    `choices.languages`. Absent if the deployment detects none."""
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class ReplyText:
    """More of the reply's text."""

    type: ClassVar[Literal["reply_text"]] = "reply_text"
    turn_id: str
    seq: int
    delta: str
    filler: bool = False
    """Whether it only fills a silence, while a tool runs."""
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Audio:
    """More of the reply's audio, from `start_ms` for `duration_ms`."""

    type: ClassVar[Literal["audio"]] = "audio"
    turn_id: str
    seq: int
    audio: bytes
    format: AudioFormat
    start_ms: int
    duration_ms: int
    words: tuple[Word, ...] = ()
    estimated: bool = False
    """Whether the synthesizer gave no times for `words`, so that theirs are estimates."""
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class ToolUpdate:
    """A tool is called, or its call has ended. Where the turn is tried again, a call of an earlier
    attempt comes once, as what became of it."""

    type: ClassVar[Literal["tool"]] = "tool"
    turn_id: str
    seq: int
    call_id: str
    name: str
    title: str
    """Of the tool, for a person."""
    state: ToolState | str
    ms: int | None = None
    """How long the call took, of one that has ended."""
    arguments: dict[str, Any] | None = None
    """Where the deployment shows them."""
    result: str | None = None
    """What the model is told, where the deployment shows it."""
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class ClientCall:
    """Asks the application to run a function of its own, and to answer with `tool_result`.

    Another attempt at the turn asks again with the same `call_id`. A function runs once for each.
    """

    type: ClassVar[Literal["client_call"]] = "client_call"
    turn_id: str
    seq: int
    call_id: str
    name: str
    arguments: dict[str, Any]
    timeout_ms: int
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Custom:
    """An event of the deployment's own, from a tool or from the responder."""

    type: ClassVar[Literal["custom"]] = "custom"
    turn_id: str
    seq: int
    name: str
    data: Any | None = None
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """The last event of a turn. `heard` is set when less was heard than said.

    A turn whose function died is ended by another function, which does not know its events. Then
    `seq` is 0, and no more events of this attempt will come.
    """

    type: ClassVar[Literal["turn_end"]] = "turn_end"
    turn_id: str
    seq: int
    reason: TurnEndReason
    text: str
    metrics: Metrics
    heard: str | None = None
    code: ErrorCode | str | None = None
    """Why the turn failed."""
    retryable: bool = False
    """Whether the same turn, sent again, may work."""
    language: str | None = None
    """ISO 639 code of the reply's language, where the deployment detects languages."""
    heard_estimated: bool = False
    """Whether the synthesizer gave no times, so that `heard` is an estimate."""
    ends_session: bool = False
    """Whether the agent ends the session with this turn. The client hangs up once it has played the
    reply."""
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class ConfigUpdated:
    """Answers `config` with every setting in force."""

    type: ClassVar[Literal["config_updated"]] = "config_updated"
    settings: Settings


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers `ping`."""

    type: ClassVar[Literal["pong"]] = "pong"
    sent_at: float


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Answers `end`, or says that another connection has taken the session over."""

    type: ClassVar[Literal["session_ended"]] = "session_ended"
    session_id: str
    reason: SessionEndReason = "ended"
    usage: Usage | None = None
    """What the turns of the session have used that had ended; absent if another connection has
    taken it over."""


@dataclass(frozen=True, slots=True)
class Error:
    """Something went wrong. It has a `seq` when it is an event of a turn, and none when it answers
    a message. `seq` is 0 where it explains a `turn_end` with `seq` 0."""

    type: ClassVar[Literal["error"]] = "error"
    code: ErrorCode | str
    message: str
    retryable: bool
    turn_id: str | None = None
    seq: int | None = None
    field: str | None = None
    retry_after_ms: int | None = None
    missing: tuple[int, ...] = ()
    limit: Limit | None = None
    attempt: int = 1


ServerEvent: TypeAlias = (
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
