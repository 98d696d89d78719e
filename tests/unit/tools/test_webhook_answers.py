"""What becomes of a webhook's answer, and when it is asked again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from parley.tools import guarded_network
from parley.tools.kinds import webhook_repeats
from parley.tools.kinds.webhook import build_tool
from parley.tools.tool import CustomEvent, Tool
from tests.unit.speech_server import closed_port
from tests.unit.tool_calls import (
    OTHER_SECRET,
    SECRET,
    failed,
    invocation,
    tool_context,
    tool_spec,
)
from tests.unit.webhook_receiver import (
    Answer,
    Receiver,
    broken,
    json_answer,
    receiving,
    text_answer,
)

OK = json_answer({"done": True})


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are for servers that are elsewhere."""
    monkeypatch.setattr(webhook_repeats, "CONNECT_PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(webhook_repeats, "REPEAT_PAUSE_S", 0.0)


def webhook(receiver: Receiver, effect: str = "write") -> Tool:
    """A tool that is a receiver."""
    spec = tool_spec(
        "http", f"http://{receiver.host}/secret-path", effect=effect, options={"secret": "key"}
    )
    return build_tool(spec, tool_context(private_hosts=[receiver.host]))


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (json_answer({"n": 1}), {"n": 1}),
        (json_answer([1, "ä"], 201), [1, "ä"]),
        (text_answer("On its way."), "On its way."),
        (text_answer('{"n": 1}'), '{"n": 1}'),
        (text_answer("", 204), ""),
    ],
)
async def test_a_2xx_is_the_result(answer: Answer, value: Any) -> None:
    async with receiving(answer) as receiver:
        assert (await webhook(receiver).call(invocation())).value == value


async def test_an_answer_may_have_events_for_the_page() -> None:
    events = {"n": 1, "parley_events": [{"name": "map", "data": 2}]}
    async with receiving(json_answer(events)) as receiver:
        answer = await webhook(receiver).call(invocation())
    assert (answer.value, answer.events) == ({"n": 1}, [CustomEvent("map", 2)])


@pytest.mark.parametrize(
    ("status", "reason", "acted", "told"),
    [
        (400, "refused", False, "No table. At eight."),
        (401, "refused", False, ""),
        (403, "refused", False, ""),
        (404, "not_found", False, "No table. At eight."),
        (408, "timeout", True, "No table. At eight."),
        (409, "refused", False, "No table. At eight."),
        (422, "refused", False, "No table. At eight."),
        (429, "unavailable", False, "No table. At eight."),
        (500, "unavailable", True, ""),
        (503, "unavailable", True, ""),
        (304, "unavailable", True, ""),
    ],
)
async def test_a_status_says_whether_it_acted(
    status: int, reason: str, acted: bool, told: str
) -> None:
    async with receiving(text_answer("No table.\n  At eight.", status)) as receiver:
        error = await failed(webhook(receiver), invocation())
        assert len(receiver.requests) == 1
    assert (error.reason, error.acted) == (reason, acted)
    assert error.told == ("" if status == 304 else told)


async def test_a_refusal_is_told_only_as_far_as_a_model_needs() -> None:
    async with receiving(text_answer(200_000 * "x", 422)) as receiver:
        error = await failed(webhook(receiver), invocation())
    assert (error.reason, error.acted, len(error.told)) == ("refused", False, 500)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with receiving(OK) as elsewhere:
        location = f"http://{elsewhere.host}/"
        async with receiving(text_answer("", status, Location=location)) as receiver:
            spec = tool_spec("http", f"http://{receiver.host}/", options={"secret": "key"})
            context = tool_context(private_hosts=[receiver.host, elsewhere.host])
            error = await failed(build_tool(spec, context), invocation())
        assert elsewhere.requests == []
    assert (error.reason, error.log_fields["status"]) == ("unavailable", status)


async def test_the_log_has_the_host_and_the_status_alone() -> None:
    async with receiving(text_answer("the words of the user", 500)) as receiver:
        error = await failed(webhook(receiver), invocation(note="the words of the user"))
    assert error.log_fields == {"host": "127.0.0.1", "status": 500}


async def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    written = 0

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(65_536))
            written += 65_536

    async with receiving(endless) as receiver:
        error = await failed(webhook(receiver), invocation())
    assert (error.reason, error.acted) == ("too_large", True)
    assert written < 50_000_000


async def test_a_webhook_that_drips_costs_no_more_than_its_time() -> None:
    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.02)

    async with receiving(drip) as receiver:
        begun_s = time.monotonic()
        error = await failed(webhook(receiver), invocation(timeout_s=0.4))
        took_s = time.monotonic() - begun_s
    assert (error.reason, error.acted) == ("timeout", True)
    assert took_s < 5


