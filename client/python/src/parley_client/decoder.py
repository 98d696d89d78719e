"""Reads the server's frames into typed events. No socket, no clock.

The dataclasses of `messages` say what an event must hold. A newer server may send fields and
types that this client does not know: it ignores unknown fields, and an unknown type becomes an
`UnknownEvent`, so that its number still counts.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from parley_client.errors import ProtocolViolation
from parley_client.events import (
    GATEWAY_ERROR,
    GatewayError,
    ReceivedEvent,
    TurnEvent,
    UnknownEvent,
)
from parley_client.messages import Audio, Error, ServerEvent

_EVENTS: Mapping[str, type[ServerEvent]] = {cls.type: cls for cls in get_args(ServerEvent)}
_NUMBERED = frozenset(get_args(TurnEvent)) - {Error}

_TIMED_OUT = "Endpoint request timed out"
"""API Gateway waits no longer for a function. The function goes on, and so do its events."""

_Reader = Callable[[object, str], Any]
"""Converts a JSON value; the text is the value's path in its event."""


def decode(frame: str | bytes) -> ReceivedEvent | None:
    """Parse one frame; None for an unnumbered event of an unknown type, and for what says nothing.

    Raises:
        ProtocolViolation: it is not an event of this protocol.
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
    return _read_event(kind, data)


def _gateway_error(data: dict[str, Any]) -> GatewayError | None:
    """What API Gateway itself sends when a route or its function fails:
    `{"message": "Internal server error", "connectionId": …, "requestId": …}`."""
    said, request_id = data["message"], data.get("requestId")
    if said == _TIMED_OUT:
        return None
    if not isinstance(request_id, str):
        request_id = None
    request = f" (request {request_id})" if request_id else ""
    return GatewayError(
        code=GATEWAY_ERROR,
        message=f"The API gateway answered “{said}”{request}; the function's log says why.",
        retryable=said != "Forbidden",  # no such route: it won't appear by asking again
        request_id=request_id,
    )


def _read_event(kind: str, data: dict[str, Any]) -> ReceivedEvent | None:
    cls = _EVENTS.get(kind)
    if (cls is None or cls in _NUMBERED) and data.get("seq") is None:
        return None
    if cls is None:
        known: _Numbered = _read_record(_Numbered, data, kind)
        event: ReceivedEvent = UnknownEvent(known.turn_id, known.seq, kind, data, known.attempt)
    else:
        event = _read_record(cls, data, kind)
    if getattr(event, "attempt", 1) < 1:
        raise _invalid(kind, "attempt")
    if isinstance(event, Audio) and len(event.audio) % 2:
        raise _invalid(kind, "audio")
    return event


@dataclass(frozen=True, slots=True)
class _Numbered:
    """What every event of a turn has."""

    turn_id: str
    seq: int
    attempt: int = 1


class _Unfit(Exception):
    """A value is not of its type."""


def _invalid(path: str, name: str) -> ProtocolViolation:
    return ProtocolViolation(f"The server sent `{path}` without a valid `{name}`.")


def _read_record(cls: Any, value: object, path: str) -> Any:
    if not isinstance(value, dict):
        raise _Unfit
    found: dict[str, Any] = {}
    for name, (reader, is_required) in _readers_of(cls).items():
        given = value.get(name)
        if given is None and not is_required:
            continue
        try:
            found[name] = reader(given, f"{path}.{name}")
        except _Unfit:
            raise _invalid(path, name) from None
    return cls(**found)


@cache
def _readers_of(cls: Any) -> Mapping[str, tuple[_Reader, bool]]:
    """How the fields of a dataclass are read, and whether they must be there."""
    hints = get_type_hints(cls)
    return {
        field.name: (_reader_of(hints[field.name]), field.default is MISSING)
        for field in fields(cls)
    }


def _reader_of(hint: Any) -> _Reader:
    if get_origin(hint) in (UnionType, Union):
        options = [option for option in get_args(hint) if option is not NoneType]
        # `Literal[…] | str` is any text: the list is for readers of the source
        return _read_text if str in options else _reader_of(options[0])
    if get_origin(hint) is Literal:
        return partial(_read_one_of, get_args(hint))
    if hint is Any:
        return _read_anything
    if get_origin(hint) is dict:
        return _read_object
    if get_origin(hint) is tuple:
        return partial(_read_items, _reader_of(get_args(hint)[0]))
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(_read_record, hint)
    if issubclass(hint, tuple):
        readers = [_reader_of(each) for each in get_type_hints(hint).values()]
        return partial(_read_named_tuple, hint, readers)
    return _SCALARS[hint]


def _read_text(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise _Unfit
    return value


def _read_number(value: object, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Unfit
    return value


def _read_integer(value: object, path: str) -> int:
    number = _read_number(value, path)
    if isinstance(number, float) and not number.is_integer():
        raise _Unfit
    return int(number)


def _read_flag(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        raise _Unfit
    return value


def _read_bytes(value: object, path: str) -> bytes:
    try:
        return base64.b64decode(_read_text(value, path), validate=True)
    except ValueError:
        raise _Unfit from None


def _read_one_of(allowed: tuple[str, ...], value: object, path: str) -> str:
    if value not in allowed:
        raise _Unfit
    return str(value)


def _read_anything(value: object, path: str) -> object:
    return value


def _read_object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Unfit
    return value


def _read_items(reader: _Reader, value: object, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _Unfit
    return tuple(reader(item, path) for item in value)


def _read_named_tuple(cls: Any, readers: list[_Reader], value: object, path: str) -> Any:
    if not isinstance(value, list) or len(value) != len(readers):
        raise _Unfit
    return cls(*(reader(item, path) for reader, item in zip(readers, value, strict=True)))


_SCALARS: Mapping[Any, _Reader] = {
    str: _read_text,
    int: _read_integer,
    float: _read_number,
    bool: _read_flag,
    bytes: _read_bytes,
}
