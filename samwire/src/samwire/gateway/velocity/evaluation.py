"""Renders a template with variables."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

from samwire.gateway.velocity.methods import Tool, method_of, written
from samwire.gateway.velocity.nodes import (
    Assignment,
    Binary,
    Block,
    Call,
    Choice,
    Entries,
    Expression,
    Index,
    Interpolated,
    Items,
    Jump,
    Literal,
    Loop,
    Node,
    Property,
    Range,
    Reference,
    Step,
    TemplateFault,
    Text,
    Unary,
)

MAX_LOOP = 1000
"""Iterations of one `#foreach` ("Mapping template reference")."""


class _Broken(Exception):
    """`#break` was met."""


class _Stopped(Exception):
    """`#stop` was met."""


def rendered(template: Block, variables: Mapping[str, Any]) -> str:
    """Return the text that a template makes of variables.

    Raises:
        TemplateFault: it calls what is not there, or calls it wrongly.
    """
    renderer = _Renderer(dict(variables))
    with contextlib.suppress(_Stopped, _Broken):
        renderer.block(template)
    return "".join(renderer.out)


class _Renderer:
    def __init__(self, variables: dict[str, Any]) -> None:
        self._variables = variables
        self.out: list[str] = []

    def block(self, nodes: Block) -> None:
        """Render nodes, one after the other."""
        for node in nodes:
            self._node(node)

    def _node(self, node: Node) -> None:
        if isinstance(node, Text):
            self.out.append(node.text)
        elif isinstance(node, Reference):
            self.out.append(written(self._reference(node)))
        elif isinstance(node, Assignment):
            self._assign(node)
        elif isinstance(node, Choice):
            chosen = (block for condition, block in node.branches if self._true(condition))
            self.block(next(chosen, node.otherwise))
        elif isinstance(node, Loop):
            self._loop(node)
        elif isinstance(node, Jump):
            raise _Stopped if node.stop else _Broken

    def _loop(self, loop: Loop) -> None:
        found = self._value(loop.items)
        found = list(found.values()) if isinstance(found, dict) else found
        items = found if isinstance(found, list) else []
        outer = {name: self._variables.get(name) for name in (loop.name, "foreach")}
        for index, item in enumerate(items[:MAX_LOOP]):
            more = index + 1 < len(items)
            state = {"index": index, "count": index + 1, "hasNext": more}
            state |= {"first": index == 0, "last": not more}
            self._variables |= {loop.name: item, "foreach": state, "velocityCount": index + 1}
            try:
                self.block(loop.body)
            except _Broken:
                break
        self._variables |= outer

    def _assign(self, node: Assignment) -> None:
        value = self._value(node.value)
        target = node.target
        if not target.steps:
            self._variables[target.name] = value
            return
        owner = self._reference(Reference(target.name, target.steps[:-1], target.line))
        last = target.steps[-1]
        key = last.name if isinstance(last, Property) else None
        if isinstance(last, Index):
            key = self._value(last.key)
        in_list = isinstance(owner, list) and isinstance(key, int) and -1 < key < len(owner)
        if not in_list and not isinstance(owner, dict):
            raise TemplateFault(f"line {target.line}: ${target.name} has nothing there to set.")
        owner[key] = value

    # --- references -----------------------------------------------------------------

    def _reference(self, reference: Reference) -> Any:
        value = self._variables.get(reference.name)
        for step in reference.steps:
            if value is None:
                return None
            value = self._step(value, step, reference)
        return value

    def _step(self, value: Any, step: Step, reference: Reference) -> Any:
        if isinstance(step, Call):
            return self._call(value, step, reference)
        key = step.name if isinstance(step, Property) else self._value(step.key)
        if isinstance(value, Tool):
            return value.values.get(key)
        if isinstance(value, Mapping):
            return value.get(key)
        if isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            return value[key]
        return None

    def _call(self, value: Any, call: Call, reference: Reference) -> Any:
        where = f"line {reference.line}: ${reference.name}…{call.name}()"
        method = method_of(value, call.name)
        if method is None:
            raise TemplateFault(f"{where}: there is no such method here.")
        arguments = [self._value(argument) for argument in call.arguments]
        try:
            return method(*arguments)
        except (TypeError, ValueError, LookupError, AttributeError, re.error) as error:
            raise TemplateFault(f"{where} cannot be called like this: {error}.") from None

    # --- expressions ----------------------------------------------------------------

    def _true(self, expression: Expression) -> bool:
        value = self._value(expression)
        return value is not None and value is not False

    def _value(self, expression: Expression) -> Any:
        if isinstance(expression, Literal):
            return expression.value
        if isinstance(expression, Reference):
            return self._reference(expression)
        if isinstance(expression, Interpolated):
            return self._interpolated(expression)
        if isinstance(expression, Items):
            return [self._value(item) for item in expression.items]
        if isinstance(expression, Entries):
            return {self._value(key): self._value(item) for key, item in expression.entries}
        if isinstance(expression, Range):
            return self._range(expression)
        if isinstance(expression, Unary):
            if expression.operator == "!":
                return not self._true(expression.operand)
            return _calculated("-", 0, self._value(expression.operand))
        return self._binary(expression)

    def _interpolated(self, expression: Interpolated) -> str:
        before, self.out = self.out, []
        try:
            self.block(expression.block)
            return "".join(self.out)
        finally:
            self.out = before

    def _range(self, expression: Range) -> list[int]:
        first, last = self._value(expression.first), self._value(expression.last)
        if not isinstance(first, int) or not isinstance(last, int):
            return []
        step = 1 if first <= last else -1
        return list(range(first, last + step, step))

    def _binary(self, expression: Binary) -> Any:
        operator = expression.operator
        if operator == "&&":
            return self._true(expression.left) and self._true(expression.right)
        if operator == "||":
            return self._true(expression.left) or self._true(expression.right)
        left, right = self._value(expression.left), self._value(expression.right)
        if operator in ("==", "!="):
            return _equal(left, right) == (operator == "==")
        if operator in ("<", ">", "<=", ">="):
            return _compared(operator, left, right)
        if operator == "+" and (isinstance(left, str) or isinstance(right, str)):
            return written(left) + written(right)
        return _calculated(operator, left, right)


def _equal(left: Any, right: Any) -> bool:
    """Compare values of different kinds as they are written, as Velocity does."""
    if type(left) is type(right) or (_is_number(left) and _is_number(right)):
        return bool(left == right)
    if left is None or right is None:
        return False
    return written(left) == written(right)


def _compared(operator: str, left: Any, right: Any) -> bool:
    both_text = isinstance(left, str) and isinstance(right, str)
    if not both_text and not (_is_number(left) and _is_number(right)):
        return False
    order = (left > right) - (left < right)
    return bool({"<": order < 0, ">": order > 0, "<=": order <= 0, ">=": order >= 0}[operator])


def _calculated(operator: str, left: Any, right: Any) -> Any:
    """Do arithmetic; return `null`, as Velocity does, where it is impossible."""
    if not (_is_number(left) and _is_number(right)):
        return None
    if operator in ("/", "%") and right == 0:
        return None
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    whole = isinstance(left, int) and isinstance(right, int)
    quotient = int(left / right)  # towards zero, as Java divides integers
    if operator == "%":
        return left - right * quotient
    return quotient if whole else left / right


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
