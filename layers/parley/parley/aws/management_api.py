"""Posts to WebSocket connections through API Gateway's management API.

The endpoint comes from the event (`domainName`, `stage`), so the same code serves any stage, region
and custom domain.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from parley.aws import clients
from parley.errors import ConnectionGone, PostRefused

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient

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
    """Posts frames, with one client for each endpoint. Safe to use from threads."""

    def __init__(self) -> None:
        self._clients: dict[str, ApiGatewayManagementApiClient] = {}
        # The first client loads the service's model: do it at init, not in a turn.
        clients.management_api("https://localhost/")

    def post(self, endpoint: str, connection_id: str, frame: bytes) -> None:
        """Send one text frame of at most 128 KB ("Amazon API Gateway quotas").

        Raises:
            ConnectionGone: the connection is closed.
            PostRefused: the post was refused for another reason, or there was no answer.
        """
        client = self._client(endpoint)
        for delay in (*THROTTLE_DELAYS_S, None):
            try:
                client.post_to_connection(ConnectionId=connection_id, Data=frame)
                return
            except ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                if status == 410:
                    raise ConnectionGone from None
                if delay is None or (status != 429 and status < 500):
                    raise PostRefused(status) from None
            except BotoCoreError as error:
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
            self._client(endpoint).get_connection(ConnectionId=connection_id)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status == 410:
                raise ConnectionGone from None
            raise PostRefused(status) from None
        except BotoCoreError as error:
            raise PostRefused(0) from error

    def close(self, endpoint: str, connection_id: str) -> None:
        """Close a connection. Ignore failures: it may be closed already."""
        with contextlib.suppress(ClientError, BotoCoreError):
            self._client(endpoint).delete_connection(ConnectionId=connection_id)

    def _client(self, endpoint: str) -> ApiGatewayManagementApiClient:
        if endpoint not in self._clients:
            self._clients[endpoint] = clients.management_api(endpoint)
        return self._clients[endpoint]
