"""A dispatcher for tests: its authenticators, a logger that records, and requests to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from aws_lambda_powertools import Logger

from parley.auth.authenticator import Authenticator
from parley.auth.config import AccessRules
from parley.auth.origins import AllowedOrigins
from parley.auth.signature import SharedSecretVerifier
from parley.clock import now_ms
from parley.http.dispatcher import Dispatcher
from parley.http.route import Route
from tests.unit.tokens import SECRET

NOW_S = 1_700_000_000.0
_RULES = AccessRules(AllowedOrigins("*"))
OPEN_TO_ALL = Authenticator(_RULES, None)
"""Authentication is off."""
TOKENS_ONLY = Authenticator(_RULES, SharedSecretVerifier(lambda: [SECRET.encode()]), lambda: NOW_S)
"""Authentication is on."""


class RecordingLogger:
    """Records what is logged.

    Attributes:
        errors, others: the log lines, by level.
    """

    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []
        self.others: list[dict[str, Any]] = []

    def error(self, message: str, **fields: Any) -> None:
        self.errors.append({"message": message, **fields})

    def info(self, message: str, **fields: Any) -> None:
        self.others.append({"message": message, **fields})


def dispatch(
    route: Route[Any],
    handlers: object,
    event: dict[str, Any],
    authenticator: Authenticator,
    logger: RecordingLogger,
) -> dict[str, Any]:
    """Return what a function with this one route returns to API Gateway."""
    dispatcher = Dispatcher([route], authenticator, cast(Logger, logger))
    return dispatcher.answer_event(event, handlers)


def post(
    route: Route[Any],
    handlers: Any,
    body: dict[str, Any] | str,
    token: str,
    *,
    path: Mapping[str, str] | None = None,
    at_ms: int = 0,
    open_to_all: bool = False,
) -> tuple[int, dict[str, Any]]:
    """Send a request with JSON; return the status and the answer.

    Args:
        path: what the places of the route's path have.
        at_ms: when API Gateway received it; now if it is 0.
    """
    event = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": route.path,
        "pathParameters": dict(path or {}),
        "headers": {"content-type": "application/json", "authorization": f"Bearer {token}"},
        "requestContext": {"http": {"method": "POST"}, "timeEpoch": at_ms or now_ms()},
        "body": body if isinstance(body, str) else json.dumps(body),
    }
    authenticator = OPEN_TO_ALL if open_to_all else TOKENS_ONLY
    answer = dispatch(route, handlers, event, authenticator, RecordingLogger())
    return answer["statusCode"], json.loads(answer["body"])
