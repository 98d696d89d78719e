"""Calls of tools in a reply of the chat protocol, in as many pieces as real endpoints send."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from parley_standins.faults import ChatOddities, ToolQuirks
from parley_standins.tool_talk import Call

FRAGMENT_CHARS = 6
"""About what a token of JSON is."""
THOUGHT = "The user wants something done. I call a tool."

_FRAGMENT = re.compile(rf".{{1,{FRAGMENT_CHARS}}}", re.S)


def fragments(text: str) -> list[str]:
    """Return a text in bits as long as tokens of JSON; joined, they are the text."""
    return _FRAGMENT.findall(text)


class WiredCalls:
    """The calls of one reply.

    Args:
        calls: what is called.
        quirks: how other servers send them.
    """

    def __init__(self, calls: Sequence[Call], quirks: ToolQuirks, oddities: ChatOddities) -> None:
        self._quirks = quirks
        self._echo = oddities.must_echo
        self.entries = [
            self._entry(at, call, _id_of(at, call, oddities)) for at, call in enumerate(calls)
        ]
        if quirks.cut_arguments and self.entries:
            arguments = self.entries[-1]["function"].get("arguments", "")
            self.entries[-1]["function"]["arguments"] = arguments[: len(arguments) // 2]

    @property
    def message(self) -> dict[str, Any]:
        """What they add to a message that is no stream."""
        thought = {"reasoning_content": THOUGHT} if self._echo == "reasoning_content" else {}
        entries = [{k: v for k, v in entry.items() if k != "index"} for entry in self.entries]
        return {**thought, "tool_calls": entries}

    def deltas(self) -> Iterator[dict[str, Any]]:
        """Yield the deltas of a stream."""
        if self._echo == "reasoning_content":
            yield from ({"reasoning_content": bit} for bit in fragments(THOUGHT))
        for entry in self.entries:
            yield from ({"tool_calls": [piece]} for piece in self._pieces(entry))

    def _pieces(self, entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
        quirks, function = self._quirks, entry["function"]
        if quirks.one_chunk or quirks.dict_arguments or "arguments" not in function:
            yield entry
            return
        yield {**entry, "function": {**function, "arguments": ""}}
        index = {"index": entry["index"]} if "index" in entry else {}
        for bit in fragments(function["arguments"]):
            yield {**index, "function": {"arguments": bit}}

    def _entry(self, at: int, call: Call, given: str) -> dict[str, Any]:
        quirks = self._quirks
        function: dict[str, Any] = {"name": call.name}
        if quirks.dict_arguments:
            function["arguments"] = dict(call.arguments)
        elif call.arguments or not quirks.no_arguments:
            function["arguments"] = json.dumps(dict(call.arguments), ensure_ascii=False)
        entry: dict[str, Any] = {"type": "function", "function": function}
        if not quirks.no_id:
            entry["id"] = given
        if not quirks.no_index:
            entry["index"] = 0 if quirks.same_index else at
        if self._echo == "thought_signature":
            signature = uuid.uuid4().hex
            entry["extra_content"] = {"google": {"thought_signature": signature}}
        return entry


def _id_of(at: int, call: Call, oddities: ChatOddities) -> str:
    if oddities.repeats_ids:
        return f"functions.{call.name}:{at}"
    if oddities.short_ids:
        return uuid.uuid4().hex[:9]
    return f"call_{uuid.uuid4().hex[:24]}"


def leak(calls: Sequence[Call]) -> str:
    """Return calls as a server writes them that doesn't know the model's syntax."""
    return "\n".join(
        f"<tool_call>\n{json.dumps({'name': call.name, 'arguments': dict(call.arguments)})}\n"
        "</tool_call>"
        for call in calls
    )
