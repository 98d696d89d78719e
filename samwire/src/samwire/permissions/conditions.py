"""The `Condition` element of a statement: operators, set operators and `…IfExists`.

See "IAM JSON policy elements: Condition operators" and "Multivalued context keys" in the
IAM user guide.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from samwire.permissions.patterns import Context, Pattern

_Comparison = Callable[[str, str], bool]
"""Takes the request's value and the policy's."""


@dataclass(frozen=True, slots=True)
class Operator:
    """A condition operator.

    Attributes:
        matches: compares a value of the request with one of the policy; None for those that
            take patterns.
        negated: whether it holds when nothing matches.
        variables: whether its values may hold policy variables.
    """

    matches: _Comparison | None
    negated: bool = False
    variables: bool = False
    arn: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator with one key.

    Attributes:
        key: in lower case.
        quantifier: `ForAllValues`, `ForAnyValue` or empty.
    """

    name: str
    key: str
    values: tuple[Pattern, ...]
    quantifier: str = ""
    if_exists: bool = False

    def holds(self, context: Context) -> bool:
        """Return whether it holds for a request."""
        found = context.get(self.key, ())
        if self.name == "Null":
            wanted = "true" if not found else "false"
            return any(value.source.lower() == wanted for value in self.values)
        operator = OPERATORS[self.name]
        if not found:
            if self.if_exists or self.quantifier == "ForAllValues":
                return True
            return operator.negated and not self.quantifier
        hits = [self._hit(operator, value, context) for value in found]
        if self.quantifier == "ForAllValues":
            return not any(hits) if operator.negated else all(hits)
        if self.quantifier == "ForAnyValue":
            return not all(hits) if operator.negated else any(hits)
        return any(hits) != operator.negated

    def _hit(self, operator: Operator, value: str, context: Context) -> bool:
        for wanted in self.values:
            if operator.arn:
                text = wanted.text(context)
                hit = text is not None and arn_matches(value, text)
            elif operator.matches is None:
                hit = wanted.matches(value, lambda: context)
            else:
                text = wanted.text(context) if operator.variables else wanted.source
                hit = text is not None and _compared(operator.matches, value, text)
            if hit:
                return True
        return False


def parsed_operator(text: str) -> tuple[str, str, bool] | None:
    """Name, quantifier and whether it ends in `IfExists`; None for an unknown one."""
    quantifier, _, name = text.rpartition(":")
    if quantifier not in ("", "ForAllValues", "ForAnyValue"):
        return None
    bare = name.removesuffix("IfExists")
    if bare == "Null":
        return (bare, quantifier, False) if name == "Null" and not quantifier else None
    return (bare, quantifier, bare != name) if bare in OPERATORS else None


def _compared(matches: _Comparison, value: str, wanted: str) -> bool:
    try:
        return matches(value, wanted)
    except (ValueError, binascii.Error, OverflowError):
        return False


def arn_matches(value: str, wanted: str) -> bool:
    """Return each of the six parts of an ARN by itself; the last may hold colons."""
    theirs, ours = value.split(":", 5), wanted.split(":", 5)
    return len(theirs) == len(ours) == 6 and all(
        Pattern(pattern, variables=False).matches(part, dict)
        for part, pattern in zip(theirs, ours, strict=True)
    )


def _date(text: str) -> datetime:
    """Read ISO 8601, or seconds since 1970."""
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except ValueError:
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


def _in_network(value: str, wanted: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)


def _numeric(compare: Callable[[float, float], bool]) -> _Comparison:
    return lambda value, wanted: compare(float(value), float(wanted))


def _dated(compare: Callable[[datetime, datetime], bool]) -> _Comparison:
    return lambda value, wanted: compare(_date(value), _date(wanted))


def _folded(value: str, wanted: str) -> bool:
    return value.casefold() == wanted.casefold()


def _same(value: str, wanted: str) -> bool:
    return value == wanted


OPERATORS: dict[str, Operator] = {
    "StringEquals": Operator(_same, variables=True),
    "StringNotEquals": Operator(_same, negated=True, variables=True),
    "StringEqualsIgnoreCase": Operator(_folded, variables=True),
    "StringNotEqualsIgnoreCase": Operator(_folded, negated=True, variables=True),
    "StringLike": Operator(None, variables=True),
    "StringNotLike": Operator(None, negated=True, variables=True),
    "NumericEquals": Operator(_numeric(lambda a, b: a == b)),
    "NumericNotEquals": Operator(_numeric(lambda a, b: a == b), negated=True),
    "NumericLessThan": Operator(_numeric(lambda a, b: a < b)),
    "NumericLessThanEquals": Operator(_numeric(lambda a, b: a <= b)),
    "NumericGreaterThan": Operator(_numeric(lambda a, b: a > b)),
    "NumericGreaterThanEquals": Operator(_numeric(lambda a, b: a >= b)),
    "DateEquals": Operator(_dated(lambda a, b: a == b)),
    "DateNotEquals": Operator(_dated(lambda a, b: a == b), negated=True),
    "DateLessThan": Operator(_dated(lambda a, b: a < b)),
    "DateLessThanEquals": Operator(_dated(lambda a, b: a <= b)),
    "DateGreaterThan": Operator(_dated(lambda a, b: a > b)),
    "DateGreaterThanEquals": Operator(_dated(lambda a, b: a >= b)),
    "Bool": Operator(_folded, variables=True),
    "BinaryEquals": Operator(lambda a, b: base64.b64decode(a) == base64.b64decode(b)),
    "IpAddress": Operator(_in_network),
    "NotIpAddress": Operator(_in_network, negated=True),
    "ArnEquals": Operator(None, variables=True, arn=True),
    "ArnLike": Operator(None, variables=True, arn=True),
    "ArnNotEquals": Operator(None, negated=True, variables=True, arn=True),
    "ArnNotLike": Operator(None, negated=True, variables=True, arn=True),
}
"""All that IAM has but `Null`, which asks whether a key is there."""
