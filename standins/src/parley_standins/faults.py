"""What a stand-in can be told to do worse than it could: delays, faults, oddities.

The settings are plain values, checked strictly: an unknown name is refused by name.
`Controls` holds them and hands out faults, a set number of times each; doing what a
fault says is for the servers (`fault_injection`).
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=600_000)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Status = Literal[400, 401, 402, 403, 404, 408, 413, 422, 428, 429, 500, 502, 503, 504, 524, 529]


class InvalidControl(ValueError):
    """The settings are not what the control API takes; the message says where."""


class Fault(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One way to fail. Exactly one of `status` to `error_frame` is set.

    Attributes:
        times: for how many requests; `always` until it is taken back.
        status: answer with this HTTP status (a WebSocket's handshake likewise).
        retry_after: seconds, in the `Retry-After` header beside `status`.
        code: the service's own name for the error, beside `status`.
        refuse: reset the TCP connection instead of answering.
        stall: say nothing more, `before` or `after` the first output.
        cut: reset the TCP connection after so many outputs (tokens of a chat, pieces of
            audio of a synthesis) or inputs (chunks of audio of a transcription).
        garbage: send something that is not JSON in place of the first output.
        error_frame: on a WebSocket, send an error of this name, then close; in a stream of events,
            after the first output.
    """

    times: Annotated[int, msgspec.Meta(ge=1)] | Literal["always"] = 1
    status: Status | None = None
    retry_after: Annotated[float, msgspec.Meta(ge=0)] | None = None
    code: str | None = None
    refuse: bool = False
    stall: Literal["before", "after"] | None = None
    cut: Annotated[int, msgspec.Meta(ge=0)] | None = None
    garbage: bool = False
    error_frame: str | None = None

    def __post_init__(self) -> None:
        kinds = (
            self.status is not None,
            self.refuse,
            self.stall is not None,
            self.cut is not None,
            self.garbage,
            self.error_frame is not None,
        )
        if sum(kinds) != 1:
            raise ValueError("a fault is one of status, refuse, stall, cut, garbage, error_frame")
        if self.retry_after is not None and self.status is None:
            raise ValueError("retry_after goes with status")
        if self.code is not None and self.status is None:
            raise ValueError("code goes with status")


