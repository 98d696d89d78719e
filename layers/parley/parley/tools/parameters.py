"""The parameters of a tool, as its entry has them, and the JSON Schema that a model gets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from parley.tools.declaration import Mistake

NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
"""The schema of a tool without. Some vendors refuse one that has nothing at all."""
TYPES = ("string", "integer", "number", "boolean", "array", "object")
KEYWORDS = (
    *("type", "description", "enum", "const", "default", "examples", "title", "format"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "pattern", "items", "minItems", "maxItems", "uniqueItems"),
    *("properties", "required", "additionalProperties"),
)
"""What a parameter may say of itself, besides whether it is optional (JSON Schema)."""
_NOT_FOR_MODELS = ("$schema", "x-mcp-header")
"""What of a schema vendors of models refuse."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def schema_of(parameters: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the schema of an object with these parameters, and no others.

    Raises:
        Mistake: one of them is none.
    """
    if not parameters:
        return NO_PARAMETERS
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: _property(name, found) for name, found in parameters.items()},
    }
    required = [name for name, found in parameters.items() if not found.get("optional", False)]
    if required:
        schema["required"] = required
    return {**schema, "additionalProperties": False}


def read_schema(folder: Path, name: str) -> Mapping[str, Any]:
    """Return the schema that a file has.

    Raises:
        Mistake: there is no such file, or no schema of an object in it.
    """
    try:
        schema = json.loads((folder / name).read_text(encoding="utf-8"))
    except OSError:
        raise Mistake(f"schema: there is no file {name} beside this one") from None
    except (ValueError, RecursionError):
        raise Mistake(f"schema: {name} is not JSON") from None
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise Mistake(f'schema: expected {name} to be a JSON Schema with "type": "object"')
    return clean_schema(schema)


def clean_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object as models get it: without what vendors refuse, and with
    `properties`, which some templates of prompts need.

    Raises:
        RecursionError: it is nested too deeply.
    """
    return {"properties": {}, **dict(_kept(schema))}


def _kept(schema: Mapping[str, Any], *, names: bool = False) -> Iterator[tuple[str, Any]]:
    for key, value in schema.items():
        if not names and key in _NOT_FOR_MODELS:
            continue
        if isinstance(value, dict):
            inner = key in ("properties", "$defs", "definitions") and not names
            yield key, dict(_kept(value, names=inner))
        elif isinstance(value, list):
            yield key, [dict(_kept(each)) if isinstance(each, dict) else each for each in value]
        else:
            yield key, value


def _property(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    field = f"parameters.{name}"
    if not _NAME.fullmatch(name):
        raise Mistake(f"{field}: expected a name of 1 to 64 of A-Z, a-z, 0-9 and _ . -")
    for keyword in given:
        if keyword not in (*KEYWORDS, "optional"):
            known = ", ".join(sorted((*KEYWORDS, "optional")))
            raise Mistake(f"{field}.{keyword}: there is no such field; there are {known}")
    if given.get("type") not in TYPES:
        raise Mistake(f"{field}.type: expected one of {', '.join(TYPES)}")
    if not isinstance(given.get("optional", False), bool):
        raise Mistake(f"{field}.optional: expected true or false")
    if not isinstance(given.get("description", ""), str):
        raise Mistake(f"{field}.description: expected text")
    try:
        json.dumps(given, allow_nan=False)
    except (TypeError, ValueError):  # TOML has dates, infinity and "not a number"
        raise Mistake(f"{field}: expected what JSON has: no dates, no inf, no nan") from None
    return {keyword: value for keyword, value in given.items() if keyword != "optional"}
