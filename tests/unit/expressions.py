"""DynamoDB's condition and update expressions, as far as the stores write them.

An expression is turned into Python, once. What is not known here raises, so a test fails at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

Value = dict[str, Any]
Item = dict[str, Value]

_TOKENS = re.compile(r"(?P<function>\w+)(?=\()|(?P<operand>[:#]?\w+)|<>|<=|>=|=")
_OPERATORS = {"AND": "and", "OR": "or", "NOT": "not", "=": "==", "<>": "!="}
_CHANGES = {
    "SET": r"(?P<target>#?\w+) = (?P<term>.+)",
    "REMOVE": r"(?P<target>#?\w+)",
    "ADD": r"(?P<target>#?\w+) (?P<term>:\w+)",
    "DELETE": r"(?P<target>#?\w+) (?P<term>:\w+)",
}
_COMMA = re.compile(r",(?![^(]*\))")
"""A comma that is between two changes, not in a function's parentheses."""


class _Operand:
    """A value in an expression. One that is not there equals nothing, as in DynamoDB."""

    __slots__ = ("value",)

    def __init__(self, value: Value | None) -> None:
        self.value = value

    def _compare(self, other: _Operand, holds: Callable[[Any, Any], bool]) -> bool:
        if self.value is None or other.value is None:
            return False
        ((kind, mine),), ((other_kind, theirs),) = self.value.items(), other.value.items()
        if kind != other_kind:
            return False
        return holds(Decimal(mine), Decimal(theirs)) if kind == "N" else holds(mine, theirs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Operand) and self._compare(other, lambda a, b: a == b)

    def __lt__(self, other: _Operand) -> bool:
        return self._compare(other, lambda a, b: a < b)

    def __le__(self, other: _Operand) -> bool:
        return self._compare(other, lambda a, b: a <= b)

    def __gt__(self, other: _Operand) -> bool:
        return other < self

    def __ge__(self, other: _Operand) -> bool:
        return other <= self

    def __add__(self, other: _Operand) -> _Operand:
        return _number(self._decimal() + other._decimal())

    def __sub__(self, other: _Operand) -> _Operand:
        return _number(self._decimal() - other._decimal())

    def _decimal(self) -> Decimal:
        if self.value is None:
            raise ValueError("an operand is not there")
        return Decimal(self.value["N"])

    def members(self) -> set[str]:
        """Return what a set of strings has; nothing if it is not there."""
        return set() if self.value is None else set(self.value["SS"])

    __hash__ = None  # type: ignore[assignment]  # it is compared only


def _number(value: Decimal | int) -> _Operand:
    return _Operand({"N": str(value)})


def _set(members: set[str]) -> _Operand:
    """Return a set. DynamoDB keeps no empty ones."""
    return _Operand({"SS": sorted(members)} if members else None)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "attribute_exists": lambda operand: operand.value is not None,
    "attribute_not_exists": lambda operand: operand.value is None,
    "if_not_exists": lambda operand, other: other if operand.value is None else operand,
    "size": lambda operand: _number(len(operand.members())),
    "contains": lambda operand, member: member.value["S"] in operand.members(),
    "ADD": lambda operand, other: _set(operand.members() | other.members()),
    "DELETE": lambda operand, other: _set(operand.members() - other.members()),
}


def holds(condition: str, item: Item, names: Mapping[str, str], values: Item) -> bool:
    """Return whether a condition holds for an item; an empty condition does."""
    return not condition or bool(_evaluate(condition, item, names, values))


def updated(update: str, item: Item, names: Mapping[str, str], values: Item) -> Item:
    """Return an item after an update. Every value is computed from the item before."""
    changed = dict(item)
    for target, term in _changes(update):
        name = names.get(target, target)
        value = _evaluate(term, item, names, values).value if term else None
        if value is not None:
            changed[name] = value
        else:
            changed.pop(name, None)
    return changed


@cache
def _changes(update: str) -> list[tuple[str, str]]:
    """Return what an update changes, each with its new value; empty to remove it."""
    _, *parts = re.split(r"\b(SET|REMOVE|ADD|DELETE) ", update)
    changes: list[tuple[str, str]] = []
    for clause, content in zip(parts[::2], parts[1::2], strict=True):
        for change in _COMMA.split(content):
            parsed = re.fullmatch(_CHANGES[clause], change.strip())
            if parsed is None:
                raise ValueError(f"the table in memory does not know {update!r}")
            target, term = parsed["target"], parsed.groupdict().get("term", "")
            with_set = clause in ("ADD", "DELETE")
            changes.append((target, f"{clause}({target}, {term})" if with_set else term))
    return changes


def _evaluate(expression: str, item: Item, names: Mapping[str, str], values: Item) -> Any:
    def operand(token: str) -> _Operand:
        if token.startswith(":"):
            return _Operand(values[token])
        return _Operand(item.get(names[token] if token.startswith("#") else token))

    return eval(_compiled(expression), {**_FUNCTIONS, "operand": operand})


@cache
def _compiled(expression: str) -> Any:
    return compile(_TOKENS.sub(_in_python, expression), expression, "eval")


def _in_python(token: re.Match[str]) -> str:
    text = token[0]
    if text in _OPERATORS or not token["operand"]:
        return _OPERATORS.get(text, text)
    return f"operand({text!r})"
