"""The probe application on the local stack, and ways to look at it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from samwire_tests.app_stack import beside, stack_here
from samwire_tests.clients import own_client

PROBE = Path(__file__).parents[1] / "fixtures" / "probe" / "template.yaml"


@dataclass
class Probe:
    """The running application; `log` is what `--log-file` has written."""

    info: dict[str, Any]
    log: Path

    @property
    def url(self) -> str:
        """Of the API that answers `$connect`."""
        return str(self.info["apis"]["Api"]["websocket_url"])

    @property
    def bare_url(self) -> str:
        """Of the API with one route only."""
        return str(self.info["apis"]["Bare"]["websocket_url"])

    def function(self, logical_id: str) -> str:
        """Name of a function."""
        return str(self.info["functions"][logical_id])

    def client(self, service: str) -> Any:
        """A boto3 client of the stack's services."""
        endpoint, verify = {
            "lambda": ("lambda_endpoint", ""),
            "dynamodb": ("dynamodb_endpoint", ""),
            "apigatewaymanagementapi": ("management_url", "ca_bundle"),
        }[service]
        return own_client(service, self.info, endpoint, verify)

    def invoke(self, logical_id: str, event: dict[str, Any]) -> tuple[Any, bool]:
        """What a function returns, and whether that is an error."""
        answer = self.client("lambda").invoke(
            FunctionName=self.function(logical_id), Payload=json.dumps(event)
        )
        return json.loads(answer["Payload"].read()), "FunctionError" in answer

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind that the handler has printed."""
        lines = self.log.read_text().splitlines()
        found = [json.loads(line.split("EVENT ", 1)[1]) for line in lines if "| EVENT " in line]
        return [event for event in found if event["requestContext"]["eventType"] == kind]


@contextlib.contextmanager
def running_probe(folder: Path, *options: str) -> Iterator[Probe]:
    """The application on ports of the system's choice, beside the test."""
    developers = mock.patch.dict(os.environ, {"DEVELOPERS_SECRET": "never"})
    with developers, beside(probe_here(folder, *options)) as probe:
        yield probe


@contextlib.asynccontextmanager
async def probe_here(folder: Path, *options: str) -> AsyncIterator[Probe]:
    """The application in this process; boto3 is for a thread."""
    log = folder / "functions.log"
    async with stack_here(PROBE, log, *options) as info:
        yield Probe(info, log)
