"""A DynamoDB client whose writes are made one at a time, each whole, as the service makes them."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from typing import Any

from parley.aws.failures import ConnectTimedOut, ServiceError
from parley.storage.table import Table


class AtomicClient:
    """DynamoDB makes one write of an item at a time; moto, in one process, does not.

    Attributes:
        repeats: every write is made twice and its first answer lost, as by its client.
        broken: a partition whose items cannot be changed.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()
        self.repeats = False
        self.broken = ""
        self.calls: Counter[str] = Counter()
        self.changed: set[str] = set()
        """The partitions that were to be changed."""

    def update_item(self, **request: Any) -> Any:
        with self._lock:
            self.calls["UpdateItem"] += 1
            self.changed.add(request["Key"]["pk"]["S"])
            if request["Key"]["pk"]["S"] == self.broken:
                raise ConnectTimedOut
            if self.repeats:
                with contextlib.suppress(ServiceError):
                    self._client.update_item(**request)
            return self._client.update_item(**request)

    @property
    def table(self) -> Table:
        """The table, over this client."""
        return Table(self, "table")  # type: ignore[arg-type]  # no whole client

    def get_item(self, **request: Any) -> Any:
        with self._lock:
            self.calls["GetItem"] += 1
            return self._client.get_item(**request)

    def batch_get_item(self, **request: Any) -> Any:
        with self._lock:
            self.calls["BatchGetItem"] += 1
            return self._client.batch_get_item(**request)
