"""Text with wildcards and policy variables, as policies use it for actions, ARNs and values.

`*` is any text, `?` any one character; `${aws:userid}` is a value of the request, and
`${*}`, `${?}`, `${$}` are those characters ("IAM policy elements: Variables and tags").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

Context = Mapping[str, tuple[str, ...]]
"""Condition keys of a request in lower case, each with its values."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_DEFAULT = re.compile(r"\s*([^,\s]+)\s*(?:,\s*'([^']*)'\s*)?")


class Pattern:
    """One text of a policy.

    Args:
        source: as the policy has it.
        variables: whether the policy's version knows variables (2012-10-17 does).
        arn: `*` in the middle of a part of an ARN ends at the next colon; at the end of
            one it goes on ("IAM JSON policy elements: Resource").
        ignore_case: as actions do.
    """

    def __init__(
        self, source: str, *, variables: bool, arn: bool = False, ignore_case: bool = False
    ) -> None:
        self.source = source
        self._arn = arn
        self._flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
        self.depends = variables and any(
            name not in ("*", "?", "$") for name in _VARIABLE.findall(source)
        )
        """Whether it needs the request's context to be compared."""
        self._variables = variables
        self._fixed = None if self.depends else self._compiled({})

    def matches(self, text: str, context: Callable[[], Context]) -> bool:
        """Return whether a text is meant. A variable that has no value in the request matches
        nothing."""
        expression = self._fixed or self._compiled(context())
        return expression is not None and expression.fullmatch(text) is not None

    def text(self, context: Context) -> str | None:
        """Return the text with its variables replaced, wildcards as they stand; None without a
        value."""
        if not self._variables:
            return self.source
        parts: list[str] = []
        end = 0
        for found in _VARIABLE.finditer(self.source):
            value = _value(found[1], context)
            if value is None:
                return None
            parts += [self.source[end : found.start()], value]
            end = found.end()
        return "".join([*parts, self.source[end:]])

    def _compiled(self, context: Context) -> re.Pattern[str] | None:
        parts: list[str] = []
        end = 0
        for found in _VARIABLE.finditer(self.source) if self._variables else ():
            value = _value(found[1], context)
            if value is None:
                return None
            parts += [self._wild(end, found.start()), re.escape(value)]
            end = found.end()
        parts.append(self._wild(end, len(self.source)))
        return _expression("".join(parts), self._flags)

    def _wild(self, start: int, end: int) -> str:
        return "".join(self._part(place) for place in range(start, end))

    def _part(self, place: int) -> str:
        character = self.source[place]
        if character == "?":
            return "[^:]" if self._arn else "."
        if character != "*":
            return re.escape(character)
        last = self.source[place + 1 : place + 2] in ("", ":")
        return ".*" if last or not self._arn else "[^:]*"


@lru_cache(maxsize=1024)
def _expression(source: str, flags: int) -> re.Pattern[str]:
    return re.compile(source, flags)


def _value(variable: str, context: Context) -> str | None:
    """Return the value of a variable: one only, since several would be ambiguous; else its
    default."""
    if variable in ("*", "?", "$"):
        return variable
    found = _DEFAULT.fullmatch(variable)
    if found is None:
        return None
    values = context.get(found[1].lower(), ())
    return values[0] if len(values) == 1 else found[2]
