"""What `--db-path` keeps from one start of moto's process to the next."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from samwire.services.aws import AwsServices
from samwire.services.db_path import GENERATED, keep_generated
from samwire.services.table_file import FILE
from samwire.template.model import Secret

REGION = "eu-central-1"
DEFINITION: dict[str, Any] = {
    "TableName": "talks",
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "N"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
ITEM: dict[str, Any] = {
    "pk": {"S": "a"},
    "sk": {"N": "1"},
    "sound": {"B": b"\x00\xff"},
    "of": {"M": {"parts": {"L": [{"B": b"x"}, {"NULL": True}, {"BOOL": False}]}}},
    "names": {"SS": ["one", "two"]},
    "sounds": {"BS": [b"1"]},
}


class Started:
    """Moto's process with a table, and a client of it."""

    def __init__(self, services: AwsServices) -> None:
        self.services = services
        self._client: Any = services._client("dynamodb", services.endpoint, REGION)

    async def call(self, operation: str, **arguments: Any) -> Any:
        return await asyncio.to_thread(getattr(self._client, operation), **arguments)

    async def items(self) -> list[dict[str, Any]]:
        found = await self.call("scan", TableName="talks")
        return sorted(found["Items"], key=lambda item: int(item["sk"]["N"]))


@contextlib.asynccontextmanager
async def started(folder: Path, **other: Any) -> AsyncIterator[Started]:
    services = AwsServices(db_path=folder)
    await services.start()
    try:
        found = Started(services)
        await found.call("create_table", **{**DEFINITION, **other})
        yield found
    finally:
        await services.stop()


def rows(folder: Path) -> int:
    """How many items are in the file, although a process has it."""
    with (
        contextlib.closing(
            sqlite3.connect(f"file:{folder / FILE}?immutable=1", uri=True)
        ) as database,
        contextlib.suppress(sqlite3.DatabaseError),
    ):
        return int(database.execute("SELECT count(*) FROM items").fetchone()[0])
    return 0


async def test_items_are_there_again_after_a_stop(tmp_path: Path) -> None:
    async with started(tmp_path) as stack:
        await stack.call("put_item", TableName="talks", Item=ITEM)
        gone = {"pk": {"S": "a"}, "sk": {"N": "2"}}
        await stack.call("put_item", TableName="talks", Item=gone)
        put = {"Put": {"TableName": "talks", "Item": {"pk": {"S": "b"}, "sk": {"N": "3"}}}}
        await stack.call("transact_write_items", TransactItems=[put])
        batch = [{"PutRequest": {"Item": {"pk": {"S": "c"}, "sk": {"N": "4"}}}}]
        await stack.call("batch_write_item", RequestItems={"talks": batch})
        await stack.call(
            "update_item",
            TableName="talks",
            Key={"pk": {"S": "b"}, "sk": {"N": "3"}},
            UpdateExpression="SET heard = :h",
            ExpressionAttributeValues={":h": {"S": "yes"}},
        )
        await stack.call("delete_item", TableName="talks", Key=gone)
        before = await stack.items()
    async with started(tmp_path) as stack:
        assert await stack.items() == before
        assert [item["sk"]["N"] for item in before] == ["1", "3", "4"]
        assert before[0] == ITEM
        assert before[1]["heard"] == {"S": "yes"}
    assert b"heard" in (tmp_path / FILE).read_bytes()
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0, "nobody else may read it"


async def test_a_process_that_is_killed_loses_the_last_moment_at_most(tmp_path: Path) -> None:
    async with started(tmp_path) as stack:
        began = time.monotonic()
        await stack.call("put_item", TableName="talks", Item=ITEM)
        while not rows(tmp_path):
            assert time.monotonic() < began + 20
            await asyncio.sleep(0.02)  # nothing tells of a write in another process's file
        process = stack.services._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    async with started(tmp_path) as stack:
        assert await stack.items() == [ITEM]


async def test_what_is_over_or_has_other_keys_is_not_loaded(tmp_path: Path) -> None:
    async with started(tmp_path) as stack:
        ttl = {"AttributeName": "until", "Enabled": True}
        await stack.call("update_time_to_live", TableName="talks", TimeToLiveSpecification=ttl)
        for number, until in (("1", time.time() - 5), ("2", time.time() + 500)):
            item = {"pk": {"S": "a"}, "sk": {"N": number}, "until": {"N": str(int(until))}}
            await stack.call("put_item", TableName="talks", Item=item)
    async with started(tmp_path) as stack:
        assert [item["sk"]["N"] for item in await stack.items()] == ["2"]
    keys = [{"AttributeName": "other", "KeyType": "HASH"}]
    names = [{"AttributeName": "other", "AttributeType": "S"}]
    async with started(tmp_path, KeySchema=keys, AttributeDefinitions=names) as stack:
        assert (await stack.call("scan", TableName="talks"))["Items"] == []


@pytest.mark.parametrize("content", [b"no database at all" * 99, b""], ids=["broken", "empty"])
async def test_a_file_that_cannot_be_read_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    async with started(tmp_path) as stack:
        await stack.call("put_item", TableName="talks", Item=ITEM)
        notice = stack.services.db_notice
    if content:
        assert notice.startswith(f"{tmp_path / FILE} cannot be used (file is not a database).")
        (aside,) = tmp_path.glob(f"{FILE}.*")
        assert aside.read_bytes() == content
        assert notice.endswith(f"It is now {aside.name}.")
    else:
        assert notice == ""
    async with started(tmp_path) as stack:
        assert await stack.items() == [ITEM]


async def test_a_file_of_another_format_is_set_aside(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.executescript("CREATE TABLE items (old); PRAGMA user_version = 99;")
    async with started(tmp_path) as stack:
        assert "(format 99, not 1)" in stack.services.db_notice
        assert await stack.items() == []


async def test_a_second_stack_says_that_it_keeps_nothing(tmp_path: Path) -> None:
    async with started(tmp_path) as first, started(tmp_path) as second:
        assert second.services.db_notice.endswith("is in use: what is stored now is not kept.")
        await first.call("put_item", TableName="talks", Item=ITEM)
        assert await second.items() == []


def test_a_generated_password_stays_and_what_a_developer_gave_is_not_kept(tmp_path: Path) -> None:
    def made(password: str) -> Secret:
        value = json.dumps({"llm_api_key": "sk-given", "session_key": password})
        return Secret("Keys", "keys", "arn", value, password)

    given = Secret("Given", "given", "arn", "sk-other")
    first, notice = keep_generated(tmp_path, [made("x" * 32), given])
    assert (first, notice) == ([made("x" * 32), given], "")
    again, _ = keep_generated(tmp_path, [made("y" * 32), given])
    assert again == first
    other, _ = keep_generated(tmp_path, [made("z" * 16)])
    assert other == [made("z" * 16)], "the template asks for another one"
    kept = tmp_path / GENERATED
    assert "sk-" not in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0
    kept.write_text("{")
    anew, notice = keep_generated(tmp_path, [made("w" * 32)])
    assert anew == [made("w" * 32)]
    assert notice.startswith(f"{kept} cannot be used.")