class ToolQuirks(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How other servers answer requests with tools. Several go together.

    A request with tools meets them if its reply calls one. `refused`, `failed` and `ignores_none`
    need no such reply. Claude has no ids, indexes or arguments other than its own, and no `leaked`.

    Attributes:
        times: for how many requests; `always` until they are taken back.
        one_chunk: each call comes whole, as Groq's and Ollama's do.
        no_id: calls have none, as some versions of Ollama and layers over Gemini.
        no_index: calls have none.
        same_index: all calls have index 0.
        dict_arguments: arguments are an object, no JSON text; implies `one_chunk`.
        no_arguments: the arguments of a call without any are left out, as vLLM does.
        end: why the reply says that it ends; `missing` ends the stream before it says so.
        cut_arguments: the last call's arguments end halfway, and the reply with `length`.
        text_before: words before the calls.
        text_after: words after them.
        leaked: calls are written out as text, as a server with the wrong parser does.
        refused: the model takes no tools, in Ollama's words.
        failed: the model's call could not be read (`tool_use_failed` of Groq): as a status, or as
            an event within a 200.
        ignores_none: calls a tool although `tool_choice` is none, as Ollama does.
    """

    times: Annotated[int, msgspec.Meta(ge=1)] | Literal["always"] = 1
    one_chunk: bool = False
    no_id: bool = False
    no_index: bool = False
    same_index: bool = False
    dict_arguments: bool = False
    no_arguments: bool = False
    end: Literal["", "stop", "length", "content_filter", "missing"] = ""
    cut_arguments: bool = False
    text_before: str = ""
    text_after: str = ""
    leaked: bool = False
    refused: bool = False
    failed: Literal["", "status", "event"] = ""
    ignores_none: bool = False

    @property
    def needs_no_call(self) -> bool:
        """Whether a request meets them whose reply would be words."""
        return self.refused or bool(self.failed) or self.ignores_none


class SpeechDelays(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Of the ElevenLabs stand-in. What it takes anyway counts towards each delay.

    Attributes:
        tts_first_byte_ms: from the text that makes it speak to the first audio.
        tts_realtime_factor: how many times faster than it sounds later audio is sent;
            0 means as fast as possible.
        stt_partial_ms: from audio to the partial transcript that comes of it.
        stt_final_ms: from the commit to the committed transcript.
        tts_handshake_ms, stt_handshake_ms: before a WebSocket's upgrade.
    """

    tts_first_byte_ms: Milliseconds = 0
    tts_realtime_factor: Annotated[float, msgspec.Meta(ge=0)] = 0
    stt_partial_ms: Milliseconds = 0
    stt_final_ms: Milliseconds = 0
    tts_handshake_ms: Milliseconds = 0
    stt_handshake_ms: Milliseconds = 0


class SpeechFaults(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Of the ElevenLabs stand-in: synthesis and transcription, sockets and HTTP alike."""

    tts: Fault | None = None
    stt: Fault | None = None


class SpeechOddities(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How the real service is known to behave; off, or the documented value, by default.

    Attributes:
        error_body: the shape of HTTP errors, which changed in 2026.
        tts_max_contexts: one more closes the whole socket.
        tts_alignment_on_first_frame: a sentence's times all come with its first frame, and
            the alignment of the others is null.
        tts_snake_case: `context_id` and `is_final` in place of `contextId` and `isFinal`.
        dialogue_idle_s: a context of a dialogue that is told nothing for so long is closed.
        dialogue_answers_flushes: `is_final_audio_for_turn` follows each flush, else only the last
            audio of a context.
        dialogue_close_drops: what was flushed and has not begun is dropped by `close_context`,
            which is documented to speak it.
        dialogue_times: a dialogue's audio comes with times, where they were asked for.
        stt_idle_s: without audio for so long, the socket is closed.
        stt_auto_commit_s: so much audio without a commit is committed by the server.
        stt_stale_partials: a partial is sent again after its commit.
        stt_duplicate_finals: each committed transcript comes twice.
        stt_language: the language that the audio is declared to be in, for who asks which one was
            heard. The recogniser knows English alone, and writes English words whatever it hears.
        stt_language_ms: from a committed transcript to the one that has its language.
    """

    error_body: Literal["current", "legacy"] = "current"
    tts_max_contexts: Annotated[int, msgspec.Meta(ge=1)] = 5
    tts_alignment_on_first_frame: bool = False
    tts_snake_case: bool = False
    dialogue_idle_s: Seconds = 20
    dialogue_answers_flushes: bool = True
    dialogue_close_drops: bool = False
    dialogue_times: bool = True
    stt_idle_s: Seconds = 10
    stt_auto_commit_s: Seconds = 90
    stt_stale_partials: bool = False
    stt_duplicate_finals: bool = False
    stt_language: Annotated[str, msgspec.Meta(pattern="^[a-z]{2,3}$")] = "en"
    stt_language_ms: Milliseconds = 0


class SpeechSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """All of what the ElevenLabs stand-in's control API sets."""

    delays: SpeechDelays = SpeechDelays()
    faults: SpeechFaults = SpeechFaults()
    oddities: SpeechOddities = SpeechOddities()


class ChatDelays(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Of the chat stand-in: to the first token, between tokens, before anything at all."""

    llm_first_token_ms: Milliseconds = 0
    llm_token_ms: Milliseconds = 0
    llm_handshake_ms: Milliseconds = 0


class ChatFaults(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Of the chat stand-in's completions; listing the models never fails.

    Attributes:
        llm: what completions meet.
        tools: what those meet that are offered tools.
    """

    llm: Fault | None = None
    tools: ToolQuirks | None = None


class ChatOddities(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What other endpoints of this protocol are known to do; all of it is off by default.

    Attributes:
        strict_roles: refuse messages that are not system, then user and assistant in turns, the
            user first and last, none of them empty, as the templates of Mistral, Gemma and Phi do.
        no_system_role: refuse a system message, as the templates of Gemma 2 and Mistral 7B do.
        thinks: think within the reply, between `<think>` and `</think>`.
        whole_answers: answer in one piece, also if a stream was asked for.
        calls_tool: call a function, whether there is one or not, in place of a reply.
        no_reasoning_effort: refuse `reasoning_effort`, as models do that do not think.
        no_tools_with_effort: refuse tools unless `reasoning_effort` is none, as OpenAI's gpt-5.6.
        must_echo: what an assistant message with calls must have again in later requests, as Gemini
            3 (`thought_signature`, of each call) and thinking models of DeepSeek and Kimi do
            (`reasoning_content`).
        no_user_after_results: refuse a user message right after results, as Mistral does.
        short_ids: refuse ids of calls that are not 9 letters and digits, as Mistral does.
        repeats_ids: give calls the same ids in every reply, as Kimi K3 does.
    """

    strict_roles: bool = False
    no_system_role: bool = False
    thinks: bool = False
    whole_answers: bool = False
    calls_tool: bool = False
    no_reasoning_effort: bool = False
    no_tools_with_effort: bool = False
    must_echo: Literal["", "thought_signature", "reasoning_content"] = ""
    no_user_after_results: bool = False
    short_ids: bool = False
    repeats_ids: bool = False


class ChatSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """All of what the chat stand-in's control API sets."""

    delays: ChatDelays = ChatDelays()
    faults: ChatFaults = ChatFaults()
    oddities: ChatOddities = ChatOddities()


class MessagesOddities(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Of Claude's stand-in; off by default.

    Attributes:
        thinks: think before the reply, unless the request has switched that off.
        thinking_ms: how long a thought takes.
        pings: how many come before the first token.
        unnamed_events: leave out the line that names an event, as other servers of this API do.
        refuses: end with `refusal`, without a word.
        calls_tool: call a function, whether there is one or not, in place of a reply.
        must_echo_thinking: refuse calls of this turn that come back without their thought.
        repeats_ids: give calls the same ids in every reply.
    """

    thinks: bool = False
    thinking_ms: Milliseconds = 0
    pings: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 1
    unnamed_events: bool = False
    refuses: bool = False
    calls_tool: bool = False
    must_echo_thinking: bool = False
    repeats_ids: bool = False


class MessagesSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """All of what the control API of Claude's stand-in sets."""

    delays: ChatDelays = ChatDelays()
    faults: ChatFaults = ChatFaults()
    oddities: MessagesOddities = MessagesOddities()


class BedrockOddities(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Of both APIs that Bedrock's stand-in speaks."""

    messages: MessagesOddities = MessagesOddities()
    chat: ChatOddities = ChatOddities()


class BedrockSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """All of what the control API of Bedrock's stand-in sets."""

    delays: ChatDelays = ChatDelays()
    faults: ChatFaults = ChatFaults()
    oddities: BedrockOddities = BedrockOddities()


S = TypeVar("S", bound=msgspec.Struct)
"""The settings of one stand-in: a struct of `delays`, `faults` and `oddities`."""


class Controls(Generic[S]):
    """A stand-in's settings, changeable while it runs.

    Args:
        initial: what they are at the start and after a reset.
    """

    def __init__(self, initial: S) -> None:
        self._initial: S = initial
        self.settings: S = initial

    def change(self, changes: Any) -> None:
        """Set what is named; the rest keeps its value. None takes a fault back.

        Raises:
            InvalidControl: a name or a value is wrong; nothing was changed.
        """
        if not isinstance(changes, dict):
            raise InvalidControl("Expected a JSON object")
        merged = msgspec.to_builtins(self.settings)
        for section, values in changes.items():
            if isinstance(values, dict) and isinstance(merged.get(section), dict):
                merged[section] = {**merged[section], **values}
            else:
                merged[section] = values
        try:
            self.settings = msgspec.convert(merged, type(self._initial))
        except msgspec.ValidationError as error:
            raise InvalidControl(str(error)) from None

    def reset(self) -> None:
        """Reset to what it was at the start."""
        self.settings = self._initial

    def take_fault(self, surface: str) -> Fault | None:
        """Return the fault that the next request on this surface meets; counts it.

        Args:
            surface: a field of the settings' faults, e.g. `tts`.
        """
        fault: Fault | None = self.take(surface)
        return fault

    def take_quirks(self, calls: bool) -> ToolQuirks | None:
        """Return the quirks that a request with tools meets; counts it.

        Args:
            calls: the reply calls tools.
        """
        quirks: ToolQuirks | None = msgspec.structs.asdict(self.settings)["faults"].tools
        if quirks is None or not (calls or quirks.needs_no_call):
            return None
        taken: ToolQuirks = self.take("tools")
        return taken

    def take(self, surface: str) -> Any:
        """Return what is set for this surface, of whatever type; counts it."""
        fault = getattr(msgspec.structs.asdict(self.settings)["faults"], surface)
        if fault is None or fault.times == "always":
            return fault
        left = fault.times - 1
        remaining = msgspec.structs.replace(fault, times=left) if left else None
        self.change({"faults": {surface: msgspec.to_builtins(remaining)}})
        return fault
