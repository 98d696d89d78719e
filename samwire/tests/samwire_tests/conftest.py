"""A small application on the local stack, run by the command that a user runs."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator import translator

from samwire_tests.clients import own_client
from samwire_tests.ready_process import ready_process

# SAM's translator reads and validates the policies that it carries, always the same, each time.
# They are a third of what a small template takes, and these tests read hundreds.
translator.make_policy_template_for_function_plugin = functools.cache(
    translator.make_policy_template_for_function_plugin
)

CHAT = Path(__file__).parents[1] / "fixtures" / "chat" / "template.yaml"


@dataclass
class App:
    """The running application."""

    url: str
    info: dict[str, Any]
    log: Path

    def client(self, service: str) -> Any:
        """A boto3 client of the stack's services."""
        names = {"lambda": "lambda_endpoint", "apigatewaymanagementapi": "management_url"}
        return own_client(service, self.info, names.get(service, "aws_endpoint"), "ca_bundle")

    def events(self, kind: str, connection_id: str = "") -> list[dict[str, Any]]:
        """The events of a kind that functions have received."""
        items = self.client("dynamodb").scan(TableName=self.info["tables"]["Connections"])["Items"]
        events = [
            json.loads(item["event"]["S"]) for item in items if item["id"]["S"].startswith(kind)
        ]
        return [
            event
            for event in events
            if connection_id in ("", event["requestContext"]["connectionId"])
        ]

    def calls(self, key: str) -> int:
        """How often the worker was called with this id."""
        item = (
            self.client("dynamodb")
            .get_item(TableName=self.info["tables"]["Connections"], Key={"id": {"S": key}})
            .get("Item", {})
        )
        return int(item.get("calls", {"N": "0"})["N"])


def eventually(condition: Callable[[], object], timeout_s: float = 15) -> None:
    """Wait until a condition holds; asked again every 50 ms."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to hold in time"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    log = tmp_path_factory.mktemp("chat") / "stack.log"
    environment = {**os.environ, "AWS_PROFILE": "the-developer", "AWS_ACCESS_KEY_ID": "real"}
    command = [
        *(sys.executable, "-m", "samwire", "start", "--no-lint", "--json", "--template", str(CHAT)),
        *("--port", "0", "--parameter-overrides", "Secret=s3cret"),
    ]
    with ready_process(command, log, environment) as info:
        yield App(info["websocket_url"], info, log)
