"""What a wake opens, and that a turn is none the worse for what its servers have closed since."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from parley.app import warm_up as module
from parley.app.warm_up import warm_up
from parley.errors import ConnectionGone, PostRefused
from parley.protocol.turn_request import WakeRequest
from parley.providers.rules import CallRules
from tests.unit.chat_server import Answer, Endpoint, endpoint, event, plain, stream
from tests.unit.fakes import FakeResponder
from tests.unit.memory import REF
from tests.unit.providers.test_openai_chat import DONE, chat
from tests.unit.stage import Stage

WAKE = WakeRequest(REF, "c", "https://x")
REPLY = stream(event("Hi there."), DONE)


class Connections:
    """The `@connections` API, as a wake uses it."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.trouble = trouble
        self.opened: list[tuple[str, str]] = []

    def connect(self, endpoint: str, connection_id: str) -> None:
        self.opened.append((endpoint, connection_id))
        if self.trouble is not None:
            raise self.trouble


async def wake(stage: Stage, connections: Connections | None = None) -> None:
    api: Any = connections or Connections()
    await warm_up(WAKE, stage.services, api)


@contextlib.asynccontextmanager
async def awake(*answers: Answer) -> AsyncIterator[tuple[Endpoint, Stage]]:
    """A chat endpoint, and an environment that has been woken for it."""
    async with endpoint(*answers) as server, chat(server.url) as responder:
        stage = Stage()
        woken: Any = responder
        stage.responder = woken
        await wake(stage)
        yield server, stage


async def end_of_turn(stage: Stage) -> tuple[str, int | None]:
    """Run a turn; return how it ended, and after how many retries."""
    outcome = await stage.run()
    assert outcome is not None
    return outcome.reason, outcome.metrics.retries


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close the connection in place of an answer."""
    writer.transport.abort()


async def close_idle(server: Endpoint) -> None:
    """Close the server's connections, and wait until the clients' side knows."""
    for writer in server.writers:
        writer.close()
        await writer.wait_closed()


async def test_a_wake_opens_what_a_turn_needs_and_reads_its_session() -> None:
    stage, connections = Stage(), Connections()
    await wake(stage, connections)
    assert stage.responder.warmed_up == 1
    assert connections.opened == [("https://x", "c")]
    assert REF in stage.history._known
    assert stage.logged == []


async def test_a_turn_after_a_wake_uses_its_connection() -> None:
    async with awake(plain("404 Not Found"), REPLY) as (server, stage):
        assert await end_of_turn(stage) == ("completed", 0)
        assert server.connections == 1


async def test_a_connection_that_its_server_has_closed_since_costs_no_turn() -> None:
    async with awake(plain("404 Not Found"), REPLY) as (server, stage):
        await close_idle(server)
        assert await end_of_turn(stage) == ("completed", 0)
        assert server.connections == 2


async def test_a_connection_that_breaks_at_its_first_use_costs_no_turn() -> None:
    async with awake(plain("404 Not Found"), hang_up, REPLY) as (server, stage):
        assert await end_of_turn(stage) == ("completed", 1)
        assert server.connections == 2


async def test_a_responder_that_must_not_be_asked_twice_keeps_no_connection() -> None:
    stage = Stage(responder=FakeResponder(rules=CallRules(repeatable=False)))
    await wake(stage)
    assert stage.responder.warmed_up == 0


async def test_what_fails_is_logged_by_its_cause_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage()

    async def unreachable() -> None:
        raise OSError("the secret cannot be read")

    monkeypatch.setattr(stage.responder, "warm_up", unreachable)
    await wake(stage, Connections(PostRefused(403)))
    found = {fields["part"]: fields["error"] for name, fields in stage.logged}
    assert found == {"posts": "PostRefused", "responder": "OSError"}
    assert "the secret" not in str(stage.logged)


async def test_a_client_that_has_left_is_no_trouble() -> None:
    stage = Stage()
    await wake(stage, Connections(ConnectionGone()))
    assert stage.logged == []


async def test_a_wake_waits_for_no_provider_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WARM_UP_S", 0.01)
    stage = Stage()
    cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    monkeypatch.setattr(stage.transcriber, "warm_up", hang)
    await asyncio.wait_for(wake(stage), 5)
    assert cancelled.is_set()
