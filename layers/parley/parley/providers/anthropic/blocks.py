"""Puts the blocks of a message together that come in pieces: a plain object, without I/O.

Text goes by another way. A thought is kept as it is, with its signature: the API wants it back with
the calls that it led to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from parley.protocol.tool_rounds import ToolCall, ToolCalls

CONTENT_FIELD = "content"
"""Of `ToolCalls.extra`: the message's blocks in order, with nothing in those of text and calls."""
_THOUGHTS = ("thinking", "redacted_thinking")
_PIECES = {"thinking_delta": "thinking", "signature_delta": "signature"}
"""The field of a thought that a delta goes on with, by the delta's type."""


@dataclass(slots=True)
class _Block:
    content: dict[str, Any]
    arguments: str = ""

    @property
    def kind(self) -> str:
        kind = self.content.get("type")
        return kind if isinstance(kind, str) else ""


class MessageBlocks:
    """Reads the blocks of one message."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._by_index: dict[Any, _Block] = {}

    @property
    def calls_tool(self) -> bool:
        """Whether one of the deployment's tools is called: those of the vendor run there."""
        return any(block.kind == "tool_use" for block in self._blocks)

    def begin(self, index: Any, content: dict[str, Any]) -> None:
        """Take the beginning of a block, or a whole one."""
        block = _Block(dict(content))
        self._blocks.append(block)
        self._by_index[_key(index)] = block

    def go_on(self, index: Any, delta: dict[str, Any]) -> None:
        """Take a piece of a block."""
        if not self._blocks:
            return
        block = self._by_index.get(_key(index), self._blocks[-1])
        kind = delta.get("type")
        if kind == "input_json_delta":
            block.arguments += _text(delta.get("partial_json"))
        elif field := _PIECES.get(_text(kind)):
            block.content[field] = _text(block.content.get(field)) + _text(delta.get(field))

    def finish(self, model: str) -> ToolCalls | None:
        """Return the calls of a whole message; None if there are none."""
        calls = tuple(_call(block) for block in self._blocks if block.kind == "tool_use")
        kept = [_kept(block) for block in self._blocks if block.kind in _KEPT]
        thinks = any(block.kind in _THOUGHTS for block in self._blocks)
        return ToolCalls(calls, {CONTENT_FIELD: kept} if thinks else {}, model) if calls else None


_KEPT = (*_THOUGHTS, "text", "tool_use")


def _kept(block: _Block) -> dict[str, Any]:
    return block.content if block.kind in _THOUGHTS else {"type": block.kind}


def _call(block: _Block) -> ToolCall:
    content, arguments = block.content, block.arguments
    if not arguments.strip():  # a call without arguments has no delta
        given = content.get("input") or {}
        arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return ToolCall(_text(content.get("name")), arguments, _text(content.get("id")))


def _key(index: Any) -> Any:
    return index if isinstance(index, int | str) else None


def _text(found: Any) -> str:
    return found if isinstance(found, str) else ""
