"""Answers the requests of a function: authenticates them, then calls their route's handler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic

from parley.auth.authenticator import Authenticator
from parley.auth.identity import Identity
from parley.errors import ParleyError, describe_error
from parley.http.auth import authenticate_request
from parley.http.framework import HttpAnswer, HttpRequest, read_request
from parley.http.route import Handlers, Route
from parley.principal import ANONYMOUS

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger


class Dispatcher(Generic[Handlers]):
    """Dispatches requests to the handlers of their routes.

    Args:
        routes: those of the function.
        logger: gets why a request was refused, and where the handler of one failed.
    """

    def __init__(
        self, routes: Sequence[Route[Handlers]], authenticator: Authenticator, logger: Logger
    ) -> None:
        self._routes = {route.key: route for route in routes}
        self._authenticator = authenticator
        self._logger = logger

    def answer_event(self, event: Mapping[str, Any], handlers: Handlers) -> dict[str, Any]:
        """Answer one request; what goes wrong is a problem document, never a stack trace.

        Args:
            event: API Gateway's, payload format 2.0.
            handlers: what the routes' handlers are methods of.

        Returns:
            What the function returns to API Gateway.
        """
        try:
            request = read_request(event)
            route = self._routes[request.route]
            identity = self._identify(request, route)
            return route.handler(handlers, request, identity).to_payload()
        except ParleyError as error:
            return HttpAnswer.from_error(error).to_payload()
        except Exception as error:
            self._logger.error("request_failed", **describe_error(error))
            internal = ParleyError(
                "internal", "Something went wrong on our side. Try again.", retryable=True
            )
            return HttpAnswer.from_error(internal).to_payload()

    def _identify(self, request: HttpRequest, route: Route[Handlers]) -> Identity:
        if route.is_open(request):
            return Identity(ANONYMOUS)
        return authenticate_request(request, self._authenticator, self._logger)
