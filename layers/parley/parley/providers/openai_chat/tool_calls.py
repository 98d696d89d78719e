"""Puts tool calls together that come in pieces: a plain object, without I/O.

Servers disagree about the pieces. OpenAI numbers its calls, and sends id and name first. Layers
over Gemini, and some proxies, number every call 0. Ollama sends whole calls, without a number, with
arguments as an object. Some leave out the id, or repeat id and name with each piece.
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from parley.protocol.tool_rounds import ToolCall

_KNOWN = ("index", "id", "type", "function")
_ID_CHARACTERS = string.ascii_letters + string.digits


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""
    is_whole: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


class ToolCallAssembler:
    """Reads the tool calls of one answer."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._latest: dict[int, _Call] = {}

    def feed(self, entries: Iterable[Any]) -> None:
        """Take the `tool_calls` of one delta, or of a whole message."""
        for position, entry in enumerate(entries):
            if isinstance(entry, dict):
                self._take(position, entry)

    def finish(self) -> tuple[ToolCall, ...]:
        """Return the calls, in the order in which they began, each with an id of its own."""
        calls: list[ToolCall] = []
        ids: set[str] = set()
        for call in self._calls:
            if not call.name:
                continue
            call_id = call.id if call.id and call.id not in ids else _make_id()
            ids.add(call_id)
            arguments = call.arguments if call.arguments.strip() else "{}"
            calls.append(ToolCall(call.name, arguments, call_id, call.extra))
        return tuple(calls)

    def _take(self, position: int, entry: dict[str, Any]) -> None:
        function = entry.get("function")
        function = function if isinstance(function, dict) else {}
        call_id, name = _text(entry.get("id")), _text(function.get("name"))
        call = self._find(_key(entry.get("index"), position, self._ids(call_id)), call_id, name)
        call.id = call.id or call_id
        if name != call.name and not call.arguments:
            call.name += name
        _add_arguments(call, function.get("arguments"))
        call.extra |= {
            key: value for key, value in entry.items() if key not in _KNOWN and value is not None
        }

    def _ids(self, call_id: str) -> int | None:
        """Return under which number the call with an id goes on; None if it is not known."""
        if not call_id:
            return None
        return next((key for key, call in self._latest.items() if call.id == call_id), None)

    def _find(self, key: int, call_id: str, name: str) -> _Call:
        call = self._latest.get(key)
        if call is None or _is_another(call, call_id, name):
            call = self._latest[key] = _Call()
            self._calls.append(call)
        return call


def _is_another(call: _Call, call_id: str, name: str) -> bool:
    """Return whether a piece under a known number begins another call."""
    if call_id and call.id:
        return call_id != call.id
    # A name that is repeated with each piece is of the same call until its arguments are whole.
    return bool(name and call.arguments) and (name != call.name or _is_json(call))


def _is_json(call: _Call) -> bool:
    if call.is_whole:
        return True
    try:
        json.loads(call.arguments)
    except (ValueError, RecursionError):
        return False
    return True


def _add_arguments(call: _Call, found: Any) -> None:
    if isinstance(found, str):
        call.arguments += found
    elif found is not None and not call.arguments:
        call.arguments, call.is_whole = canonical_arguments(found), True


def canonical_arguments(found: Any) -> str:
    """Return arguments that came as an object as the text that stands for them."""
    return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _key(index: Any, position: int, known: int | None) -> int:
    if isinstance(index, int | float) and not isinstance(index, bool) and index == index // 1:
        return int(index)
    if isinstance(index, str) and index.isdecimal() and len(index) < 6:
        return int(index)
    return position if known is None else known


def _text(found: Any) -> str:
    return found if isinstance(found, str) else ""


def _make_id() -> str:
    """Make an id of 9 letters and digits: what Mistral wants is valid everywhere."""
    return "".join(secrets.choice(_ID_CHARACTERS) for _ in range(9))
