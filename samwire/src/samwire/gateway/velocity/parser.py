"""Reads a template: text, references and directives."""

from __future__ import annotations

import functools
import re

from samwire.gateway.velocity.expressions import ExpressionReader
from samwire.gateway.velocity.nodes import (
    Assignment,
    Block,
    Choice,
    Expression,
    Jump,
    Loop,
    Node,
    Reference,
    TemplateFault,
    Text,
)

_PLAIN = re.compile(r"[^$#\\]+")
_DIRECTIVE = re.compile(r"#(?:\{([a-z]+)\}|([a-z]+))")
_LINE_COMMENT = re.compile(r"##[^\n]*\n?")
_BLOCK_COMMENT = re.compile(r"#\*.*?\*#", re.DOTALL)
_UNPARSED = re.compile(r"#\[\[(.*?)\]\]#", re.DOTALL)
_REST_OF_LINE = re.compile(r"[ \t]*\r?\n")
_LOOP_NAME = re.compile(r"\s*\$\{?([A-Za-z_][A-Za-z0-9_-]*)\}?\s+in\b")
_ENDS = frozenset({"end", "else", "elseif"})
_REFUSED = frozenset({"macro", "parse", "include", "evaluate", "define", "return"})


@functools.lru_cache(maxsize=256)
def parsed(text: str) -> Block:
    """Return the template that a text is.

    Raises:
        TemplateFault: it is none, or uses a directive that API Gateway's do without.
    """
    reader = _TemplateReader(text)
    block, ended = reader.block()
    if ended:
        raise reader.source.fault(f"#{ended} without a directive that it belongs to.")
    return block


class _TemplateReader:
    def __init__(self, text: str) -> None:
        self.source = ExpressionReader(text, parsed)

    def block(self) -> tuple[Block, str]:
        """Return the nodes up to a directive that ends a block, and its name; empty at the text's
        end."""
        source, nodes = self.source, list[Node]()
        while source.position < len(source.text):
            if (plain := source.match(_PLAIN)) is not None:
                nodes.append(Text(plain))
                continue
            character = source.text[source.position]
            if character == "\\":
                nodes.append(self._escaped())
            elif character == "$":
                found = source.reference()
                nodes.append(found or self._character())
            else:
                ended = self._hash(nodes)
                if ended:
                    return tuple(nodes), ended
        return tuple(nodes), ""

    def _character(self) -> Text:
        self.source.position += 1
        return Text(self.source.text[self.source.position - 1])

    def _escaped(self) -> Node:
        """`\\$name` is `$name` as text; any other backslash is itself."""
        source = self.source
        began = source.position
        if source.text.startswith("\\$", began):
            source.position += 1
            if source.reference() is not None:
                return Text(source.text[began + 1 : source.position])
            source.position = began
        return self._character()

    def _hash(self, nodes: list[Node]) -> str:
        """Return a comment or directive; the name of one that ends a block."""
        source = self.source
        if source.match(_LINE_COMMENT) is not None or source.match(_BLOCK_COMMENT) is not None:
            return ""
        unparsed = _UNPARSED.match(source.text, source.position)
        if unparsed:
            source.position = unparsed.end()
            nodes.append(Text(unparsed[1]))
            return ""
        directive = _DIRECTIVE.match(source.text, source.position)
        name = (directive[1] or directive[2]) if directive else ""
        if directive is None or not (name in _ENDS or name in _REFUSED or name in self._known):
            nodes.append(self._character())
            return ""
        if name in _REFUSED:
            raise source.fault(f"#{name} is not supported in mapping templates here.")
        source.position = directive.end()
        if name in _ENDS:
            if name != "elseif":
                source.match(_REST_OF_LINE)
            return name
        nodes.append(self._directive(name))
        source.match(_REST_OF_LINE)
        return ""

    _known = frozenset({"set", "if", "foreach", "break", "stop"})

    def _directive(self, name: str) -> Node:
        if name == "set":
            return self._set()
        if name == "if":
            return self._if()
        if name == "foreach":
            return self._foreach()
        return Jump(stop=name == "stop")

    def _set(self) -> Assignment:
        source = self.source
        source.expect("(")
        target = source.expression(level=6)
        if not isinstance(target, Reference):
            raise source.fault("#set needs a $reference to set.")
        source.expect("=")
        value = source.expression()
        source.expect(")")
        return Assignment(target, value)

    def _condition(self) -> Expression:
        self.source.expect("(")
        condition = self.source.expression()
        self.source.expect(")")
        self.source.match(_REST_OF_LINE)
        return condition

    def _if(self) -> Choice:
        branches: list[tuple[Expression, Block]] = []
        condition = self._condition()
        while True:
            block, ended = self.block()
            branches.append((condition, block))
            if ended == "elseif":
                condition = self._condition()
            elif ended == "else":
                return Choice(tuple(branches), self._closed("#else"))
            elif ended == "end":
                return Choice(tuple(branches), ())
            else:
                raise self._unended("#if")

    def _foreach(self) -> Loop:
        source = self.source
        source.expect("(")
        found = _LOOP_NAME.match(source.text, source.position)
        if found is None:
            raise source.fault("#foreach needs ($name in items).")
        source.position = found.end()
        items = source.expression()
        source.expect(")")
        source.match(_REST_OF_LINE)
        return Loop(found[1], items, self._closed("#foreach"))

    def _closed(self, name: str) -> Block:
        block, ended = self.block()
        if ended != "end":
            raise self._unended(name)
        return block

    def _unended(self, name: str) -> TemplateFault:
        return self.source.fault(f"{name} has no #end.")
