"""Reads references and expressions of a template ("Velocity Template Language")."""

from __future__ import annotations

import re
from collections.abc import Callable

from samwire.gateway.velocity.nodes import (
    Binary,
    Block,
    Call,
    Entries,
    Expression,
    Index,
    Interpolated,
    Items,
    Literal,
    Property,
    Range,
    Reference,
    Step,
    TemplateFault,
    Unary,
)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?!\.\d)")
_INTEGER = re.compile(r"\d+")
_LEVELS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("||", "||"), ("or", "||")),
    (("&&", "&&"), ("and", "&&")),
    (("==", "=="), ("!=", "!="), ("eq", "=="), ("ne", "!=")),
    (
        *((("<=", "<="), (">=", ">="), ("<", "<"), (">", ">"))),
        *((("le", "<="), ("ge", ">="), ("lt", "<"), ("gt", ">"))),
    ),
    (("+", "+"), ("-", "-")),
    (("*", "*"), ("/", "/"), ("%", "%")),
)
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


class ExpressionReader:
    """Reads expressions from `position` on, which moves forward.

    Args:
        block_of: reads the template that text in double quotes is.
    """

    def __init__(self, text: str, block_of: Callable[[str], Block]) -> None:
        self.text = text
        self.position = 0
        self._block_of = block_of

    # --- the text -------------------------------------------------------------------

    def fault(self, message: str) -> TemplateFault:
        """Return an error at this place."""
        return TemplateFault(f"line {self.line}: {message}")

    @property
    def line(self) -> int:
        """The line that `position` is on, from 1."""
        return self.text.count("\n", 0, self.position) + 1

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """Return what the pattern matches here, and past it; None if it does not."""
        found = pattern.match(self.text, self.position)
        if found is None:
            return None
        self.position = found.end()
        return found[0]

    def take(self, token: str) -> bool:
        """Return whether the token is here; past it then."""
        if not self.text.startswith(token, self.position):
            return False
        self.position += len(token)
        return True

    def take_after_space(self, token: str) -> bool:
        """Return the same, with space before it."""
        before = self.position
        self.match(_SPACE)
        if self.take(token):
            return True
        self.position = before
        return False

    def expect(self, token: str) -> None:
        """Refuse a template that does not have the token here, with space before it."""
        if not self.take_after_space(token):
            raise self.fault(f"{token!r} is missing.")

    # --- references -----------------------------------------------------------------

    def reference(self) -> Reference | None:
        """Return the reference that begins with the `$` at this place; None if there is none."""
        began, line = self.position, self.line
        self.take("$")
        self.take("!")
        braced = self.take("{")
        name = self.match(_NAME)
        if name is None:
            self.position = began
            return None
        steps: list[Step] = []
        while (step := self._step()) is not None:
            steps.append(step)
        if braced:
            self.expect("}")
        return Reference(name, tuple(steps), line)

    def _step(self) -> Step | None:
        began = self.position
        if self.take("["):
            key = self.expression()
            self.expect("]")
            return Index(key)
        if self.take(".") and (name := self.match(_NAME)) is not None:
            if self.take("("):
                return Call(name, tuple(self._listed(")")))
            return Property(name)
        self.position = began
        return None

    # --- expressions ----------------------------------------------------------------

    def expression(self, level: int = 0) -> Expression:
        """Return an expression; operators of a higher level bind more tightly."""
        if level == len(_LEVELS):
            return self._unary()
        left = self.expression(level + 1)
        while (operator := self._operator(level)) is not None:
            left = Binary(operator, left, self.expression(level + 1))
        return left

    def _operator(self, level: int) -> str | None:
        for token, meaning in _LEVELS[level]:
            began = self.position
            if self.take_after_space(token):
                following = self.text[self.position : self.position + 1]
                if not (token.isalpha() and (following.isalnum() or following == "_")):
                    return meaning
                self.position = began
        return None

    def _unary(self) -> Expression:
        self.match(_SPACE)
        if self.take("!"):
            return Unary("!", self._unary())
        if self.take("-"):
            return Unary("-", self._unary())
        return self._primary()

    def _primary(self) -> Expression:
        if self.text.startswith("$", self.position):
            found = self.reference()
            if found is None:
                raise self.fault("a name is missing after '$'.")
            return found
        if self.take("("):
            inner = self.expression()
            self.expect(")")
            return inner
        if self.take("'"):
            return Literal(self._quoted("'"))
        if self.take('"'):
            return Interpolated(self._block_of(self._quoted('"')))
        if self.take("["):
            return self._items()
        if self.take("{"):
            return self._entries()
        return self._word_or_number()

    def _word_or_number(self) -> Expression:
        number = self.match(_NUMBER) or self.match(_INTEGER)
        if number is not None:
            if number.endswith(".") or "." not in number:
                return Literal(int(number))
            return Literal(float(number))
        began = self.position
        word = self.match(_NAME)
        if word == "not":
            return Unary("!", self._unary())
        if word in _WORDS:
            return Literal(_WORDS[word])
        self.position = began
        raise self.fault(f"an expression is missing before {self.text[began : began + 20]!r}.")

    def _quoted(self, quote: str) -> str:
        """Return the text up to the closing quote; a doubled one stands for itself."""
        parts = []
        while True:
            end = self.text.find(quote, self.position)
            if end < 0:
                raise self.fault(f"text in {quote} does not end.")
            parts.append(self.text[self.position : end])
            self.position = end + 1
            if not self.take(quote):
                return quote.join(parts)

    def _items(self) -> Expression:
        if self.take_after_space("]"):
            return Items(())
        first = self.expression()
        if self.take_after_space(".."):
            last = self.expression()
            self.expect("]")
            return Range(first, last)
        if self.take_after_space("]"):
            return Items((first,))
        self.expect(",")
        return Items((first, *self._listed("]")))

    def _listed(self, end: str) -> list[Expression]:
        found: list[Expression] = []
        if self.take_after_space(end):
            return found
        while True:
            found.append(self.expression())
            if self.take_after_space(end):
                return found
            self.expect(",")

    def _entries(self) -> Expression:
        found: list[tuple[Expression, Expression]] = []
        if self.take_after_space("}"):
            return Entries(())
        while True:
            key = self.expression()
            self.expect(":")
            found.append((key, self.expression()))
            if self.take_after_space("}"):
                return Entries(tuple(found))
            self.expect(",")
