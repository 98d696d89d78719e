"""Reads the server's frames into typed events. No socket, no clock.

A server newer than this client may send fields and types it doesn't know:
unknown fields are ignored and unknown types become `UnknownEvent`, so that
their numbers are still counted.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

from parley_client.errors import ProtocolViolation
from parley_client.messages import (
    GATEWAY_ERROR,
    Audio,
    AudioFormat,
    Choices,
    ConfigUpdated,
    Error,
    Limit,
    Limits,
    Metrics,
    PastMessage,
    Pong,
    Ready,
    Reason,
    ReplyText,
    ServerEvent,
    SessionEnded,
    SessionEndReason,
    Settings,
    Transcript,
    TurnEnd,
    UnknownEvent,
    Word,
)


def decode(frame: str | bytes) -> ServerEvent | None:
    """Parse one frame; None for an unnumbered event of an unknown type.

    Raises:
        ProtocolViolation: it isn't an event of this protocol.
    """
    try:
        data = json.loads(frame)
    except (ValueError, RecursionError):
        raise ProtocolViolation(
            "The server sent something that is not JSON. Is this the URL of a Parley API?"
        ) from None
    if not isinstance(data, dict):
        raise ProtocolViolation("The server sent a JSON value that is not an event.")
    kind = data.get("type")
    if kind is None and isinstance(data.get("message"), str):
        return _gateway_error(data)
    if not isinstance(kind, str):
        raise ProtocolViolation(
            "The server sent an event without a type. Is this the URL of a Parley API?"
        )
    return _parse(kind, _Fields(kind, data))


def _gateway_error(data: dict[str, Any]) -> Error:
    """What API Gateway itself sends when a route or its function fails:
    `{"message": "Internal server error", "connectionId": …, "requestId": …}`."""
    said = data["message"]
    request = f" (request {data['requestId']})" if isinstance(data.get("requestId"), str) else ""
    return Error(
        code=GATEWAY_ERROR,
        message=f"The API gateway answered “{said}”{request}; the function's log says why.",
        retryable=said != "Forbidden",  # no such route: it won't appear by asking again
    )


class _Fields:
    """A JSON object's fields, by type, with an error that names the field."""

    def __init__(self, kind: str, data: Mapping[str, Any]) -> None:
        self.kind = kind
        self.data = data

    def bad(self, name: str) -> ProtocolViolation:
        return ProtocolViolation(f"The server sent `{self.kind}` without a valid `{name}`.")

    def text(self, name: str) -> str:
        value = self.data.get(name)
        if not isinstance(value, str):
            raise self.bad(name)
        return value

    def optional_text(self, name: str) -> str | None:
        return None if self.data.get(name) is None else self.text(name)

    def number(self, name: str) -> float:
        value = self.data.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.bad(name)
        return value

    def integer(self, name: str) -> int:
        value = self.number(name)
        if isinstance(value, float) and not value.is_integer():
            raise self.bad(name)
        return int(value)

    def optional_integer(self, name: str) -> int | None:
        return None if self.data.get(name) is None else self.integer(name)

    def attempt(self) -> int:
        """The attempt at a turn; absent for the first."""
        attempt = self.optional_integer("attempt")
        if attempt is not None and attempt < 1:
            raise self.bad("attempt")
        return attempt or 1

    def flag(self, name: str) -> bool:
        value = self.data.get(name)
        if not isinstance(value, bool):
            raise self.bad(name)
        return value

    def items(self, name: str) -> list[Any]:
        value = self.data.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.bad(name)
        return value

    def texts(self, name: str) -> list[str]:
        values = self.items(name)
        if not all(isinstance(value, str) for value in values):
            raise self.bad(name)
        return values

    def objects(self, name: str) -> list[dict[str, Any]]:
        values = self.items(name)
        if not all(isinstance(value, dict) for value in values):
            raise self.bad(name)
        return values

    def inner(self, name: str) -> _Fields:
        value = self.data.get(name)
        if not isinstance(value, dict):
            raise self.bad(name)
        return _Fields(f"{self.kind}.{name}", value)

    def known(self, cls: type) -> dict[str, Any]:
        """The fields that the dataclass `cls` has too."""
        return {f.name: self.data[f.name] for f in fields(cls) if f.name in self.data}


