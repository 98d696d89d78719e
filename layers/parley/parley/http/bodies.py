"""Reads the bodies and queries of HTTP requests into types.

Errors name the field and the rule, as those of `parley.protocol.decoder` do for messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from parley.audio.pcm import BYTES_PER_SAMPLE, duration_ms, sample_rate_hz
from parley.audio.wav import format_at, read_wav
from parley.errors import ParleyError
from parley.http.framework import HttpError, HttpRequest
from parley.protocol.agent_overrides import NO_OVERRIDES, AgentOverrides
from parley.protocol.decoder import field_and_rule
from parley.protocol.json_limits import Misshapen, check_shape
from parley.protocol.messages import (
    MAX_CONTEXT_CHARS,
    MAX_TEXT_CHARS,
    Attempt,
    AudioFormat,
    Identifier,
    Milliseconds,
    Settings,
)
from parley.protocol.turn_request import AGENT_TURN

MAX_SAY_CHARS = 2_000
MAX_AUDIO_S = 60
"""The longest utterance, in s. With its transcript and reply it must fit into API Gateway's 30 s.
At the highest sample rates, the size of the body is the lower limit."""
WAV_TYPES = frozenset(
    {"audio/wav", "audio/wave", "audio/x-wav", "audio/x-pn-wav", "audio/vnd.wave"}
)
"""The media types that programs and browsers use; RFC 2361 registers the last."""
TURN_MEDIA_TYPES = (
    "application/json, audio/wav, or audio/pcm with a rate, such as audio/pcm;rate=16000"
)
TOKEN_HEADER = "x-resume-token"  # noqa: S105  # nosec B105 - the name of a header

Token = Annotated[str, Meta(max_length=256)]
Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARS)]
InputFormat = Literal[
    "wav", "pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "pcm_44100", "pcm_48000"
]
"""A WAV file, or samples alone."""


class SessionBody(Struct):
    """Opens a session."""

    settings: Settings = Settings()
    agent: AgentOverrides = NO_OVERRIDES
    """Of the application's backend, whose token has the claim `parley_backend`. Another client may
    set `agent.agent` alone, to an agent that it may choose."""


class TurnBody(Struct):
    """A turn: either `text` or `audio`. Without `session_id` it is the first of a new session.

    `attempt` as in `user_message`. `settings` hold from this turn on.
    """

    text: Text | None = None
    audio: bytes | None = None
    format: InputFormat = "pcm_16000"
    """Of `audio`."""
    turn_id: Identifier | None = None
    """Makes the request idempotent within its session; generated if it is left out."""
    session_id: Identifier | None = None
    resume_token: Token | None = None
    """Of the session; may also be the header `X-Resume-Token`."""
    settings: Settings = Settings()
    events: bool = False
    """Answer with the events that a WebSocket would have carried."""
    attempt: Attempt | None = None


class TurnQuery(Struct):
    """The fields of a turn whose body is its audio."""

    turn_id: Identifier | None = None
    session_id: Identifier | None = None
    events: bool = False
    attempt: Attempt | None = None


class InterruptBody(Struct):
    """`played_ms` of the reply's audio have really been heard."""

    played_ms: Milliseconds
    resume_token: Token | None = None


class ContextBody(Struct):
    """A fact that the next reply knows."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_CONTEXT_CHARS)]
    id: Identifier | None = None
    """Makes the request idempotent within its session; generated if it is left out."""


class SayBody(Struct):
    """What the agent says."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_SAY_CHARS)]
    id: Identifier | None = None
    """Makes the request idempotent within its session; generated if it is left out."""


@dataclass(frozen=True, slots=True)
class RequestedTurn:
    """The turn that a request asks for, validated.

    Attributes:
        text: the text of a typed turn; None for a spoken one.
        audio: the 16-bit mono samples of a spoken turn; None for a typed one.
        format: the format of `audio`.
        settings_path: where the settings were in the request, for errors.
    """

    body: TurnBody
    text: str | None
    audio: bytes | None
    format: AudioFormat
    settings_path: str = "settings."


def read_turn(request: HttpRequest, max_audio_s: int = MAX_AUDIO_S) -> RequestedTurn:
    """Read the turn that a request asks for.

    Args:
        max_audio_s: the longest utterance, in s.

    Raises:
        ParleyError: `bad_request` or `too_large`, naming the field.
    """
    kind, settings_path = request.content_type, "settings."
    if kind in WAV_TYPES or kind == "audio/pcm":
        body = _read_turn_query(request.query)
        body.audio, body.format = request.body, "wav"
        settings_path = ""
        if kind == "audio/pcm":
            body.format = format_at(_read_rate_hz(request), "Content-Type")
    else:
        body = read_json(request, TurnBody, TURN_MEDIA_TYPES)
    if body.turn_id is not None and body.turn_id.startswith(AGENT_TURN):
        raise bad_field("turn_id", f"{AGENT_TURN} is kept for the turns that the agent begins")
    body.resume_token = body.resume_token or request.headers.get(TOKEN_HEADER)
    if (body.text is None) == (body.audio is None):
        raise bad_field("text", "expected either text or audio, and not both")
    if body.text is not None:
        if not body.text.strip():
            raise bad_field("text", "expected at least one character that is not white space")
        return RequestedTurn(body, body.text, None, "pcm_16000", settings_path)
    audio_format, pcm = _read_samples(body.format, body.audio or b"", max_audio_s)
    return RequestedTurn(body, None, pcm, audio_format, settings_path)


