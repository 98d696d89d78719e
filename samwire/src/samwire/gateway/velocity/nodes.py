"""What a template consists of, once read."""

from __future__ import annotations

from dataclasses import dataclass


class TemplateFault(Exception):
    """A template is wrong; a sentence that says where and what."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text that is passed on."""

    text: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a truth value, `null`, or text in single quotes."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Interpolated:
    """Text in double quotes, with references in it."""

    block: Block


@dataclass(frozen=True, slots=True)
class Items:
    """`[a, b]`."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """`[first..last]`."""

    first: Expression
    last: Expression


@dataclass(frozen=True, slots=True)
class Entries:
    """`{a: b}`."""

    entries: tuple[tuple[Expression, Expression], ...]


@dataclass(frozen=True, slots=True)
class Property:
    """`.name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """`.name(arguments)`."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """`[key]`."""

    key: Expression


Step = Property | Call | Index


@dataclass(frozen=True, slots=True)
class Reference:
    """`$name` and what follows it; `line` is where it stands."""

    name: str
    steps: tuple[Step, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Unary:
    """`!a` or `-a`."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """`a operator b`."""

    operator: str
    left: Expression
    right: Expression


Expression = Literal | Interpolated | Items | Range | Entries | Reference | Unary | Binary


@dataclass(frozen=True, slots=True)
class Assignment:
    """`#set($target = value)`."""

    target: Reference
    value: Expression


@dataclass(frozen=True, slots=True)
class Choice:
    """`#if … #elseif … #else … #end`."""

    branches: tuple[tuple[Expression, Block], ...]
    otherwise: Block


@dataclass(frozen=True, slots=True)
class Loop:
    """`#foreach($name in items) … #end`."""

    name: str
    items: Expression
    body: Block


@dataclass(frozen=True, slots=True)
class Jump:
    """`#break` leaves the loop, `#stop` the template."""

    stop: bool


Node = Text | Reference | Assignment | Choice | Loop | Jump
Block = tuple[Node, ...]