def _parse(kind: str, at: _Fields) -> ServerEvent | None:
    match kind:
        case "ready":
            return _ready(at)
        case "config_updated":
            return ConfigUpdated(Settings(**at.inner("settings").known(Settings)))
        case "pong":
            return Pong(at.number("sent_at"))
        case "session_ended":
            return _session_ended(at)
        case "error":
            return _error(at)
    if at.data.get("seq") is None:
        return None
    turn_id, seq, attempt = at.text("turn_id"), at.integer("seq"), at.attempt()
    match kind:
        case "transcript":
            return Transcript(turn_id, seq, at.text("text"), at.flag("final"), attempt)
        case "reply_text":
            return ReplyText(turn_id, seq, at.text("delta"), attempt)
        case "audio":
            return _audio(at, turn_id, seq)
        case "turn_end":
            return _turn_end(at, turn_id, seq)
    return UnknownEvent(turn_id, seq, kind, at.data, attempt)


def _session_ended(at: _Fields) -> SessionEnded:
    reason = at.data.get("reason", "ended")
    if reason not in get_args(SessionEndReason):
        raise at.bad("reason")
    return SessionEnded(at.text("session_id"), reason)


def _ready(at: _Fields) -> Ready:
    return Ready(
        session_id=at.text("session_id"),
        resume_token=at.text("resume_token"),
        resumed=at.flag("resumed"),
        settings=Settings(**at.inner("settings").known(Settings)),
        limits=Limits(**at.inner("limits").known(Limits)),
        protocol=at.integer("protocol"),
        history=tuple(_past_message(entry, at) for entry in at.items("history")),
        choices=None if at.data.get("choices") is None else _choices(at.inner("choices")),
        stand_ins=tuple(at.texts("stand_ins")),
    )


def _choices(at: _Fields) -> Choices:
    voices = [_Fields(f"{at.kind}.voices", voice) for voice in at.objects("voices")]
    return Choices(
        settings=tuple(at.texts("settings")),
        voices={voice.text("id"): voice.text("name") for voice in voices},
        languages=tuple(at.texts("languages")),
    )


def _past_message(entry: object, at: _Fields) -> PastMessage:
    if not isinstance(entry, dict):
        raise at.bad("history")
    said = _Fields("ready.history", entry)
    return PastMessage(
        said.text("role"), said.text("text"), said.text("turn_id"), said.optional_text("heard")
    )


def _audio(at: _Fields, turn_id: str, seq: int) -> Audio:
    try:
        pcm = base64.b64decode(at.text("audio"), validate=True)
    except binascii.Error:
        raise at.bad("audio") from None
    kind = at.text("format")
    if len(pcm) % 2:
        raise at.bad("audio")
    if kind not in get_args(AudioFormat):
        raise at.bad("format")
    return Audio(
        turn_id=turn_id,
        seq=seq,
        audio=pcm,
        format=kind,  # type: ignore[arg-type]  # mypy doesn't narrow by `in` above
        start_ms=at.integer("start_ms"),
        duration_ms=at.integer("duration_ms"),
        words=tuple(_word(entry, at) for entry in at.items("words")),
        attempt=at.attempt(),
    )


def _word(entry: object, at: _Fields) -> Word:
    match entry:
        case [str(text), int(start_ms), int(end_ms)]:
            return Word(text, start_ms, end_ms)
    raise at.bad("words")


def _turn_end(at: _Fields, turn_id: str, seq: int) -> TurnEnd:
    reason = at.text("reason")
    if reason not in get_args(Reason):
        raise at.bad("reason")
    return TurnEnd(
        turn_id=turn_id,
        seq=seq,
        reason=reason,  # type: ignore[arg-type]  # mypy doesn't narrow by `in` above
        text=at.text("text"),
        metrics=Metrics(**at.inner("metrics").known(Metrics)),
        heard=at.optional_text("heard"),
        code=at.optional_text("code"),
        retryable=at.data.get("retryable") is True,
        attempt=at.attempt(),
    )


def _error(at: _Fields) -> Error:
    return Error(
        code=at.text("code"),
        message=at.text("message"),
        retryable=at.flag("retryable"),
        turn_id=at.optional_text("turn_id"),
        seq=at.optional_integer("seq"),
        field=at.optional_text("field"),
        retry_after_ms=at.optional_integer("retry_after_ms"),
        missing=tuple(seq for seq in at.items("missing") if isinstance(seq, int)),
        attempt=at.attempt(),
        limit=_limit(at),
    )


def _limit(at: _Fields) -> Limit | None:
    if at.data.get("limit") is None:
        return None
    limit = at.inner("limit")
    return Limit(limit.text("name"), limit.integer("value"), limit.text("scope"))
