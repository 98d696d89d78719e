"""Decodes client messages. A message that is invalid gets an error that names field and rule.

Size and structure are checked first. Then one strict decode follows. Only if it fails is the
message read again, to find the words for the error.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from parley.errors import BadMessage
from parley.protocol.json_limits import Misshapen, check_shape
from parley.protocol.messages import (
    CLIENT_MESSAGES,
    END,
    MAX_MESSAGE_BYTES,
    AnyClientMessage,
    AudioChunk,
    ClientMessage,
    Identifier,
    UserMessage,
)

_END = repr(END).strip("'")
"""`END`, as msgspec prints it."""


class _Peek(Struct):
    """The two fields that an error names, whatever else is invalid."""

    type: Any = None
    turn_id: Any = None


class Decoder:
    """Decodes text frames into messages.

    Args:
        max_bytes: the longest message.
    """

    def __init__(self, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_bytes = max_bytes

    _messages: ClassVar[msgspec.json.Decoder[AnyClientMessage]] = msgspec.json.Decoder(
        AnyClientMessage
    )
    _peek: ClassVar[msgspec.json.Decoder[_Peek]] = msgspec.json.Decoder(_Peek)
    _types: ClassVar[dict[str, type[ClientMessage]]] = {
        str(cls.__struct_config__.tag): cls for cls in CLIENT_MESSAGES
    }

    def decode(self, body: str) -> AnyClientMessage:
        """Decode one client message.

        Raises:
            BadMessage: `too_large`, `unknown_type` or `bad_request`; names field and rule.
        """
        size = len(body.encode("utf-8", "surrogatepass"))
        if size > self._max_bytes:
            raise BadMessage(
                "too_large",
                f"The message has {size:,} bytes; a message may have at most "
                f"{self._max_bytes:,}. Send audio in smaller chunks.",
            )
        try:
            check_shape(body)
            message = self._messages.decode(body)
        except Misshapen as misshapen:
            raise BadMessage("bad_request", str(misshapen)) from None
        except msgspec.ValidationError as invalid:
            raise self._explain(body, str(invalid)) from None
        except (msgspec.DecodeError, UnicodeError) as malformed:
            raise _not_json(malformed) from None
        if isinstance(message, AudioChunk) and len(message.audio) % 2:
            raise BadMessage(
                "bad_request",
                f"audio_chunk.audio: expected an even number of bytes; got {len(message.audio)}. "
                "PCM has whole 16-bit samples, and µ-law goes in pairs.",
                field="audio_chunk.audio",
                turn_id=message.turn_id,
            )
        if isinstance(message, UserMessage) and not message.text.strip():
            raise BadMessage(
                "bad_request",
                "user_message.text: expected at least one character that is not white space.",
                field="user_message.text",
                turn_id=message.turn_id,
            )
        return message

    def _explain(self, body: str, problem: str) -> BadMessage:
        try:
            peek = self._peek.decode(body)
        except msgspec.ValidationError:
            return BadMessage(
                "bad_request", "Expected a JSON object with a `type`, got another JSON value."
            )
        except (msgspec.DecodeError, UnicodeError) as malformed:  # broken behind that field
            return _not_json(malformed)
        turn_id = peek.turn_id if _is_identifier(peek.turn_id) else None
        if peek.type is None:
            return BadMessage(
                "bad_request",
                f"type: required, one of {', '.join(self._types)}.",
                field="type",
                turn_id=turn_id,
            )
        if not isinstance(peek.type, str) or peek.type not in self._types:
            shown = repr(peek.type[:40]) if isinstance(peek.type, str) else "another JSON value"
            return BadMessage(
                "unknown_type",
                f"type: expected one of {', '.join(self._types)}; got {shown}.",
                field="type",
                turn_id=turn_id,
            )
        field, rule = field_and_rule(problem, self._types[peek.type])
        path = f"{peek.type}.{field}" if field else peek.type
        return BadMessage("bad_request", f"{path}: {rule}.", field=path, turn_id=turn_id)


def _not_json(malformed: Exception) -> BadMessage:
    if isinstance(malformed, UnicodeError):
        return BadMessage("bad_request", "The message has half of a surrogate pair.")
    return BadMessage("bad_request", f"The message is not valid JSON: {malformed}.")


def _is_identifier(value: object) -> bool:
    try:
        msgspec.convert(value, Identifier)
    except msgspec.ValidationError:
        return False
    return True


def field_and_rule(problem: str, message_type: type[Struct]) -> tuple[str, str]:
    """Split msgspec's text (`Expected ... - at `$.a.b``) into field path and rule."""
    rule, _, path = problem.partition(" - at ")
    path = path.removeprefix("`key` in ")  # a name in an object that takes any
    field = path.strip("`").removeprefix("$").removeprefix(".")
    if rule.startswith("Object missing required field"):
        name = rule.split("`")[1]
        return f"{field}.{name}".lstrip("."), "required"
    if rule.startswith("Invalid enum value"):
        allowed = _allowed_values(message_type, field)
        got = rule.removeprefix("Invalid enum value ").strip("'")[:40]
        return field, f"expected one of {allowed}; got {got!r}"
    if rule.startswith("Invalid base64"):
        return field, "expected base64 (RFC 4648, with padding)"
    if "regex" in rule:
        return field, f"expected text matching {rule.split('regex ', 1)[1].replace(_END, '$')}"
    return field, rule[:1].lower() + rule[1:].replace("`", "")


def _allowed_values(message_type: type[Struct], field: str) -> str:
    schema = msgspec.json.schema(message_type)
    definition = schema["$defs"][message_type.__name__]["properties"].get(field, {})
    return ", ".join(str(value) for value in definition.get("enum", [])) or "the documented values"
