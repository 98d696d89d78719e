"""The HTTP API as an OpenAPI 3.1 document, from the types that requests are read into.

Written by `docs/generate.py`. A route is one entry of `PATHS`; what its bodies look like follows
from the struct that it names.
"""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from parley.http.bodies import InterruptBody, SessionBody, TurnBody, TurnQuery
from parley.http.framework import Problem
from parley.http.health import VERSION, Health
from parley.http.sessions import LIST_LIMIT, MAX_LIST_LIMIT, ErasureState, SessionList
from parley.http.transcripts import SessionView
from parley.http.turn_answer import EventsAnswer, TurnAnswer
from parley.http.turns import InterruptAnswer, OpenedSession
from parley.protocol import messages

NOTE = "Generated from layers/parley/parley by docs/generate.py; do not edit."
TYPES = (
    *(TurnBody, TurnQuery, SessionBody, InterruptBody),
    *(SessionList, SessionView, ErasureState),
    *(TurnAnswer, EventsAnswer, OpenedSession, InterruptAnswer, Health, Problem),
    *(messages.Transcript, messages.ReplyText, messages.Audio, messages.TurnEnd, messages.Error),
)
TURN_EVENTS = ("Transcript", "ReplyText", "Audio", "TurnEnd", "Error")
IN_QUERY = (TurnQuery, messages.Settings)
AUDIO = {"type": "string", "format": "binary"}


def reference(name: str) -> dict[str, Any]:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def content(*names: str) -> dict[str, Any]:
    """A JSON body that is one of these."""
    found = [reference(name) for name in names]
    return {"application/json": {"schema": found[0] if len(found) == 1 else {"anyOf": found}}}


def problems(*statuses: int) -> dict[str, Any]:
    """The answers that say what went wrong. The last is API Gateway's own, of any route."""
    return {
        **{str(status): {"$ref": "#/components/responses/Problem"} for status in statuses},
        "500": {"$ref": "#/components/responses/Problem"},
        "503": {"$ref": "#/components/responses/Busy"},
    }


