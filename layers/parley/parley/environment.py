"""The AWS clients that one Lambda environment keeps between invocations.

Built once, at import, so that SnapStart can keep them. Nothing here opens a connection
before it is needed: a snapshot must not hold one.
"""

from __future__ import annotations

import boto3
import msgspec
from botocore.config import Config

from parley.connections import Connections
from parley.invocation import TurnRequest
from parley.settings import Deployment
from parley.store import Store

AWS_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 4},
    tcp_keepalive=True,
    parameter_validation=False,
    max_pool_connections=20,
)


class Environment:
    """The clients that the functions share."""

    def __init__(self) -> None:
        self.deployment = Deployment.from_environment()
        self.connections = Connections()
        self.store = Store(
            boto3.client("dynamodb", config=AWS_CONFIG),
            self.deployment.table,
            self.deployment.session_idle_s,
        )


class TurnStarter:
    """Invokes the turn function, asynchronously: Lambda answers before the turn runs.

    Args:
        function: name or ARN of the turn function, with its alias.
    """

    def __init__(self, function: str) -> None:
        self._function = function
        self._client = boto3.client("lambda", config=AWS_CONFIG)

    def __call__(self, request: TurnRequest) -> None:
        self._client.invoke(
            FunctionName=self._function,
            InvocationType="Event",
            Payload=msgspec.json.encode(request),
        )
