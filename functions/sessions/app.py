"""`GET /sessions`, `GET /sessions/{session_id}` and `DELETE /sessions/{session_id}`."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.app.environment import Environment
from parley.auth.authenticator import Authenticator
from parley.http.dispatcher import Dispatcher
from parley.http.sessions import ROUTES, SessionHandlers
from parley.sessions.erasure import Erasure

logger = Logger()
environment = Environment()
handlers = SessionHandlers(
    environment.sessions,
    environment.session_reader,
    Erasure(environment.sessions, environment.turns, environment.recordings),
    environment.recordings,
    environment.request_rates,
)
dispatcher = Dispatcher(ROUTES, Authenticator.from_environment(), logger)


@logger.inject_lambda_context(correlation_id_path="requestContext.requestId")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    answer = dispatcher.answer_event(event, handlers)
    logger.info("answered", route=event["routeKey"], status=answer["statusCode"])
    return answer
