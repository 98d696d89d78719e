"""The AWS clients that one Lambda environment keeps between invocations.

Built once, at import, so that SnapStart can keep them. Nothing here opens a connection
before it is needed: a snapshot must not hold one.
"""

from __future__ import annotations

import msgspec

from parley import clients
from parley.archive import Archive
from parley.connections import Connections
from parley.invocation import TurnRequest
from parley.limits.requests import RequestRates
from parley.limits.slots import ConnectionSlots
from parley.recordings import Recordings
from parley.settings import Deployment
from parley.store import Store
from parley.table import Table
from parley.turns import Turns


class Environment:
    """The clients that the functions share."""

    def __init__(self) -> None:
        self.deployment = Deployment.from_environment()
        self.connections = Connections()
        table = self.table = Table(clients.dynamodb(), self.deployment.table)
        self.store = Store(table, self.deployment.session_idle_s)
        self.turns = Turns(table, self.deployment.session_idle_s)
        self.slots = ConnectionSlots(table, self.store.bindings, self.deployment.limits)
        self.requests = RequestRates(table, self.deployment.limits)
        self.archive = Archive(table)
        bucket = self.deployment.recording_bucket
        self.recordings = Recordings(clients.s3, bucket) if bucket else None


class TurnStarter:
    """Invokes the turn function, asynchronously: Lambda answers before the turn runs.

    Args:
        function: name or ARN of the turn function, with its alias.
    """

    def __init__(self, function: str) -> None:
        self._function = function
        self._client = clients.lambda_()

    def __call__(self, request: TurnRequest) -> None:
        self._client.invoke(
            FunctionName=self._function,
            InvocationType="Event",
            Payload=msgspec.json.encode(request),
        )
