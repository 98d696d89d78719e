"""An application of the fixtures on the local stack, in this process.

A stack of a process of its own costs three times as much, most of it to import what is imported
here already. The fixture `app` and `test_runtime.py` run the command as a user does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import boto3
import pytest

from samwire.__main__ import main
from samwire.cli.options import options_of
from samwire.log_writer import LogWriter
from samwire.stack import LocalStack
from samwire_tests.clients import client, close_connections
from samwire_tests.own_key import own_key

Running = TypeVar("Running")
FIXTURES = Path(__file__).parents[1] / "fixtures"


@dataclass
class RunningApp:
    """The running application; `log` is what `--log-file` has written."""

    info: dict[str, Any]
    log: Path

    def url(self, api: str) -> str:
        """Of a WebSocket API."""
        return str(self.info["apis"][api]["websocket_url"])

    def printed(self, word: str) -> list[dict[str, Any]]:
        """What functions have printed as `WORD {json}`."""
        mark = f"| {word} {{"
        lines = self.log.read_text().splitlines()
        return [json.loads(line.split(f"| {word} ", 1)[1]) for line in lines if mark in line]

    def management(self, api: str, key: str = "x", secret: str = "x") -> Any:
        """A boto3 client of an API's `@connections`."""
        endpoint = self.info["apis"][api]["management_url"]
        return client("apigatewaymanagementapi", endpoint, self.info["ca_bundle"], key, secret)

    def table(self, logical_id: str) -> Any:
        """A table, through boto3."""
        dynamodb = boto3.resource(
            "dynamodb",
            endpoint_url=self.info["dynamodb_endpoint"],
            region_name="us-east-1",
            **own_key(self.info),
        )
        return dynamodb.Table(self.info["tables"][logical_id])


@contextlib.contextmanager
def beside(stack: contextlib.AbstractAsyncContextManager[Running]) -> Iterator[Running]:
    """A stack in a thread with a loop of its own: whoever uses it may block."""
    started: Future[tuple[Running, Callable[[], object]]] = Future()

    async def keep() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        async with stack as running:
            started.set_result((running, partial(loop.call_soon_threadsafe, over.set)))
            await over.wait()

    with ThreadPoolExecutor(1) as thread:
        kept = thread.submit(asyncio.run, keep())
        both: tuple[Future[Any], ...] = (started, kept)
        wait(both, return_when=FIRST_COMPLETED)
        if kept.done():
            kept.result()
        running, end = started.result()
        try:
            yield running
        finally:
            close_connections()  # a TLS connection waits for the other side's end
            end()
            kept.result()
            # What a client left half open when the loop ended is nobody's to close: it is not
            # to be told as a fault of whichever test comes next.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()


def running_app(
    template: Path, folder: Path, *options: str
) -> contextlib.AbstractContextManager[RunningApp]:
    """The application on ports of the system's choice, beside the test."""
    folder.mkdir(exist_ok=True)
    return beside(app_here(template, folder, *options))


@contextlib.asynccontextmanager
async def stack_here(template: Path, log: Path, *options: str) -> AsyncIterator[dict[str, Any]]:
    """What a stack says that runs in this process, with options as the command takes them.

    A blocking call would keep it from answering: boto3 is for a thread.
    """
    with log.open("a") as file:
        command_line = ["--no-lint", "--template", str(template), "--port", "0", *options]
        async with LocalStack(options_of(command_line, LogWriter(None, file))) as stack:
            yield stack.info


def refused_here(template: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What `samwire start` complains of a template that it refuses; it runs in this process."""
    with patch.dict(os.environ):  # the command forgets the developer's account
        code = main(["start", "--port", "0", "--template", str(template), *options])
    said, complained = capsys.readouterr()
    assert (code, said) == (2, "")
    return complained


@contextlib.asynccontextmanager
async def app_here(template: Path, folder: Path, *options: str) -> AsyncIterator[RunningApp]:
    """The application in this process."""
    log = folder / "functions.log"
    async with stack_here(template, log, *options) as info:
        yield RunningApp(info, log)
