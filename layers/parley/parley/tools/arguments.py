"""The arguments of a call, as a model wrote them, checked against the tool's schema."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from parley.tools.tool import ToolSpec

if TYPE_CHECKING:
    from fastjsonschema import JsonSchemaValueException

NOT_WHOLE = "They are not a whole JSON object."
NOT_AN_OBJECT = "They are not a JSON object."
TOO_DEEP = "They are nested too deeply."


class BadArguments(Exception):
    """The arguments are not what the tool takes. The message is a sentence for the model."""


def read_arguments(spec: ToolSpec, text: str) -> dict[str, Any]:
    """Return the arguments of a call.

    Half a character or a number beyond any float is no JSON: nobody could be sent it.

    No text stands for none, if the tool can do without. Some models write the JSON object into a
    JSON string: it is read twice. Nothing else is repaired: a guess must not move money.

    Raises:
        BadArguments: they are no whole JSON object, or break the schema.
    """
    if not text.strip() and not spec.offer.schema.get("required"):
        return {}
    found = _from_json(text)
    if isinstance(found, str):
        found = _from_json(found)
    if not isinstance(found, dict):
        raise BadArguments(NOT_AN_OBJECT)
    problem = _problem(spec.offer.schema if spec.checked is None else spec.checked, found)
    if problem:
        raise BadArguments(problem)
    return found


def schema_problem(schema: Mapping[str, Any]) -> str:
    """Return why arguments cannot be checked against a schema; empty if they can."""
    try:
        _compiled(canonical(schema))
    except Exception as error:  # whatever a schema of others makes the compiler do
        return str(error).rstrip(".") or type(error).__name__
    return ""


def canonical(arguments: Any) -> str:
    """Return arguments as one text, whatever the order of their names."""
    return json.dumps(arguments, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _from_json(text: str) -> Any:
    try:
        found = json.loads(text, parse_constant=_refuse_constant, parse_float=_read_float)
        canonical(found).encode()
    except (ValueError, RecursionError):  # UnicodeError is a ValueError
        raise BadArguments(NOT_WHOLE) from None
    return found


def _read_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("beyond any float")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _problem(schema: Mapping[str, Any], arguments: dict[str, Any]) -> str:
    """Return what is wrong with arguments, in a sentence without their values."""
    if not schema.get("properties") and "additionalProperties" not in schema:
        return ""  # nothing to check, and nothing to import for it
    if schema_problem(schema):
        return ""  # whoever lists such a tool checks its arguments
    from fastjsonschema import JsonSchemaValueException

    try:
        _compiled(canonical(schema))(arguments)
    except JsonSchemaValueException as error:
        return _sentence(error)
    except RecursionError:
        return TOO_DEEP
    return ""


class _Nowhere(dict[str, Callable[[str], Any]]):
    """Refuses what a schema refers to elsewhere: the compiler would fetch any URL or read any
    file."""

    def __contains__(self, scheme: object) -> bool:
        return True

    def __missing__(self, scheme: str) -> Callable[[str], Any]:
        return self._refuse

    @staticmethod
    def _refuse(_url: str) -> NoReturn:
        raise ValueError("$ref: expected a place in the schema itself, such as #/$defs/name")


@functools.lru_cache(maxsize=256)
def _compiled(schema: str) -> Callable[[Any], Any]:
    import fastjsonschema

    compiled: Callable[[Any], Any] = fastjsonschema.compile(
        json.loads(schema), handlers=_Nowhere(), use_default=False
    )
    return compiled


def _sentence(error: JsonSchemaValueException) -> str:
    """Return the problem of one argument: `count: expected an integer.`"""
    path = _path(error.path[1:])
    rule, allowed = str(error.rule), error.rule_definition
    if rule == "required":
        missing = next((name for name in allowed if name not in error.value), "")
        return f"{_path([*error.path[1:], missing])}: required."
    if rule == "additionalProperties":
        known = ", ".join(error.definition.get("properties", {})) or "none"
        return f"{path}: there is an unknown name; known are: {known}."
    expected = _EXPECTED.get(rule, "what its schema says").format(_shown(rule, allowed))
    return f"{path}: expected {expected}."


def _path(parts: list[str]) -> str:
    return "".join(_steps(parts)).removeprefix(".") or "arguments"


def _steps(parts: list[str]) -> Iterator[str]:
    for part in parts:
        yield f"[{part}]" if part.isdecimal() else f".{part}"


def _shown(rule: str, allowed: Any) -> str:
    if rule == "type":
        names = [allowed] if isinstance(allowed, str) else allowed
        return " or ".join(_TYPES.get(name, name) for name in names)
    if rule == "enum":
        return ", ".join(json.dumps(each, ensure_ascii=False) for each in allowed)
    return allowed if isinstance(allowed, str) else json.dumps(allowed, ensure_ascii=False)


_TYPES = {
    "string": "text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_EXPECTED = {
    "type": "{}",
    "enum": "one of {}",
    "const": "{}",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "pattern": "text that matches {}",
    "format": "text in the format {}",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "uniqueItems": "no entry twice",
}
