"""Posts to WebSocket connections through API Gateway's management API.

The endpoint comes from the event (`domainName`, `stage`), so the same code serves any stage, region
and custom domain.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from parley.aws.failures import AwsError, CallFailed, ServiceError
from parley.aws.service import POSTS, Service, encode_path
from parley.errors import ConnectionGone, PostRefused

THROTTLE_DELAYS_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Pauses before each retry of a post that met a full buffer or a rate limit, in s."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a client is.

    Attributes:
        endpoint: base URL of the `@connections` API.
    """

    endpoint: str
    connection_id: str


def endpoint_url(domain_name: str, stage: str, custom_domain: str = "") -> str:
    """Return the base URL of `@connections` for the connection that an event came from.

    Args:
        domain_name: `requestContext.domainName` of the event.
        stage: `requestContext.stage` of the event.
        custom_domain: the API's own domain name, if it has one. It is mapped to a stage and has
            none in its path.
    """
    return f"https://{domain_name}" + ("" if domain_name == custom_domain else f"/{stage}")


class ManagementApi:
    """Posts frames, with connections that are kept for each endpoint. Safe to use from threads."""

    def __init__(self) -> None:
        self._services: dict[str, Service] = {}

    def post(self, endpoint: str, connection_id: str, frame: bytes) -> None:
        """Send one text frame of at most 128 KB ("Amazon API Gateway quotas").

        Raises:
            ConnectionGone: the connection is closed.
            PostRefused: the post was refused for another reason, or there was no answer.
        """
        service, path = self._service(endpoint), _path(connection_id)
        for delay in (*THROTTLE_DELAYS_S, None):
            try:
                service.call("PostToConnection", path, frame, _HEADERS)
                return
            except ServiceError as error:
                status = error.status
                if status == 410:
                    raise ConnectionGone from None
                if delay is None or (status != 429 and status < 500):
                    raise PostRefused(status) from None
            except CallFailed as error:
                if delay is None:
                    raise PostRefused(0) from error
            time.sleep(delay)

    def connect(self, endpoint: str, connection_id: str) -> None:
        """Open a connection to an endpoint, and keep it for the first post.

        Raises:
            ConnectionGone: the client's connection is closed.
            PostRefused: the request for its state was refused, or there was no answer.
        """
        try:
            self._service(endpoint).call("GetConnection", _path(connection_id), method="GET")
        except ServiceError as error:
            if error.status == 410:
                raise ConnectionGone from None
            raise PostRefused(error.status) from None
        except CallFailed as error:
            raise PostRefused(0) from error

    def close(self, endpoint: str, connection_id: str) -> None:
        """Close a connection. Ignore failures: it may be closed already."""
        with contextlib.suppress(AwsError):
            self._service(endpoint).call("DeleteConnection", _path(connection_id), method="DELETE")

    def _service(self, endpoint: str) -> Service:
        if endpoint not in self._services:
            self._services[endpoint] = Service("execute-api", endpoint, POSTS)
        return self._services[endpoint]


_HEADERS = {"content-type": "application/octet-stream"}


def _path(connection_id: str) -> str:
    return f"/@connections/{encode_path(connection_id)}"
