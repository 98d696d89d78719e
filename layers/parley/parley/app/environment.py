"""The AWS clients that one Lambda environment keeps between invocations.

They are built once, at import. Nothing here opens a connection before it is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from parley.aws import clients
from parley.aws.dynamodb import DynamoDB
from parley.aws.management_api import ManagementApi
from parley.config import Deployment
from parley.limits.connection_slots import ConnectionSlots
from parley.limits.request_rates import RequestRates
from parley.storage.recordings import Recordings
from parley.storage.session_reader import SessionReader
from parley.storage.sessions import SessionStore
from parley.storage.table import Table
from parley.storage.table_calls import TableCalls, count_calls
from parley.storage.turns import TurnStore

if TYPE_CHECKING:
    from parley.agents.catalog import AgentCatalog

# httpx imports its command line wherever click and rich are installed, as a deployer's packages may
# have them: 0.1 s and 4 MB. It does without if the import fails.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None: not to be had


class Environment:
    """The configuration, the AWS clients and the stores that the functions share."""

    def __init__(self) -> None:
        self.deployment = Deployment.from_environment()
        self.management_api = ManagementApi()
        self.table_calls = TableCalls()
        client = count_calls(DynamoDB(), self.table_calls)
        table = self.table = Table(client, self.deployment.table)
        self.sessions = SessionStore(
            table, self.deployment.session_idle_s, self.deployment.max_session_s
        )
        self.turns = TurnStore(table, self.deployment.session_idle_s)
        self.connection_slots = ConnectionSlots(
            table, self.sessions.connections, self.deployment.limits
        )
        self.request_rates = RequestRates(table, self.deployment.limits)
        self.session_reader = SessionReader(table)
        bucket = self.deployment.recording_bucket
        self.recordings = Recordings(clients.s3, bucket) if bucket else None

    def make_agents(self, log: Callable[[str, dict[str, Any]], None]) -> AgentCatalog:
        """Make the catalog of the deployment's agents.

        Args:
            log: told about trouble; takes an event name and fields.
        """
        from parley.agents.catalog import AgentCatalog  # most functions have none

        deployment = self.deployment
        return AgentCatalog(
            deployment.system_prompt,
            deployment.settings_policy,
            greeting=deployment.greeting,
            log=log,
        )