def not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Of a field that may be left out: a query has no null."""
    return next(
        (option for option in schema.get("anyOf", ()) if option.get("type") != "null"), schema
    )


def path_parameter(name: str) -> dict[str, Any]:
    """An id in a path."""
    pattern = "^[A-Za-z0-9_-]{1,64}$"
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "path", "required": True, "schema": schema}


TOKEN = {
    "name": "X-Resume-Token",
    "in": "header",
    "description": "The session's resume token, if the body does not have it.",
    "schema": {"type": "string", "maxLength": 256},
}

OWN_TOKEN = {
    **TOKEN,
    "description": "The session's resume token; needed where authentication is off.",
}
TRANSCRIPT = {"schema": {"type": "string"}}

PATHS: dict[str, Any] = {
    "/turns": {
        "post": {
            "operationId": "takeTurn",
            "summary": "Say something, and get the whole reply.",
            "description": "The fields of a turn are the body's, or the query's if the body is "
            "audio. audio/wave, audio/vnd.wave, audio/x-wav and audio/x-pn-wav are audio/wav. "
            "A repeated turn_id is not run again: its answer is given once more.",
            "parameters": [TOKEN],
            "requestBody": {
                "required": True,
                "content": {
                    **content("TurnBody"),
                    "audio/wav": {"schema": AUDIO},
                    "audio/pcm": {"schema": AUDIO},
                },
            },
            "responses": {
                "200": {
                    "description": "The turn has ended; `events` asks for an EventsAnswer.",
                    "content": content("TurnAnswer", "EventsAnswer"),
                },
                **problems(400, 401, 403, 404, 409, 410, 413, 415, 429),
            },
        }
    },
    "/sessions": {
        "get": {
            "operationId": "listSessions",
            "summary": "Your sessions, newest first.",
            "description": "Needs authentication: without it nobody is known.",
            "parameters": [
                {
                    "name": "limit",
                    "in": "query",
                    "schema": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": MAX_LIST_LIMIT,
                        "default": LIST_LIMIT,
                    },
                },
                {
                    "name": "cursor",
                    "in": "query",
                    "description": "next_cursor of the answer before.",
                    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
                },
            ],
            "responses": {
                "200": {"description": "One page.", "content": content("SessionList")},
                **problems(400, 401, 413, 429),
            },
        },
        "post": {
            "operationId": "openSession",
            "summary": "Open a session without a turn.",
            "requestBody": {"required": True, "content": content("SessionBody")},
            "responses": {
                "201": {"description": "It is open.", "content": content("OpenedSession")},
                **problems(400, 401, 413, 415, 429),
            },
        },
    },
    "/sessions/{session_id}": {
        "get": {
            "operationId": "readSession",
            "summary": "What was said in a session.",
            "parameters": [
                path_parameter("session_id"),
                OWN_TOKEN,
                {
                    "name": "format",
                    "in": "query",
                    "description": "Instead of an Accept header.",
                    "schema": {"type": "string", "enum": ["json", "md", "vtt"]},
                },
            ],
            "responses": {
                "200": {
                    "description": "Its transcript. WebVTT is timed from the session's start.",
                    "content": {
                        **content("SessionView"),
                        "text/markdown": TRANSCRIPT,
                        "text/vtt": TRANSCRIPT,
                    },
                },
                **problems(400, 401, 403, 404, 413, 429),
            },
        },
        "delete": {
            "operationId": "eraseSession",
            "summary": "Erase a session with everything that was said and recorded in it.",
            "description": "May be repeated. A turn that runs is stopped first.",
            "parameters": [path_parameter("session_id"), OWN_TOKEN],
            "responses": {
                "202": {
                    "description": "It can no longer be read or gone on with, but a turn still "
                    "runs: repeat the request after Retry-After.",
                    "content": content("ErasureState"),
                },
                "204": {"description": "Nothing of it is left."},
                **problems(400, 401, 403, 404, 413, 429),
            },
        },
    },
    "/sessions/{session_id}/turns/{turn_id}/interrupt": {
        "post": {
            "operationId": "interruptTurn",
            "summary": "Stop a turn, or say how much of its reply was heard.",
            "parameters": [path_parameter("session_id"), path_parameter("turn_id"), TOKEN],
            "requestBody": {"required": True, "content": content("InterruptBody")},
            "responses": {
                "200": {"description": "It is noted.", "content": content("InterruptAnswer")},
                **problems(400, 401, 403, 404, 413, 415, 429),
            },
        }
    },
    "/health": {
        "get": {
            "operationId": "health",
            "summary": "Whether the deployment works.",
            "parameters": [
                {
                    "name": "deep",
                    "in": "query",
                    "description": "1 also looks at the table, the secret and the providers.",
                    "schema": {"type": "string", "enum": ["0", "1"]},
                }
            ],
            "responses": {
                "200": {"description": "It works.", "content": content("Health")},
                **problems(400, 401, 413, 429),
                "503": {
                    "description": "Something that it depends on does not work.",
                    "content": content("Health"),
                },
            },
        }
    },
}


def openapi() -> str:
    """The document."""
    _, schemas = msgspec.json.schema_components(TYPES, ref_template="#/components/schemas/{name}")
    for schema in schemas.values():
        if text := schema.get("description"):
            schema["description"] = " ".join(text.split())
    schemas["EventsAnswer"]["properties"]["events"]["items"] = {
        "oneOf": [reference(name) for name in TURN_EVENTS]
    }
    query = [
        {
            "name": name,
            "in": "query",
            "description": "If the body is audio.",
            "schema": not_null(schema),
        }
        for kind in IN_QUERY
        for name, schema in schemas[kind.__name__]["properties"].items()
    ]
    del schemas["TurnQuery"]
    turn = PATHS["/turns"]["post"]
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
        "paths": {
            **PATHS,
            "/turns": {"post": {**turn, "parameters": [*turn["parameters"], *query]}},
        },
        "components": {
            "responses": {
                "Problem": {
                    "description": "What went wrong (RFC 9457).",
                    "content": {"application/problem+json": {"schema": reference("Problem")}},
                },
                "Busy": {
                    "description": "API Gateway had no answer in time.",
                    "content": {
                        "application/problem+json": {"schema": reference("Problem")},
                        "application/json": {"schema": {"type": "object"}},
                    },
                },
            },
            "schemas": dict(sorted(schemas.items())),
        },
    }
    return f"# {NOTE}\n" + yaml.dump(document, Dumper=_InFull, sort_keys=False, width=100)


class _InFull(yaml.SafeDumper):
    """Writes again what is there twice, instead of an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
