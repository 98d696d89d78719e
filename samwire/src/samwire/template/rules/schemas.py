"""Resources as CloudFormation's own schemas describe them, once their properties are resolved.

The schemas are those that cfn-lint carries. They are read here without it: it takes seconds to
import, and sees a template before its parameters have values. What a schema says of the form of
a text is left to cfn-lint, since names and ARNs are made up here.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, ValidationError
from jsonschema.validators import extend

from samwire.template.intrinsics import text_of
from samwire.template.problems import Problem

HOME_REGION = "us-east-1"
"""Has every type; the schemas of a region that is not known are read from it."""

_CHECKED = frozenset(
    {
        "$ref",
        "additionalProperties",
        "allOf",
        "anyOf",
        "dependencies",
        "enum",
        "items",
        "maxItems",
        "maximum",
        "minItems",
        "minimum",
        "oneOf",
        "patternProperties",
        "properties",
        "required",
        "type",
    }
)
_NAMES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "a map",
    "string": "a text",
}
_MAX_SHOWN = 60


def schema_problems(
    logical_id: str, kind: str, properties: Mapping[str, Any], region: str
) -> Iterator[Problem]:
    """Yield what CloudFormation would refuse of a resource's properties.

    Args:
        properties: resolved.
    """
    validator = _validator(kind, region)
    if validator is None:
        return
    for error in validator.iter_errors(properties):
        path = tuple(str(part) for part in error.absolute_path)
        sentence, about = _sentence(error, path)
        yield Problem(logical_id, sentence, f"CloudFormation's schema of {kind}", about)


def _sentence(error: ValidationError, path: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return what is wrong, and with which property."""
    what = ".".join(path) or "it"
    wanted: Any = error.validator_value
    value: Any = error.instance
    schema: Any = error.schema
    if error.validator == "required":
        name = error.message.split("'")[1]  # an error for each that is missing
        return f"{'.'.join((*path, name))} is missing.", path
    if error.validator == "additionalProperties":
        known = schema.get("properties", {})
        extra = [name for name in value if name not in known]
        unknown = " and no ".join(".".join((*path, name)) for name in extra)
        return f"there is no property {unknown}.", (*path, extra[0])
    if error.validator == "type":
        kinds = [wanted] if isinstance(wanted, str) else list(wanted)
        names = " or ".join(_NAMES.get(each, each) for each in kinds)
        return f"{what} must be {names}, not {_shown(value)}.", path
    if error.validator == "enum":
        return f"{what} must be one of {', '.join(map(str, wanted))}.", path
    if error.validator in ("minimum", "maximum"):
        most = "least" if error.validator == "minimum" else "most"
        return f"{what} must be at {most} {wanted}, not {_shown(value)}.", path
    if error.validator in ("minItems", "maxItems"):
        most = "least" if error.validator == "minItems" else "most"
        return f"{what} must have at {most} {wanted} items, not {len(value)}.", path
    return f"{what} is {_shown(value)}, which is none of what it can be.", path


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


# --- how CloudFormation reads values ----------------------------------------------------------


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _is_integer(_checker: object, value: object) -> bool:
    number = _number(value)
    return number is not None and number.is_integer()


def _is_flag(_checker: object, value: object) -> bool:
    return isinstance(value, bool) or str(value).lower() in ("true", "false")


def _is_text(_checker: object, value: object) -> bool:
    return isinstance(value, (str, int, float))


def _enum(_validator: Any, wanted: Any, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, (dict, list)) or value is None:
        return  # the type says it
    if text_of(value) not in [text_of(each) for each in wanted]:
        yield ValidationError("not allowed")


def _minimum(_validator: Any, least: Any, value: Any, _schema: Any) -> Iterator[ValidationError]:
    number = _number(value)
    if number is not None and number < least:
        yield ValidationError("too little")


def _maximum(_validator: Any, most: Any, value: Any, _schema: Any) -> Iterator[ValidationError]:
    number = _number(value)
    if number is not None and number > most:
        yield ValidationError("too much")


_Validator = extend(  # type: ignore[no-untyped-call]
    Draft7Validator,
    {"enum": _enum, "minimum": _minimum, "maximum": _maximum},
    type_checker=Draft7Validator.TYPE_CHECKER.redefine_many(
        {
            "boolean": _is_flag,
            "integer": _is_integer,
            "number": lambda _checker, value: _number(value) is not None,
            "string": _is_text,
        }
    ),
)


# --- where the schemas are --------------------------------------------------------------------


@functools.cache
def _validator(kind: str, region: str) -> Any:
    """Return the validator of a type; None if it is not known."""
    place = kinds(region).get(kind) or kinds(HOME_REGION).get(kind)
    if place is None:
        return None
    found = schema(place)
    return _Validator(
        {
            "definitions": {k: _relevant(v) for k, v in found.get("definitions", {}).items()},
            **_relevant({key: found[key] for key in _CHECKED if key in found}),
        }
    )


def schema(place: str) -> dict[str, Any]:
    """Return the schema that lies at a place."""
    return dict(json.loads((_folder() / "resources" / f"{place}.json").read_text()))


@functools.cache
def kinds(region: str) -> dict[str, str]:
    """Return where the schema of each type of a region is; empty for a region that is not known."""
    file = _folder() / "providers" / f"{region}.json"
    return dict(json.loads(file.read_text())) if file.is_file() else {}


@functools.cache
def _folder() -> Path:
    found = importlib.util.find_spec("cfnlint")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "data" / "schemas"


def _relevant(schema: Any) -> Any:
    """Return a schema without what is not checked here."""
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "patternProperties", "definitions"):
            found[key] = {name: _relevant(item) for name, item in value.items()}
        elif key in ("allOf", "anyOf", "oneOf"):
            found[key] = [_relevant(item) for item in value]
        elif key in _CHECKED:
            found[key] = value if key in ("required", "enum", "type") else _relevant(value)
    return found