@pytest.mark.parametrize("text", ["{", 5_000 * "["])
async def test_json_that_is_none_is_no_result(text: str) -> None:
    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=text, content_type="application/json")

    async with receiving(answer) as receiver:
        error = await failed(webhook(receiver), invocation())
    assert (error.reason, error.acted) == ("unavailable", True)
    assert error.log_fields["cause"] == "unreadable_answer"


# --- again --------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [broken, *(text_answer("", each) for each in (502, 503, 504))])
@pytest.mark.parametrize("effect", ["read", "idempotent"])
async def test_what_may_run_twice_is_asked_once_more(first: Answer, effect: str) -> None:
    async with receiving(first, OK) as receiver:
        assert (await webhook(receiver, effect).call(invocation())).value == {"done": True}
        ids = {each.headers["webhook-id"] for each in receiver.requests}
    assert (len(receiver.requests), len(ids)) == (2, 1)


@pytest.mark.parametrize("first", [broken, text_answer("", 503)])
async def test_a_write_is_never_sent_twice(first: Answer) -> None:
    async with receiving(first, OK) as receiver:
        error = await failed(webhook(receiver), invocation())
        assert len(receiver.requests) == 1
    assert (error.reason, error.acted) == ("unavailable", True)


async def test_what_stays_broken_is_asked_twice_and_no_more() -> None:
    async with receiving(text_answer("", 503)) as receiver:
        error = await failed(webhook(receiver, "read"), invocation())
        assert len(receiver.requests) == 2
    assert error.log_fields["status"] == 503


async def test_a_write_that_reached_no_server_is_sent_once_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with contextlib.AsyncExitStack() as late:
        asked: list[int] = []

        async def look_up(_host: str, port: int) -> list[str]:
            asked.append(port)
            if len(asked) == 2:
                await late.enter_async_context(receiving(OK, port=port))
            return ["127.0.0.1"]

        monkeypatch.setattr(guarded_network, "look_up", look_up)
        spec = tool_spec(
            "http",
            f"http://127.0.0.1:{closed_port()}/",
            effect="write",
            options={"secret": "key"},
        )
        tool = build_tool(spec, tool_context(private_hosts=["127.0.0.1"]))
        assert (await tool.call(invocation())).value == {"done": True}
    assert len(asked) == 2


async def test_a_write_that_never_reached_a_server_has_not_acted() -> None:
    spec = tool_spec(
        "http", f"http://127.0.0.1:{closed_port()}/", effect="write", options={"secret": "key"}
    )
    error = await failed(build_tool(spec, tool_context(private_hosts=["127.0.0.1"])), invocation())
    assert (error.reason, error.acted) == ("unavailable", False)
    assert error.log_fields == {"host": "127.0.0.1", "cause": "no_connection"}


async def test_every_call_has_a_connection_of_its_own() -> None:
    async with receiving(OK) as receiver:
        tool = webhook(receiver)
        await tool.call(invocation())
        await tool.call(invocation())
        assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1
        assert [each.connections for each in receiver.requests] == [1, 2]


@pytest.fixture
async def guarded() -> AsyncIterator[Receiver]:
    """A receiver that takes no request but the second."""
    async with receiving(text_answer("", 401), OK) as found:
        yield found


async def test_a_secret_that_was_replaced_is_read_again_after_a_401(guarded: Receiver) -> None:
    secrets = iter([SECRET, OTHER_SECRET])
    spec = tool_spec("http", f"http://{guarded.host}/", effect="write", options={"secret": "key"})
    tool = build_tool(spec, tool_context(lambda: next(secrets), [guarded.host]))
    assert (await tool.call(invocation())).value == {"done": True}
    first, second = (each.headers["webhook-signature"] for each in guarded.requests)
    assert first != second


async def test_a_secret_that_is_the_same_is_not_shown_twice(guarded: Receiver) -> None:
    error = await failed(webhook(guarded), invocation())
    assert (error.reason, error.acted, len(guarded.requests)) == ("refused", False, 1)
    assert "whsec" not in json.dumps(error.log_fields)


async def test_a_call_that_is_cancelled_lets_go_of_its_connection() -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def wait(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        arrived.set()
        try:
            while True:
                await response.write(b"x")
                await asyncio.sleep(0.01)
        except ConnectionError:
            gone.set()
        return response

    async with receiving(wait) as receiver:
        call = asyncio.create_task(webhook(receiver, "read").call(invocation()))
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(gone.wait(), 5)
