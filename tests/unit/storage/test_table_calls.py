"""Calls of the table are counted, and are what they would be otherwise."""

from __future__ import annotations

import threading
from typing import Any

from parley.storage.table import Table
from parley.storage.table_calls import TableCalls, count_calls
from tests.unit.memory_dynamodb import MemoryDynamoDB


def counted(calls: TableCalls) -> Table:
    client: Any = MemoryDynamoDB()
    return Table(count_calls(client, calls), "table")


KEY: dict[str, Any] = {"pk": {"S": "a"}, "sk": {"S": "b"}}


def test_reads_and_writes_are_counted_apart() -> None:
    calls = TableCalls()
    table = counted(calls)
    assert table.put(KEY)
    assert table.get(KEY) == KEY
    assert list(table.query_pages("a", " ", "~")) == [[KEY]]
    assert table.delete(KEY) == KEY
    assert (calls.reads, calls.writes) == (2, 2)
    calls.begin()
    assert (calls.reads, calls.writes) == (0, 0)


def test_calls_of_many_threads_are_all_counted() -> None:
    calls = TableCalls()
    table = counted(calls)

    def read() -> None:
        for _ in range(50):
            table.get(KEY)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls.reads == 400
