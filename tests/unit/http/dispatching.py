"""A dispatcher for tests: its authenticators, and a logger that records."""

from __future__ import annotations

from typing import Any, cast

from aws_lambda_powertools import Logger

from parley.auth.authenticator import Authenticator
from parley.auth.config import AccessRules
from parley.auth.origins import AllowedOrigins
from parley.auth.signature import SharedSecretVerifier
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
