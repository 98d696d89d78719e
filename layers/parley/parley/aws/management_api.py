"""Posting to WebSocket connections through API Gateway's management API.

The endpoint comes from the event (`domainName`, `stage`), so the same code serves
any stage, region and custom domain.
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
"""A full client buffer or a rate limit is waited out, in order; then the post has failed."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a client is.

    Attributes:
        endpoint: base URL of the `@connections` API.
    """

    endpoint: str
    connection_id: str


def endpoint_url(domain_name: str, stage: str, custom_domain: str = "") -> str:
    """Base URL of `@connections` for the connection that an event came from.

    Args:
        domain_name: `requestContext.domainName` of the event.
        stage: `requestContext.stage` of the event.
        custom_domain: the API's own domain name, if it has one. It is mapped to a stage
            and has none in its path.
    """
    return f"https://{domain_name}" + ("" if domain_name == custom_domain else f"/{stage}")


class ManagementApi:
    """Posts frames; keeps one boto3 client per endpoint. Safe to use from threads."""

    def __init__(self) -> None:
        self._clients: dict[str, ApiGatewayManagementApiClient] = {}
        # Making the first client loads the service's model: better at init than in a turn.
        clients.management_api("https://localhost/")

    def post(self, endpoint: str, connection_id: str, frame: bytes) -> None:
        """Send one text frame, at most 128 KB.

        Raises:
            ConnectionGone: the connection is closed.
            PostRefused: the post was refused for another reason, or nobody answered.
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

    def close(self, endpoint: str, connection_id: str) -> None:
        """Close a connection; one that is closed already, or cannot be, is left as it is."""
        with contextlib.suppress(ClientError, BotoCoreError):
            self._client(endpoint).delete_connection(ConnectionId=connection_id)

    def _client(self, endpoint: str) -> ApiGatewayManagementApiClient:
        if endpoint not in self._clients:
            self._clients[endpoint] = clients.management_api(endpoint)
        return self._clients[endpoint]
