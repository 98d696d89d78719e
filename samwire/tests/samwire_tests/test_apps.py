"""Small applications as people write them, driven from outside as their users would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.asyncio.client import connect

from samwire_tests.app_stack import FIXTURES, RunningApp, running_app
from samwire_tests.conftest import eventually

APPS = FIXTURES / "apps"


@pytest.fixture(scope="module")
def broadcast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    template = APPS / "broadcast" / "template.yaml"
    with running_app(template, tmp_path_factory.mktemp("broadcast")) as app:
        yield app


@pytest.fixture(scope="module")
def longrun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(APPS / "longrun" / "template.yaml", tmp_path_factory.mktemp("long")) as app:
        yield app


# --- a chat, its API spelt out --------------------------------------------------------------


async def test_everyone_hears_what_anyone_says(broadcast: RunningApp) -> None:
    url = broadcast.url("ChatApi")
    async with connect(url) as ann, connect(url) as bob:
        await ann.send(json.dumps({"action": "sendmessage", "data": "hello"}))
        assert [await ann.recv(), await bob.recv()] == ["hello", "hello"]


def ids(table: Any) -> set[str]:
    """Connections that the application knows."""
    return {item["connectionId"] for item in table.scan()["Items"]}


async def test_who_is_connected_is_in_the_table(broadcast: RunningApp) -> None:
    table = broadcast.table("Connections")
    before = ids(table)
    async with connect(broadcast.url("ChatApi")):
        (mine,) = ids(table) - before
    await asyncio.to_thread(eventually, lambda: mine not in ids(table))


async def test_a_stale_connection_is_cleaned_up(broadcast: RunningApp) -> None:
    table = broadcast.table("Connections")
    stale = "PJqB0fHsqRcCHlw="
    table.put_item(Item={"connectionId": stale})
    async with connect(broadcast.url("ChatApi")) as ann:
        await ann.send(json.dumps({"action": "sendmessage", "data": "anyone?"}))
        assert await ann.recv() == "anyone?"
    await asyncio.to_thread(
        eventually, lambda: "Item" not in table.get_item(Key={"connectionId": stale})
    )


async def test_an_action_that_the_api_does_not_know_is_forbidden(broadcast: RunningApp) -> None:
    async with connect(broadcast.url("ChatApi")) as ann:
        await ann.send(json.dumps({"action": "nosuch"}))
        assert json.loads(await ann.recv())["message"] == "Forbidden"


async def test_whoever_runs_it_can_post_from_outside(broadcast: RunningApp) -> None:
    table, api = broadcast.table("Connections"), broadcast.management("ChatApi")
    before = ids(table)
    async with connect(broadcast.url("ChatApi")) as ann:
        (mine,) = ids(table) - before
        await asyncio.to_thread(api.post_to_connection, ConnectionId=mine, Data="from outside")
        assert await ann.recv() == "from outside"


def test_its_output_is_where_it_is_here(broadcast: RunningApp) -> None:
    assert broadcast.info["outputs"]["WebSocketURI"] == broadcast.info["apis"]["ChatApi"]["wss_url"]


# --- work that takes longer than an integration may ------------------------------------------


async def test_long_work_outlives_the_integrations_time(longrun: RunningApp) -> None:
    note = 'it\'s "done" – \\ / é'
    async with connect(longrun.url("Api")) as socket:
        job = {"action": "work", "job": 7, "seconds": 1.5, "steps": 3, "note": note}
        await socket.send(json.dumps(job))
        accepted = json.loads(await socket.recv())
        steps = [json.loads(await socket.recv()) for _ in range(3)]
    assert list(accepted) == ["accepted"]
    assert steps == [{"job": 7, "step": step, "note": note} for step in (1, 2, 3)]


async def test_the_function_is_given_what_the_template_makes(longrun: RunningApp) -> None:
    async with connect(longrun.url("Api")) as socket:
        await socket.send(json.dumps({"action": "work", "job": "seen", "seconds": 0, "steps": 1}))
        await socket.recv()
        await socket.recv()
    event = next(e for e in longrun.printed("WORK") if '"seen"' in e["body"])
    assert list(event) == ["requestContext", "body", "isBase64Encoded"]
    assert isinstance(event["requestContext"]["connectedAt"], int)
    assert event["requestContext"]["routeKey"] == "work"
    assert event["requestContext"]["domainName"] in longrun.info["apis"]["Api"]["wss_url"]


async def test_what_fails_later_is_told_to_nobody(longrun: RunningApp) -> None:
    async with connect(longrun.url("Api")) as socket:
        failing = {"action": "work", "job": 1, "seconds": 0, "steps": 1, "fail": True}
        await socket.send(json.dumps(failing))
        assert [next(iter(json.loads(await socket.recv()))) for _ in range(2)] == [
            "accepted",
            "job",
        ]
        await asyncio.to_thread(
            eventually, lambda: "asynchronous invocation failed" in longrun.log.read_text()
        )
        await socket.send(json.dumps({"action": "work", "job": 2, "seconds": 0, "steps": 1}))
        assert "accepted" in json.loads(await socket.recv()), "nothing was sent in between"


async def test_escaped_quotes_are_no_json_to_lambda(longrun: RunningApp) -> None:
    async with connect(longrun.url("Api")) as socket:
        await socket.send(json.dumps({"action": "naive", "note": "it's"}))
        assert json.loads(await socket.recv())["message"] == "Internal server error"
