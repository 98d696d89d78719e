"""The protocol as JSON Schema and AsyncAPI."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from generator import model
from parley.protocol.messages import PROTOCOL_VERSION


def json_schema() -> str:
    """Write `docs/protocol.schema.json`: one document (2020-12)."""

    def any_of(structs: Sequence[type[Struct]]) -> dict[str, Any]:
        return {"oneOf": [{"$ref": f"#/$defs/{struct.__name__}"} for struct in structs]}

    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": model.NOTE,
        "title": f"Parley wire protocol, version {PROTOCOL_VERSION}",
        "$defs": {
            "ClientMessage": any_of(model.CLIENT_MESSAGES),
            "ServerEvent": any_of(model.SERVER_EVENTS),
            **_definitions(),
        },
    }
    return json.dumps(document, indent=2) + "\n"


def asyncapi() -> str:
    """Write `docs/asyncapi.yaml`: an AsyncAPI 3.0 document."""
    definitions = _definitions()
    moved = json.loads(json.dumps(definitions).replace("#/$defs/", "#/components/schemas/"))
    names = {
        "receive": [struct.__name__ for struct in model.CLIENT_MESSAGES],
        "send": [struct.__name__ for struct in model.SERVER_EVENTS],
    }

    def operation(action: str) -> dict[str, Any]:
        return {
            "action": action,
            "channel": {"$ref": "#/channels/conversation"},
            "messages": [
                {"$ref": f"#/channels/conversation/messages/{name}"} for name in names[action]
            ],
        }

    messages = {
        name: {
            "name": definitions[name]["properties"]["type"]["enum"][0],
            "summary": definitions[name].get("description", ""),
            "payload": {"$ref": f"#/components/schemas/{name}"},
        }
        for name in (*names["receive"], *names["send"])
    }
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
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {"fromClient": operation("receive"), "toClient": operation("send")},
        "components": {"messages": messages, "schemas": moved},
    }
    return f"# {model.NOTE}\n" + yaml.safe_dump(document, sort_keys=False, width=100)


def _definitions() -> dict[str, Any]:
    """Return the JSON Schema definitions of every message and of what they are made of."""
    types = [*model.CLIENT_MESSAGES, *model.SERVER_EVENTS]
    _, found = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    for definition in found.values():
        if text := definition.get("description"):
            definition["description"] = model.one_line(text)
    return dict(sorted(found.items()))
