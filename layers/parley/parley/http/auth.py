"""Who asks over HTTP: the token of the `Authorization` header, by the rules of the handshake."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from parley.auth.authenticator import Authenticator
from parley.auth.errors import Refused
from parley.auth.identity import Identity
from parley.http.framework import HttpError, HttpRequest

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger


class Bearer:
    """Identifies whoever asks.

    Args:
        logger: told why somebody was refused; the client is not.
    """

    def __init__(self, doorkeeper: Authenticator, logger: Logger) -> None:
        self._doorkeeper = doorkeeper
        self._logger = logger

    def __call__(self, request: HttpRequest) -> Identity:
        """Who asks.

        Raises:
            HttpError: 401, 403 or 503, with nothing about why.
        """
        token = request.bearer_token
        try:
            return self._doorkeeper.identify(
                [request.origin] if request.origin else [], [token] if token else []
            )
        except Refused as refused:
            log = self._logger.error if refused.code == "keys_unavailable" else self._logger.info
            log("request_unauthorized", code=refused.code, why=refused.why)
            raise _told(HTTPStatus(refused.status)) from None


def _told(status: HTTPStatus) -> HttpError:
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        sentence = "Whether the token is good cannot be told at the moment. Try again."
        return HttpError(status, "internal", sentence, retryable=True)
    if status is HTTPStatus.FORBIDDEN:
        return HttpError(status, "unauthorized", "This page or this user may not do that.")
    return HttpError(status, "unauthorized", "Authorization: a good bearer token is needed.")
