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
        if self.value is None or other.value is None:
            raise ValueError("the table in memory adds nothing to what is not there")
        return _Operand({"N": str(Decimal(self.value["N"]) + Decimal(other.value["N"]))})

    __hash__ = None  # type: ignore[assignment]  # it is compared only


_FUNCTIONS = {
    "attribute_exists": lambda operand: operand.value is not None,
    "attribute_not_exists": lambda operand: operand.value is None,
    "if_not_exists": lambda operand, other: other if operand.value is None else operand,
}


def holds(condition: str, item: Item, names: Mapping[str, str], values: Item) -> bool:
    """Return whether a condition holds for an item; an empty condition does."""
    return not condition or bool(_evaluate(condition, item, names, values))


def updated(update: str, item: Item, names: Mapping[str, str], values: Item) -> Item:
    """Return an item after an update. Every value is computed from the item before."""
    changed = dict(item)
    for target, term in _changes(update):
        name = names.get(target, target)
        if term:
            changed[name] = _evaluate(term, item, names, values).value
        else:
            changed.pop(name, None)
    return changed


@cache
def _changes(update: str) -> list[tuple[str, str]]:
    """Return what an update changes, each with its new value; empty to remove it."""
    _, *parts = re.split(r"\b(SET|REMOVE) ", update)
    changes: list[tuple[str, str]] = []
    for clause, content in zip(parts[::2], parts[1::2], strict=True):
        for change in _COMMA.split(content):
            target, equals, term = (part.strip() for part in change.partition("="))
            if not re.fullmatch(r"#?\w+", target) or bool(equals) != (clause == "SET"):
                raise ValueError(f"the table in memory does not know {update!r}")
            changes.append((target, term))
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
