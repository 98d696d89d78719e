"""A table endpoint of the developer's own is looked at when a stack starts."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from samwire.cli.options import options_of
from samwire.log_writer import LogWriter
from samwire.services.aws import ServicesError
from samwire.services.table_check import lacking
from samwire.services.wsgi import serving
from samwire.stack import LocalStack
from samwire_tests.app_stack import stack_here
from samwire_tests.clients import client
from samwire_tests.conftest import CHAT

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
TARGET = "DynamoDB_20120810."
UNKNOWN = b'{"__type":"com.amazon.coral.service#UnknownOperationException"}'


class Lesser:
    """moto, without some operations and members of requests, as imitations of DynamoDB are.

    Args:
        operations: that it answers as dynalite 4.0.0 answers those it does not know.
        members: that it passes over.
    """

    def __init__(self, operations: Iterable[str] = (), members: Iterable[str] = ()) -> None:
        self._app: Wsgi = DomainDispatcherApplication(create_backend_app)
        self._operations = frozenset(operations)
        self._members = frozenset(members)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        operation = str(environ.get("HTTP_X_AMZ_TARGET", "")).removeprefix(TARGET)
        if operation in self._operations:
            kind = [("Content-Type", "application/x-amz-json-1.0")]
            start_response("400 Bad Request", kind)
            return [UNKNOWN]
        if self._members:
            body = json.loads(environ["wsgi.input"].read() or b"{}")
            data = json.dumps(self._without(body)).encode()
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(data), str(len(data))
        return self._app(environ, start_response)

    def _without(self, body: Any) -> Any:
        if isinstance(body, list):
            return [self._without(each) for each in body]
        if not isinstance(body, Mapping):
            return body
        return {k: self._without(v) for k, v in body.items() if k not in self._members}


async def seen(app: Wsgi) -> list[str]:
    """What is found to be missing, and no table of the check is left."""
    async with serving(app, "127.0.0.1", 0) as port:
        dynamodb = client("dynamodb", f"http://127.0.0.1:{port}")
        before = (await asyncio.to_thread(dynamodb.list_tables))["TableNames"]
        found = await asyncio.to_thread(lacking, dynamodb)
        assert (await asyncio.to_thread(dynamodb.list_tables))["TableNames"] == before
    return found


async def test_a_whole_dynamodb_lacks_nothing() -> None:
    assert await seen(Lesser()) == []


@pytest.mark.parametrize(
    ("app", "missing"),
    [
        (
            Lesser(["TransactWriteItems", "TransactGetItems"]),
            "transactions (TransactWriteItems: UnknownOperationException)",
        ),
        (
            Lesser(["TransactGetItems"]),
            "transactions (TransactGetItems: UnknownOperationException)",
        ),
        (
            Lesser(["UpdateTimeToLive"]),
            "expiry of items (TTL) (UpdateTimeToLive: UnknownOperationException)",
        ),
        (Lesser(["BatchGetItem"]), "batches (BatchGetItem: UnknownOperationException)"),
        (
            Lesser(members=["ReturnValuesOnConditionCheckFailure"]),
            "the item of a failed condition (ReturnValuesOnConditionCheckFailure returns no item)",
        ),
        (
            Lesser(members=["ScanIndexForward"]),
            "consistent queries (Query has another order, or other pages)",
        ),
        (Lesser(["UpdateItem"]), "update expressions (UpdateItem: UnknownOperationException)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_missing_is_named(app: Lesser, missing: str) -> None:
    assert await seen(app) == [missing]


async def test_conditions_that_are_passed_over_are_named() -> None:
    assert [
        each.partition(" (")[0] for each in await seen(Lesser(members=["ConditionExpression"]))
    ] == [
        "conditional writes",
        "the item of a failed condition",
        "transactions",
    ]


async def test_the_start_says_in_one_sentence_what_a_table_endpoint_lacks(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lesser = Lesser(["TransactWriteItems", "TransactGetItems", "UpdateTimeToLive"])
    async with serving(lesser, "127.0.0.1", 0) as port:
        url = f"http://127.0.0.1:{port}"
        options = ("--dynamodb-endpoint", url, "--parameter-overrides", "Secret=x")
        async with stack_here(CHAT, log, *options) as info:
            (notice,) = [each for each in info["notices"] if "DynamoDB; it lacks" in each]
    assert notice.startswith(
        f"{url} is not all of DynamoDB; it lacks: transactions (TransactWriteItems: "
        "UnknownOperationException); expiry of items (TTL) (UpdateTimeToLive: "
    )
    assert notice in log.read_text()


async def test_an_endpoint_that_is_not_there_ends_the_start_with_a_sentence() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    line = ["--template", str(CHAT), "--port", "0", "--dynamodb-endpoint", url]
    options = options_of([*line, "--parameter-overrides", "Secret=x"], LogWriter(None, None))
    with pytest.raises(ServicesError, match="--dynamodb-endpoint says where it is"):
        async with LocalStack(options):
            pass
