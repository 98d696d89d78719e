"""Writes the HTTP API as an OpenAPI 3.1 document, from the declared routes.

`docs/generate.py` writes the file. Everything follows from `parley.http.route.Route` and from the
types that a route names.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from parley.http import health, sessions, turns, words
from parley.http.framework import Problem
from parley.http.route import Route, Success
from parley.protocol import messages
from parley.version import VERSION

NOTE = "Generated from layers/parley/parley by docs/generate.py; do not edit."
ROUTES: tuple[Route[Any], ...] = (
    *turns.ROUTES,
    *words.ROUTES,
    *sessions.ROUTES,
    *health.ROUTES,
)
TURN_EVENTS: tuple[type[Struct], ...] = (
    *(messages.Transcript, messages.ReplyText, messages.Audio, messages.TurnEnd, messages.Error),
)
ANY_PROBLEM = (400, 401, 413, 429)
"""The problems that a request to any route can have."""
WRONG_TYPE = 415
"""The problem of a body in another format."""
IDENTIFIER = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
AUDIO = {"type": "string", "format": "binary"}
TEXT = {"type": "string"}

Schemas = dict[str, Any]
"""The schemas of types, by name."""


def write_openapi() -> str:
    """Return the document."""
    schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    in_query_only = {kind.__name__ for route in ROUTES for kind in route.query} - {"Settings"}
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Parley",
            "version": VERSION,
            "description": "A voice conversation, turn by turn, where a WebSocket cannot be had.",
        },
        "servers": [
            {
                "url": "{url}",
                "variables": {
                    "url": {
                        "default": "http://localhost:3002",
                        "description": "The output HttpUrl of a deployment.",
                    }
                },
            }
        ],
        "paths": paths,
        "components": {
            "responses": {
                "Problem": {
                    "description": "What went wrong (RFC 9457).",
                    "content": {"application/problem+json": {"schema": _reference(Problem)}},
                },
                "TooManyRequests": _gateway_response("A limit is exceeded, or API Gateway's own."),
                "Busy": _gateway_response("API Gateway had no answer in time."),
            },
            "schemas": {
                name: schema for name, schema in schemas.items() if name not in in_query_only
            },
        },
    }
    return f"# {NOTE}\n" + yaml.dump(document, Dumper=_InFull, sort_keys=False, width=100)


def _schemas() -> Schemas:
    types: list[type[Struct]] = [Problem, *TURN_EVENTS]
    for route in ROUTES:
        types += [*([route.body] if route.body is not None else []), *route.query]
        types += [kind for success in route.successes.values() for kind in success.types]
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    for schema in schemas.values():
        if text := schema.get("description"):
            schema["description"] = " ".join(text.split())
    # The events of an answer are raw JSON to msgspec.
    schemas["EventsAnswer"]["properties"]["events"]["items"] = {
        "oneOf": [_reference(kind) for kind in TURN_EVENTS]
    }
    return dict(sorted(schemas.items()))


def _operation(route: Route[Any], schemas: Schemas) -> dict[str, Any]:
    parameters = [*_path_parameters(route), *_headers(route), *_query(route, schemas)]
    return {
        "operationId": _camel_case(route.handler.__name__),
        "summary": route.summary,
        **({"description": route.description} if route.description else {}),
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": _request_body(route)} if route.body is not None else {}),
        "responses": _responses(route),
    }


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _path_parameters(route: Route[Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": IDENTIFIER}
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def _headers(route: Route[Any]) -> list[dict[str, Any]]:
    if not route.resume_token:
        return []
    schema = {"type": "string", "maxLength": 256}
    name = "X-Resume-Token"
    return [{"name": name, "in": "header", "description": route.resume_token, "schema": schema}]


def _query(route: Route[Any], schemas: Schemas) -> list[dict[str, Any]]:
    parameters = []
    for kind in route.query:
        for name, full_schema in schemas[kind.__name__]["properties"].items():
            schema = dict(_without_null(full_schema))
            if all(isinstance(value, str) for value in schema.get("enum", [0])):
                schema = {"type": "string", **schema}  # msgspec leaves it out of an enum
            description = route.query_note or schema.pop("description", "")
            note = {"description": description} if description else {}
            parameters.append({"name": name, "in": "query", **note, "schema": schema})
    return parameters


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field that may be left out: a query has no null."""
    return next(
        (option for option in schema.get("anyOf", ()) if option.get("type") != "null"), schema
    )


def _request_body(route: Route[Any]) -> dict[str, Any]:
    assert route.body is not None
    audio = {media_type: {"schema": AUDIO} for media_type in route.audio_types}
    return {"required": True, "content": {**_json((route.body,)), **audio}}


def _responses(route: Route[Any]) -> dict[str, Any]:
    statuses = {*ANY_PROBLEM, *route.problems, *([WRONG_TYPE] if route.body is not None else [])}
    problem = {"$ref": "#/components/responses/Problem"}
    responses = dict.fromkeys((*statuses, 500), problem)
    # API Gateway answers with these as well, in its own form.
    responses[429] = {"$ref": "#/components/responses/TooManyRequests"}
    responses[503] = {"$ref": "#/components/responses/Busy"}
    successes = {status: _response(success) for status, success in route.successes.items()}
    return {str(int(status)): found for status, found in sorted((responses | successes).items())}


def _gateway_response(description: str) -> dict[str, Any]:
    """Return a response that is a problem of Parley's or an answer of API Gateway's."""
    content = {
        "application/problem+json": {"schema": _reference(Problem)},
        "application/json": {"schema": {"type": "object"}},
    }
    return {"description": description, "content": content}


def _response(success: Success) -> dict[str, Any]:
    texts = {media_type: {"schema": TEXT} for media_type in success.text_types}
    content = {**_json(success.types), **texts}
    return {"description": success.description, **({"content": content} if content else {})}


def _json(types: tuple[type[Struct], ...]) -> dict[str, Any]:
    """Return the content of a JSON body that is one of these types; nothing for none."""
    found = [_reference(kind) for kind in types]
    if not found:
        return {}
    return {"application/json": {"schema": found[0] if len(found) == 1 else {"anyOf": found}}}


def _reference(kind: type[Struct]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


class _InFull(yaml.SafeDumper):
    """Writes again what is there twice, instead of an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
