"""`GET /sessions`, `GET /sessions/{session_id}` and `DELETE /sessions/{session_id}`."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.app.environment import Environment
from parley.auth.authenticator import Authenticator
from parley.errors import traced
from parley.http.auth import Bearer
from parley.http.framework import respond
from parley.http.sessions import SessionRoutes
from parley.sessions.erasure import Erasure

logger = Logger()
environment = Environment()
store, recordings = environment.store, environment.recordings
sessions = SessionRoutes(
    store,
    environment.archive,
    Erasure(store, environment.turns, recordings),
    recordings,
    environment.requests,
)
ROUTES = {
    "GET /sessions": sessions.list,
    "GET /sessions/{session_id}": sessions.read,
    "DELETE /sessions/{session_id}": sessions.erase,
}
bearer = Bearer(Authenticator.from_environment(), logger)


def failed(error: Exception) -> None:
    """Log a fault of ours."""
    logger.error("request_failed", **traced(error))


@logger.inject_lambda_context(correlation_id_path="requestContext.requestId")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers one request of the HTTP API."""
    answer = respond(event, ROUTES, failed, bearer)
    logger.info("answered", route=event["routeKey"], status=answer["statusCode"])
    return answer
