"""The declaration of a route: what it takes, what it gives, and who may ask.

The dispatcher answers requests by it, OpenAPI is generated from it, and a test holds it against
`template.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Generic, TypeVar

from msgspec import Struct

from parley.auth.identity import Identity
from parley.http.framework import HttpAnswer, HttpRequest

Handlers = TypeVar("Handlers")
"""The class whose methods answer the routes of a function."""


@dataclass(frozen=True, slots=True)
class Success:
    """An answer to a request that went well.

    Attributes:
        description: for OpenAPI.
        types: its JSON is one of these; none for an answer without a body.
        text_types: the media types of text that the client may ask for instead of JSON.
    """

    description: str
    types: tuple[type[Struct], ...] = ()
    text_types: tuple[str, ...] = ()


def _is_never_open(_request: HttpRequest) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Route(Generic[Handlers]):
    """A route. Its requests are authenticated, unless `is_open` says otherwise.

    Attributes:
        key: API Gateway's route key: method and path.
        handler: answers a request of an authenticated identity.
        summary, description: for OpenAPI.
        successes: the answers, by status.
        problems: the statuses of its own problems, besides those that any route can have.
        body: what the JSON body is read into; None for a route without a body.
        audio_types: the media types of audio that the body may be instead of JSON.
        query: what the query is read into.
        query_note: when the query counts; empty for always.
        resume_token: when the header `X-Resume-Token` is needed; empty for a route without it.
        is_open: tells which requests are answered without authentication. The handler then gets
            the anonymous identity.
    """

    key: str
    handler: Callable[[Handlers, HttpRequest, Identity], HttpAnswer]
    summary: str
    successes: Mapping[HTTPStatus, Success]
    problems: tuple[HTTPStatus, ...] = ()
    description: str = ""
    body: type[Struct] | None = None
    audio_types: tuple[str, ...] = ()
    query: tuple[type[Struct], ...] = ()
    query_note: str = ""
    resume_token: str = ""
    is_open: Callable[[HttpRequest], bool] = field(default=_is_never_open)

    @property
    def method(self) -> str:
        """Return the HTTP method."""
        return self.key.partition(" ")[0]

    @property
    def path(self) -> str:
        """Return the path, with its variables in braces."""
        return self.key.partition(" ")[2]
