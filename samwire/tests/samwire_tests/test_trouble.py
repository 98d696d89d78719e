"""In trouble: what an environment or the gateway cannot do is an error, and ends nothing else."""

from __future__ import annotations

import asyncio
import errno
import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from samwire.gateway.integrations import Integrations
from samwire.runtime.runtime_api import RuntimeApi
from samwire.services import aws
from samwire_tests.app_stack import FIXTURES, app_here
from samwire_tests.lambda_harness import running

RAISING = """
    import os
    def handler(event, context):
        if "length" in event:
            raise ValueError("x" * event["length"])
        return {"pid": os.getpid()}
"""


async def test_an_environment_that_cannot_start_is_an_error_and_is_not_tried_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def start(_api: RuntimeApi) -> str:
        nonlocal tries
        tries += 1
        raise OSError(errno.EMFILE, "Too many open files")

    async with running(tmp_path, RAISING) as f:
        with monkeypatch.context() as patch:
            patch.setattr(RuntimeApi, "start", start)
            results = await asyncio.wait_for(asyncio.gather(f.invoked(), f.invoked()), 10)
        for result in results:
            assert result.error_type == "ServiceException"
            assert "Too many open files" in json.loads(result.payload)["errorMessage"]
        assert tries == 2
        assert any("Too many open files" in line for line in f.lines)
        assert "pid" in await f.invoke(), "there is room again"


async def test_a_long_message_of_an_exception_is_told_whole(tmp_path: Path) -> None:
    async with running(tmp_path, RAISING) as f:
        pid = (await f.invoke())["pid"]
        found = json.loads((await f.invoked(length=900_000)).payload)
        assert (found["errorType"], len(found["errorMessage"])) == ("ValueError", 900_000)
        assert (await f.invoke())["pid"] == pid


async def test_what_nobody_thought_of_is_told_to_who_sent_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_arguments: object) -> None:
        raise ZeroDivisionError("nobody thought of it")

    template = FIXTURES / "mapping" / "template.yaml"
    async with (
        app_here(template, tmp_path) as app,
        asyncio.timeout(10),
        connect(app.url("Api")) as socket,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Integrations, "call", broken)
            await socket.send('{"action": "ping"}')
            assert json.loads(await socket.recv())["message"] == "Internal server error"
        await socket.send('{"action": "ping"}')
        assert "pong" in json.loads(await socket.recv())
    assert "nobody thought of it" in app.log.read_text()


async def test_services_that_do_not_start_in_time_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aws, "_START_TIMEOUT_S", 0.01)
    services = aws.AwsServices()
    try:
        with pytest.raises(aws.ServicesError, match="did not start in"):
            await services.start()
    finally:
        await services.stop()
