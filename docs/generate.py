"""Writes what follows from the types: JSON Schema, AsyncAPI, OpenAPI, TypeScript.

`python docs/generate.py` writes the files; `--check` only says whether they are current.
The one description of the protocol is `layers/parley/parley/protocol/messages.py`; OpenAPI is
`docs/openapi.py`'s.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

import msgspec
import yaml
from openapi import write_openapi

from parley.protocol.messages import PROTOCOL_VERSION, AnyClientMessage, AnyServerEvent

ROOT = Path(__file__).parent.parent
NOTE = "Generated from layers/parley/parley/protocol/messages.py by docs/generate.py; do not edit."


def definitions() -> dict[str, Any]:
    """JSON Schema definitions of every message and of what they are made of."""
    types = [*get_args(AnyClientMessage), *get_args(AnyServerEvent)]
    _, found = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    for definition in found.values():
        text = definition.get("description")
        if text:
            definition["description"] = " ".join(text.split())
    return dict(sorted(found.items()))


def names(union: Any) -> list[str]:
    """The names of a union's types, in the order of the protocol."""
    return [member.__name__ for member in get_args(union)]


def json_schema() -> str:
    """The protocol as one JSON Schema document (2020-12)."""

    def any_of(union: Any) -> dict[str, Any]:
        return {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in names(union)]}

    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": NOTE,
        "title": f"Parley wire protocol, version {PROTOCOL_VERSION}",
        "$defs": {
            "ClientMessage": any_of(AnyClientMessage),
            "ServerEvent": any_of(AnyServerEvent),
            **definitions(),
        },
    }
    return json.dumps(document, indent=2) + "\n"


def asyncapi() -> str:
    """The protocol as an AsyncAPI 3.0 document."""
    found = definitions()
    moved = json.loads(json.dumps(found).replace("#/$defs/", "#/components/schemas/"))

    def messages(union: Any) -> dict[str, Any]:
        return {
            name: {
                "name": found[name]["properties"]["type"]["enum"][0],
                "summary": found[name].get("description", ""),
                "payload": {"$ref": f"#/components/schemas/{name}"},
            }
            for name in names(union)
        }

    def operation(action: str, union: Any) -> dict[str, Any]:
        return {
            "action": action,
            "channel": {"$ref": "#/channels/conversation"},
            "messages": [{"$ref": f"#/channels/conversation/messages/{n}"} for n in names(union)],
        }

    every = {**messages(AnyClientMessage), **messages(AnyServerEvent)}
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Parley",
            "version": str(PROTOCOL_VERSION),
            "description": "A voice conversation over one WebSocket. JSON text frames.",
        },
        "channels": {
            "conversation": {
                "address": "/{stage}",
                "parameters": {"stage": {"description": "The stage of the deployed API."}},
                "messages": {n: {"$ref": f"#/components/messages/{n}"} for n in every},
            }
        },
        "operations": {
            "fromClient": operation("receive", AnyClientMessage),
            "toClient": operation("send", AnyServerEvent),
        },
        "components": {"messages": every, "schemas": moved},
    }
    return f"# {NOTE}\n" + yaml.safe_dump(document, sort_keys=False, width=100)


def typescript() -> str:
    """The messages as TypeScript declarations."""
    found = definitions()
    parts = [f"// {NOTE}\n"]
    for name, definition in found.items():
        if text := definition.get("description"):
            parts.append(f"/** {text} */")
        if definition.get("type") == "object":
            parts.append(f"export interface {name} {_interface(definition)}\n")
        else:
            parts.append(f"export type {name} = {_type(definition)};\n")
    for union, alias in ((AnyClientMessage, "ClientMessage"), (AnyServerEvent, "ServerEvent")):
        parts.append(f"export type {alias} =\n  | " + "\n  | ".join(names(union)) + ";\n")
    return "\n".join(parts)


def _interface(definition: dict[str, Any]) -> str:
    required = set(definition.get("required", ()))
    lines = []
    for field, schema in definition.get("properties", {}).items():
        optional = "" if field in required or field == "type" else "?"
        lines.append(f"  {field}{optional}: {_type(schema)};")
    return "{\n" + "\n".join(lines) + "\n}"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_type(option) for option in schema["anyOf"])
    if "prefixItems" in schema:
        return "[" + ", ".join(_type(item) for item in schema["prefixItems"]) + "]"
    kind = schema.get("type")
    if kind == "array":
        item = _type(schema.get("items") or {})
        return f"({item})[]" if " " in item else f"{item}[]"
    return {"integer": "number", "number": "number", "boolean": "boolean", "null": "null"}.get(
        str(kind), "string" if kind == "string" else "unknown"
    )


FILES = {
    ROOT / "docs" / "protocol.schema.json": json_schema,
    ROOT / "docs" / "asyncapi.yaml": asyncapi,
    ROOT / "docs" / "openapi.yaml": write_openapi,
    ROOT / "client" / "js" / "messages.d.ts": typescript,
}


def main() -> int:
    """Write the files, or check them."""
    check = "--check" in sys.argv[1:]
    stale = []
    for path, make in FILES.items():
        text = make()
        if path.exists() and path.read_text() == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if not check:
            path.write_text(text)
    for name in stale:
        print(("stale: " if check else "wrote ") + name)
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
