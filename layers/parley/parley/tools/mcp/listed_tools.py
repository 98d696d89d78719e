"""From what a server lists to the tools that a model is offered: plain functions."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parley.providers.llm import ToolOffer
from parley.tools.json_depth import is_within
from parley.tools.mcp.headers import BadAnnotation, Parameter, find_parameters
from parley.tools.mcp_server import McpServer
from parley.tools.parameters import clean_schema

MAX_NAME_CHARS = 64
MAX_DESCRIPTION_CHARS = 1_024
"""A stranger's text, which is in every prompt."""
MAX_TOOLS = 128
"""More than chat endpoints take in one request."""
MAX_OWN_NAME_CHARS = 128
MAX_TITLE_CHARS = 128
MAX_SCHEMA_CHARS = 16_000
MAX_SCHEMA_LEVELS = 32
MAX_LIST_CHARS = 160_000
"""Of all schemas of a server: they too are in every prompt."""
_HASH_CHARS = 8
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool of a server's.

    Attributes:
        own_name: as the server calls it.
        title: for a person; the server's own name if it has none.
        offer: what the model knows of it.
        parameters: those that are also sent as headers.
        schema_chars: how long the schema is as JSON.
    """

    own_name: str
    title: str
    offer: ToolOffer
    parameters: tuple[Parameter, ...]
    schema_chars: int = 0


def read_tools(
    server: McpServer, listed: Sequence[Any], drop: Callable[[str, str], None]
) -> dict[str, ListedTool]:
    """Return the tools that are offered, by the name that the model knows.

    Args:
        listed: as the server lists them.
        drop: told of each tool that cannot be offered, and of each that is missing: its own name,
            and why.
    """
    found: dict[str, ListedTool] = {}
    chars = 0
    for raw in listed:
        own_name = raw.get("name") if isinstance(raw, dict) else None
        if not isinstance(own_name, str) or (server.tools and own_name not in server.tools):
            continue
        tool = _read_tool(server, own_name, raw)
        if isinstance(tool, str):
            drop(own_name, tool)
        elif tool.offer.name in found:
            drop(own_name, "name_taken")
        elif len(found) == MAX_TOOLS:
            drop(own_name, "too_many")
        elif chars + tool.schema_chars > MAX_LIST_CHARS:
            drop(own_name, "list_too_large")
        else:
            chars += tool.schema_chars
            found[tool.offer.name] = tool
    known = {raw.get("name") for raw in listed if isinstance(raw, dict)}
    for name in server.tools:
        if name not in known:
            drop(name, "not_listed")
    return found


def offered_name(server: str, tool: str) -> str:
    """Return the name of a tool for the model: 1 to 64 of A-Z, a-z, 0-9, '_' and '-'.

    A longer one is cut, and ends with a hash of the whole, so that it stays the tool's own.
    """
    name = _NOT_IN_NAMES.sub("_", f"{server}_{tool}")
    if len(name) <= MAX_NAME_CHARS:
        return name
    digest = hashlib.sha256(f"{server}_{tool}".encode(errors="replace")).hexdigest()[:_HASH_CHARS]
    return f"{name[: MAX_NAME_CHARS - _HASH_CHARS - 1]}_{digest}"


def _read_tool(server: McpServer, own_name: str, raw: Mapping[str, Any]) -> ListedTool | str:
    """Return a tool, or why it cannot be offered."""
    schema = raw.get("inputSchema")
    if not 0 < len(own_name) <= MAX_OWN_NAME_CHARS or own_name != _sound(own_name):
        return "bad_name"
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return "no_object_schema"
    if not is_within(MAX_SCHEMA_LEVELS, schema):
        return "schema_too_deep"
    try:
        parameters = find_parameters(schema)
        cleaned = clean_schema(schema)
        size = len(json.dumps(cleaned, ensure_ascii=False, allow_nan=False).encode().decode())
    except BadAnnotation:
        return "bad_header_annotation"
    except ValueError:  # what is no JSON, though Python reads it, or half a character
        return "bad_schema"
    if size > MAX_SCHEMA_CHARS:
        return "schema_too_large"
    name = offered_name(server.name, own_name)
    description = _sound(str(raw.get("description") or "").strip()[:MAX_DESCRIPTION_CHARS])
    return ListedTool(
        own_name,
        server.title or _sound(_title(raw)[:MAX_TITLE_CHARS]) or own_name,
        ToolOffer(name, description, cleaned),
        parameters,
        size,
    )


def _sound(text: str) -> str:
    """Return a text without half characters: nobody could be sent them."""
    return text.encode(errors="replace").decode()


_KEPT_FOR_CHECKS = (
    *("type", "required", "enum", "const", "minimum", "maximum", "exclusiveMinimum"),
    *("exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems"),
)


def checkable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a stranger's schema arguments are checked against.

    A pattern, or alternatives of alternatives, can take a check years, which nothing ends. The
    server checks its arguments itself.
    """
    if "$ref" in schema:  # up to draft 7 nothing beside it counts
        return {}
    found: dict[str, Any] = {key: schema[key] for key in _KEPT_FOR_CHECKS if key in schema}
    properties, items = schema.get("properties"), schema.get("items")
    if isinstance(properties, dict):
        found["properties"] = {
            name: checkable(each) for name, each in properties.items() if isinstance(each, dict)
        }
    if isinstance(items, dict):
        found["items"] = checkable(items)
    if schema.get("additionalProperties") is False and "patternProperties" not in schema:
        found["additionalProperties"] = False
        # A property may be `true` instead of a schema.
        known = properties if isinstance(properties, dict) else {}
        found["properties"] = {**{name: {} for name in known}, **found.get("properties", {})}
    return found


def _title(raw: Mapping[str, Any]) -> str:
    annotations = raw.get("annotations")
    hint = annotations.get("title") if isinstance(annotations, dict) else None
    return str(raw.get("title") or hint or "")
