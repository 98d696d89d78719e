"""A host that a function builds from its API's id and the region leads to the local gateway.

The functions are real processes of AWS's runtime client, with the clients that people use.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from samwire_tests.app_stack import RunningApp, running_app
from samwire_tests.conftest import eventually
from samwire_tests.open_ports import alive, family_of

TEMPLATE = Path(__file__).parents[1] / "fixtures" / "hosts" / "template.yaml"
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(TEMPLATE, tmp_path_factory.mktemp("hosts")) as running:
        yield running


async def told(app: RunningApp, client: str, **more: str) -> str:
    """What a function posts with a client, or the error that it met."""
    async with connect(app.url("Api")) as connected:
        await connected.send(json.dumps({"action": "post", "with": client, **more}))
        return str(await connected.recv())


@pytest.mark.parametrize("client", ["boto3", "urllib", "httpx", "requests", "aiohttp"])
async def test_a_host_that_is_built_leads_to_the_connection(app: RunningApp, client: str) -> None:
    assert await told(app, client) == f"by {client}"


async def test_the_name_leads_to_this_machine_and_its_certificate(app: RunningApp) -> None:
    said = await told(app, "socket")
    assert said.startswith("RuntimeError: ['127.0.0.1'] trustme")


async def test_every_api_of_the_stack_is_found(app: RunningApp) -> None:
    assert await told(app, "items") == "RuntimeError: items"


@pytest.mark.parametrize("client", ["boto3", "urllib", "httpx", "requests", "aiohttp", "socket"])
async def test_the_api_in_another_region_leaves_this_machine_for_nowhere(
    app: RunningApp, client: str
) -> None:
    said = await told(app, client, region="eu-west-1")
    assert said != f"by {client}"
    if client in ("urllib", "socket"):  # the others say it in words of their own
        assert "eu-west-1.amazonaws.com:443 is not where this stack's API is" in said
        assert "us-east-1.amazonaws.com" in said


async def test_a_host_of_somebody_else_is_left_alone(app: RunningApp) -> None:
    host = "abcdefghij.execute-api.us-east-1.invalid"
    said = await told(app, "socket", host=host)
    assert said.startswith("gaierror")
    assert "this stack" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_start_prints_the_urls_of_all_stages() -> None:
    command = [sys.executable, "-m", "samwire", "start", "--no-lint", "--template", str(TEMPLATE)]
    with subprocess.Popen(
        [*command, "--port", "0", "--quiet", "--prewarm", "1", "--prewarm-only", "Lister"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    ) as starting:
        assert starting.stdout is not None
        said = []
        for line in starting.stdout:
            said.append(line)
            if line.startswith("Ctrl-C"):
                break
        children = set(family_of(starting.pid)) - {starting.pid}
        starting.send_signal(signal.SIGINT)
        assert starting.wait(30) == 0
        assert len(children) >= 2, "moto and a function"  # and Ctrl-C leaves none of them
        eventually(lambda: not any(alive(child) for child in children))
    of_websocket = [line for line in said if line.startswith("WebSocket API  Api: ")]
    assert sorted(line.split()[3].rsplit("/", 1)[1] for line in of_websocket) == ["dev", "second"]
    of_http = [line for line in said if line.startswith("HTTP API       Items: ")]
    assert sorted(line.split()[3].rsplit("/", 1)[1] for line in of_http) == ["v1", "v2"]


async def test_both_stages_are_served_and_described(app: RunningApp) -> None:
    stages = app.info["apis"]["Api"]["stages"]
    assert stages.keys() == {"dev", "second"}
    async with connect(stages["second"]["websocket_url"]) as connected:
        await connected.send(json.dumps({"action": "post", "with": "boto3"}))
        assert await connected.recv() == "by boto3"
    assert app.info["apis"]["Api"]["websocket_url"] in (
        stage["websocket_url"] for stage in stages.values()
    )