Query = TypeVar("Query", bound=Struct)


def read_query(request: HttpRequest, kind: type[Query], rules: Mapping[str, str]) -> Query:
    """Read the fields of a query.

    Args:
        rules: what is expected of each field, for errors.

    Raises:
        ParleyError: `bad_request`, naming the field and the rule.
    """
    try:
        return msgspec.convert(dict(request.query), kind, strict=False)
    except msgspec.ValidationError as invalid:
        field = field_and_rule(str(invalid), kind)[0]
        raise bad_field(field, rules[field]) from None


Body = TypeVar("Body", SessionBody, TurnBody, InterruptBody, ContextBody, SayBody)


def read_json(
    request: HttpRequest, kind: type[Body], media_types: str = "application/json"
) -> Body:
    """Read a body of JSON.

    Args:
        media_types: what the route takes, in words.

    Raises:
        ParleyError: `bad_request`, naming the field.
    """
    if request.content_type != "application/json":
        raise HttpError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "bad_request",
            f"Content-Type: {request.content_type or 'none'} is not taken here; this request "
            f"takes {media_types}.",
            field="Content-Type",
        )
    try:
        check_shape(request.body.decode(), "body")
        return msgspec.json.decode(request.body, type=kind)
    except msgspec.ValidationError as invalid:
        raise _make_error(invalid, kind) from None
    except Misshapen as misshapen:
        raise ParleyError("bad_request", str(misshapen)) from None
    except (msgspec.DecodeError, UnicodeError) as malformed:
        raise ParleyError("bad_request", f"The body is not valid JSON: {malformed}.") from None


def read_identifier(request: HttpRequest, name: str) -> str:
    """Read a session's or a turn's id from the path.

    Raises:
        ParleyError: `bad_request`.
    """
    try:
        return msgspec.convert(request.parameters[name], Identifier)
    except msgspec.ValidationError as invalid:
        raise bad_field(name, field_and_rule(str(invalid), TurnBody)[1]) from None


def _read_turn_query(query: Any) -> TurnBody:
    if "resume_token" in query:
        raise bad_field(
            "resume_token", "expected in the header X-Resume-Token: URLs end up in logs"
        )
    try:
        fields = msgspec.convert(dict(query), TurnQuery, strict=False)
        settings = msgspec.convert(dict(query), Settings, strict=False)
    except msgspec.ValidationError as invalid:
        raise _make_error(invalid, TurnQuery) from None
    return TurnBody(
        turn_id=fields.turn_id,
        session_id=fields.session_id,
        events=fields.events,
        attempt=fields.attempt,
        settings=settings,
    )


def _read_rate_hz(request: HttpRequest) -> int:
    _, _, parameters = request.headers.get("content-type", "").partition(";")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        digits = value.strip().strip('"')
        if name.strip().lower() == "rate" and digits.isascii() and digits.isdigit():
            return int(digits[:9])
    raise bad_field("Content-Type", "audio/pcm needs its sample rate, such as audio/pcm;rate=16000")


def _read_samples(
    given: InputFormat, content: bytes, max_audio_s: int
) -> tuple[AudioFormat, bytes]:
    audio_format, pcm = read_wav(content) if given == "wav" else (given, content)
    if given == "wav" and not pcm:
        raise bad_field("audio", "this WAV file has no sound in it: of samples it holds none")
    if len(pcm) < BYTES_PER_SAMPLE or len(pcm) % BYTES_PER_SAMPLE:
        raise bad_field(
            "audio", f"expected whole 16-bit samples, an even number of bytes; got {len(pcm)}"
        )
    seconds = duration_ms(len(pcm), sample_rate_hz(audio_format)) / 1000
    if seconds > max_audio_s:
        raise ParleyError(
            "too_large",
            f"audio: {seconds:.1f} s are too long; an utterance may last {max_audio_s} s here.",
            field="audio",
        )
    return audio_format, pcm


def _make_error(invalid: msgspec.ValidationError, kind: type[Struct]) -> ParleyError:
    field, rule = field_and_rule(str(invalid), kind)
    return bad_field(field or "body", rule)


def bad_field(field: str, rule: str) -> ParleyError:
    """Return the error of a field that breaks a rule."""
    return ParleyError("bad_request", f"{field}: {rule}.", field=field)
