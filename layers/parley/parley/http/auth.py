"""Authentication of HTTP requests: the token of the header `Authorization`, or the page's origin.

The rules are those of the WebSocket's handshake.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from parley.auth.authenticator import Authenticator
from parley.auth.errors import AccessDenied
from parley.auth.identity import Identity
from parley.http.framework import HttpError, HttpRequest

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger


def authenticate_request(
    request: HttpRequest, authenticator: Authenticator, logger: Logger
) -> Identity:
    """Return the identity that a request's token proves.

    Args:
        logger: gets why a request is refused; the client does not.

    Raises:
        HttpError: 401, 403 or 503, with nothing about why.
    """
    token = request.bearer_token
    try:
        return authenticator.authenticate(
            [request.origin] if request.origin else [], [token] if token else []
        )
    except AccessDenied as denied:
        log = logger.error if denied.code == "keys_unavailable" else logger.info
        log("request_unauthorized", code=denied.code, why=denied.why)
        raise _problem_of(HTTPStatus(denied.status)) from None


def _problem_of(status: HTTPStatus) -> HttpError:
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        sentence = "Whether the token is good cannot be told at the moment. Try again."
        return HttpError(status, "internal", sentence, retryable=True)
    if status is HTTPStatus.FORBIDDEN:
        return HttpError(status, "unauthorized", "This page or this user may not do that.")
    return HttpError(status, "unauthorized", "Authorization: a good bearer token is needed.")
