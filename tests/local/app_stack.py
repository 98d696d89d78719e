"""An application of the fixtures on the local stack: as its own process, or in this one."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest

from local.__main__ import main, options_of
from local.log_writer import LogWriter
from local.stack import LocalStack
from tests.e2e.stack import process
from tests.local.clients import client
from tests.local.own_key import own_key

FIXTURES = Path(__file__).parent / "fixtures"


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
def running_app(template: Path, folder: Path, *options: str) -> Iterator[RunningApp]:
    """The application on ports of the system's choice."""
    folder.mkdir(exist_ok=True)
    log = folder / "functions.log"
    command = [sys.executable, "-m", "local", "start", "--no-lint", "--json", "--quiet"]
    command += ["--template", str(template), "--port", "0", "--log-file", str(log), *options]
    with process(command, folder / "stack.log", os.environ) as info:
        yield RunningApp(info, log)


@contextlib.asynccontextmanager
async def stack_here(template: Path, log: Path, *options: str) -> AsyncIterator[dict[str, Any]]:
    """What a stack says that runs in this process, with options as the command takes them.

    It starts in a third of the time of a process. A blocking call would keep it from answering:
    boto3 is for a thread.
    """
    with log.open("a") as file:
        command_line = ["--no-lint", "--template", str(template), "--port", "0", *options]
        async with LocalStack(options_of(command_line, LogWriter(None, file))) as stack:
            yield stack.info


def refused_here(template: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What `local start` complains of a template that it refuses; it runs in this process."""
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
