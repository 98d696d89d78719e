"""Tools that do something, and a ledger of what they did.

The ledger counts by the user's sentence (the argument `nonce`, out of the user's own words) and by
idempotency key. So a call that was doubled under two keys is seen as well.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

FIRST_NUMBER = 4711
MOST_GUESTS = 12
MAX_KEPT = 50_000

NONCE = {"type": "string", "description": "The token in the user's words, if there is one."}


class ToolRefused(Exception):
    """A call that the tool refuses; it had no effect."""


@dataclass(frozen=True, slots=True)
class LedgerTool:
    """A tool of the service.

    Attributes:
        effect: as Parley's tools declare it.
        run: what it answers, from its arguments and the number of its effect.
    """

    name: str
    description: str
    properties: Mapping[str, Any]
    required: tuple[str, ...]
    effect: str
    run: Callable[[Mapping[str, Any], int], dict[str, Any]]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of its arguments."""
        properties = {**self.properties, "nonce": NONCE}
        return {"type": "object", "properties": properties, "required": list(self.required)}

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Check arguments.

        Raises:
            ToolRefused: one is missing or of another type.
        """
        for name in self.required:
            if name not in arguments:
                raise ToolRefused(f"The argument {name} is missing.")
        for name, value in arguments.items():
            kind = self.schema["properties"].get(name, {}).get("type")
            if kind is None:
                raise ToolRefused(f"There is no argument {name}.")
            if not isinstance(value, _TYPES[kind]) or isinstance(value, bool):
                raise ToolRefused(f"The argument {name} has to be of type {kind}.")


_TYPES: dict[str, type] = {"string": str, "integer": int}
_STATES = ("on its way", "packed", "delivered", "delayed")


def _order_status(arguments: Mapping[str, Any], _number: int) -> dict[str, Any]:
    order = str(arguments["order"])
    if order.upper().startswith("X"):
        raise ToolRefused(f"There is no order {order}.")
    state = "on its way" if order.upper() == "A-123" else _STATES[sum(order.encode()) % 4]
    return {"order": order, "status": state}


def _book_table(arguments: Mapping[str, Any], number: int) -> dict[str, Any]:
    if not 1 <= arguments["people"] <= MOST_GUESTS:
        raise ToolRefused(f"There is no table for {arguments['people']} people.")
    kept = {name: arguments[name] for name in ("people", "time", "name") if name in arguments}
    return {"number": number, **kept}


def _cancel_order(arguments: Mapping[str, Any], _number: int) -> dict[str, Any]:
    return {"order": arguments["order"], "status": "cancelled"}


_ORDER = {"type": "string", "description": "The order's number, e.g. A-123."}
TOOLS: Mapping[str, LedgerTool] = {
    tool.name: tool
    for tool in (
        LedgerTool(
            "order_status", "Where an order is.", {"order": _ORDER}, ("order",), "read",
            _order_status,
        ),
        LedgerTool(
            "book_table",
            "Book a table.",
            {
                "people": {"type": "integer", "description": "How many guests."},
                "time": {"type": "string", "description": "As HH:MM."},
                "name": {"type": "string", "description": "The guest's name."},
            },
            ("people", "time"),
            "write",
            _book_table,
        ),
        LedgerTool(
            "cancel_order", "Cancel an order.", {"order": _ORDER}, ("order",), "idempotent",
            _cancel_order,
        ),
    )
}  # fmt: skip


@dataclass(slots=True)
class _Counts:
    runs: int = 0
    effects: int = 0
    tools: Counter[str] = field(default_factory=Counter)

    def described(self) -> dict[str, Any]:
        return {"runs": self.runs, "effects": self.effects, "tools": self.tools}


class Ledger:
    """What the tools did."""

    def __init__(self) -> None:
        self._sentences: OrderedDict[str, _Counts] = OrderedDict()
        self._keys: OrderedDict[str, _Counts] = OrderedDict()
        self._answers: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()
        self._effects = 0

    def note_run(self, tool: LedgerTool, arguments: Mapping[str, Any], key: str) -> None:
        """Note that a call has come in, whatever becomes of it."""
        for counts in self._of(arguments, key):
            counts.runs += 1
            counts.tools[tool.name] += 1

    def act(
        self, tool: LedgerTool, arguments: Mapping[str, Any], key: str, *, dedups: bool
    ) -> dict[str, Any]:
        """Have a tool do its work; return its answer.

        Args:
            key: the call's idempotency key, empty if it has none.
            dedups: the same key again does nothing, and has the same answer.

        Raises:
            ToolRefused: it had no effect.
        """
        if dedups and key and (tool.name, key) in self._answers:
            return self._answers[tool.name, key]
        answer = tool.run(arguments, FIRST_NUMBER + self._effects)
        if tool.effect != "read":
            self._effects += 1
            for counts in self._of(arguments, key):
                counts.effects += 1
        if key:
            self._answers[tool.name, key] = answer
        _forget_oldest(self._answers)
        return answer

    def described(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "sentences": {name: counts.described() for name, counts in self._sentences.items()},
            "keys": {name: counts.described() for name, counts in self._keys.items()},
            "effects": self._effects,
        }

    def clear(self) -> None:
        """Forget it, answers by key and all."""
        self._sentences.clear()
        self._keys.clear()
        self._answers.clear()
        self._effects = 0

    def _of(self, arguments: Mapping[str, Any], key: str) -> list[_Counts]:
        nonce = str(arguments.get("nonce", ""))
        found = []
        for book, name in ((self._sentences, nonce), (self._keys, key)):
            if name:
                found.append(book.setdefault(name, _Counts()))
                _forget_oldest(book)
        return found


def _forget_oldest(book: OrderedDict[Any, Any]) -> None:
    while len(book) > MAX_KEPT:
        book.popitem(last=False)
