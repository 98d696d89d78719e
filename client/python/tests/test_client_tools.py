"""Functions of the application that the agent calls, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from parley_client import (
    BadInput,
    Conversation,
    Notice,
    Reconnect,
    Reply,
    SessionRenewed,
    Tool,
    ToolFailed,
    TurnFailed,
)
from parley_client.client_tools import CALLS_KEPT, ClientTools
from parley_client.messages import ClientCall
from scripted_server import DEADLINE_S, QUICK, Json, Peer, ScriptedServer, nothing, turn_end


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A server whose agent calls `look_up` once, and says its result."""
    async with ScriptedServer() as running:
        running.on("user_message", ask)
        running.on("tool_result", say_result)
        yield running


def call(turn_id: str, **more: object) -> Json:
    """A `client_call` event."""
    return {
        "type": "client_call",
        "turn_id": turn_id,
        "seq": 1,
        "call_id": f"{turn_id}.1.1",
        "name": "look_up",
        "arguments": {"city": "Ulm"},
        "timeout_ms": 60_000,
        **more,
    }


async def ask(peer: Peer, message: Json) -> None:
    await peer.send(call(message["turn_id"], attempt=message["attempt"]))


async def say_result(peer: Peer, message: Json) -> None:
    told = message.get("result", f"Failed: {message.get('error')}")
    await peer.send(turn_end(message["turn_id"], 2, told))


async def reply_with(
    server: ScriptedServer, tool: Tool, on_notice: Callable[[Notice], None] | None = None
) -> Reply:
    """What comes of a turn in which the agent calls `tool`."""
    tools = {"look_up": tool}
    async with Conversation.connect(server.url, tools=tools, on_notice=on_notice) as conversation:
        return await conversation.say("What is it?")


class Slow:
    """A function that runs until it is let go, and counts how often it ran."""

    def __init__(self) -> None:
        self.runs = 0
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.stopped = asyncio.Event()

    async def __call__(self, given: dict[str, Any]) -> str:
        self.runs += 1
        self.began.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.stopped.set()
            raise
        return f"run {self.runs}"


async def within(waiting: asyncio.Event) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await waiting.wait()


async def test_over_connections_that_break_a_function_runs_once_and_its_answer_arrives(
    server: ScriptedServer,
) -> None:
    async def drop_two(peer: Peer, message: Json) -> None:
        await (peer.cut() if peer.number <= 2 else say_result(peer, message))

    server.on("tool_result", drop_two)
    cities: list[str] = []

    async def look_up(given: dict[str, Any]) -> str:
        cities.append(given["city"])
        return f"{given['city']}: {len(cities)}"

    tools = {"look_up": look_up}
    async with Conversation.connect(server.url, tools=tools, reconnect=QUICK) as conversation:
        turn = conversation.say("What is it?")
        assert (await turn).text == "Ulm: 1"
    result = {"type": "tool_result", "turn_id": turn.turn_id, "call_id": f"{turn.turn_id}.1.1"}
    assert server.messages("tool_result") == [{**result, "result": "Ulm: 1"}] * 3
    assert [init["tools"] for init in server.messages("init")] == [["look_up"]] * 3
    assert cities == ["Ulm"]


async def test_an_answer_of_the_time_without_a_connection_arrives_once(
    server: ScriptedServer,
) -> None:
    slow, away = Slow(), asyncio.Event()

    def on_notice(notice: Notice) -> None:
        if getattr(notice, "state", "") == "reconnecting":
            away.set()

    wait = Reconnect(base_s=0.2, cap_s=0.2)
    async with Conversation.connect(
        server.url, tools={"look_up": slow}, reconnect=wait, on_notice=on_notice
    ) as conversation:
        turn = conversation.say("What is it?")
        await within(slow.began)
        await server.peers[0].cut()
        await within(away)
        slow.may_end.set()
        assert (await turn).text == "run 1"
    assert len(server.messages("tool_result")) == 1


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("four o'clock", "four o'clock"),
        ("", ""),
        ({"at": [4, "Uhr 🕓"]}, '{"at": [4, "Uhr 🕓"]}'),
        (0, "0"),
        (None, "done"),
        ("ä" * 8_000, "ä" * 8_000),
    ],
    ids=["text", "empty text", "an object", "a number", "nothing", "the longest"],
)
async def test_the_agent_is_told_the_result(
    result: object, told: str, server: ScriptedServer
) -> None:
    assert (await reply_with(server, lambda _: result)).text == told


def raising(error: Exception) -> Tool:
    def look_up(given: dict[str, Any]) -> None:
        raise error

    return look_up


@pytest.mark.parametrize(
    ("tool", "error"),
    [
        (raising(ValueError("No such city.")), "No such city."),
        (raising(ValueError()), "ValueError"),
        (raising(ValueError("😀" * 1_500)), "😀" * 1_000),
        (raising(ValueError("a\ud800")), "a\ufffd"),
        (lambda _: "a" * 8_001, "The result has 8,001 characters; at most 8,000 can be sent."),
        (lambda _: "\1" * 8_000, "bytes; at most 32,768 can be sent."),
        (lambda _: "a\ud800", "There is half a character"),
        (lambda _: object(), "not JSON serializable"),
        (lambda _: float("nan"), "not JSON compliant"),
    ],
    ids=[
        *("raised", "raised without words", "raised at length", "raised half a character"),
        *("too long", "too many bytes", "half a character", "no JSON", "not a number"),
    ],
)
async def test_the_agent_is_told_why_a_function_failed_and_so_is_the_application(
    tool: Tool, error: str, server: ScriptedServer
) -> None:
    told: list[ToolFailed] = []

    def on_notice(notice: Notice) -> None:
        if isinstance(notice, ToolFailed):
            told.append(notice)

    assert error in (await reply_with(server, tool, on_notice)).text
    assert len(server.messages("tool_result")[0]["error"]) <= 1_000
    assert [(failed.name, failed.turn_id) for failed in told] == [
        ("look_up", server.messages("tool_result")[0]["turn_id"])
    ]


async def test_a_name_without_a_function_is_told(server: ScriptedServer) -> None:
    async def ask_another(peer: Peer, message: Json) -> None:
        await peer.send(call(message["turn_id"], name="elsewhere"))

    server.on("user_message", ask_another)
    reply = await reply_with(server, lambda _: "")
    assert reply.text == 'Failed: This application has no function "elsewhere".'


async def test_an_async_function_runs_in_the_loop_and_any_other_in_a_thread(
    server: ScriptedServer,
) -> None:
    async def in_loop(given: dict[str, Any]) -> bool:
        return threading.current_thread() is threading.main_thread()

    def in_thread(given: dict[str, Any]) -> bool:
        return threading.current_thread() is threading.main_thread()

    assert json.loads((await reply_with(server, in_loop)).text) is True
    assert json.loads((await reply_with(server, in_thread)).text) is False


async def test_a_function_that_only_gives_something_to_await_is_awaited(
    server: ScriptedServer,
) -> None:
    async def later(city: str) -> str:
        return f"later in {city}"

    assert (await reply_with(server, lambda given: later(given["city"]))).text == "later in Ulm"


async def test_the_next_attempt_at_a_turn_gets_the_answer_of_before(
    server: ScriptedServer,
) -> None:
    async def fail_once(peer: Peer, message: Json) -> None:
        if len(server.messages("tool_result")) == 1:
            failed = {"reason": "failed", "code": "internal", "retryable": True}
            await peer.send(turn_end(message["turn_id"], 2, "", **failed))
        else:
            await peer.send(turn_end(message["turn_id"], 2, message["result"], attempt=2))

    server.on("tool_result", fail_once)
    runs: list[int] = []

    async def look_up(given: dict[str, Any]) -> str:
        runs.append(1)
        return f"run {len(runs)}"

    async with Conversation.connect(server.url, tools={"look_up": look_up}) as conversation:
        turn = conversation.say("What is it?")
        with pytest.raises(TurnFailed):
            await turn
        assert (await turn.retry()).text == "run 1"
    assert len(server.messages("tool_result")) == 2


async def test_an_answer_is_not_sent_again_once_its_call_has_ended(
    server: ScriptedServer,
) -> None:
    async def end_call(peer: Peer, message: Json) -> None:
        about = {"turn_id": message["turn_id"], "call_id": message["call_id"]}
        tool = {"type": "tool", "seq": 2, "name": "look_up", "title": "Look up", "state": "done"}
        await peer.send({**about, **tool})
        await peer.cut()

    server.on("tool_result", end_call)
    tools: dict[str, Tool] = {"look_up": lambda _: ""}
    async with Conversation.connect(server.url, tools=tools, reconnect=QUICK) as conversation:
        turn = conversation.say("What is it?")
        await server.wait_for("init", connection=2)
        await conversation.ping()  # after whatever is sent again
        await server.peers[1].send(turn_end(turn.turn_id, 3, "Done."))
        reply = await turn
    assert [(tool.name, tool.state) for tool in reply.tools] == [("look_up", "done")]
    assert len(server.messages("tool_result")) == 1


async def test_an_answer_is_not_sent_again_once_its_turn_has_ended(
    server: ScriptedServer,
) -> None:
    tools: dict[str, Tool] = {"look_up": lambda _: ""}
    async with Conversation.connect(server.url, tools=tools, reconnect=QUICK) as conversation:
        await conversation.say("What is it?")
        await server.peers[0].cut()
        await server.wait_for("init", connection=2)
        await conversation.ping()
    assert len(server.messages("tool_result")) == 1


@pytest.mark.parametrize("by", ["the user", "the server"])
async def test_an_interruption_stops_the_function_and_nothing_is_answered(
    by: str, server: ScriptedServer
) -> None:
    async def stop(peer: Peer, message: Json) -> None:
        await peer.send(turn_end(message["turn_id"], 2, "", reason="interrupted"))

    server.on("interrupt", nothing if by == "the user" else stop)
    slow = Slow()
    async with Conversation.connect(server.url, tools={"look_up": slow}) as conversation:
        turn = conversation.say("What is it?")
        await within(slow.began)
        if by == "the user":
            await turn.interrupt()
        else:
            await server.peers[0].send(turn_end(turn.turn_id, 2, "", reason="interrupted"))
        await within(slow.stopped)
        await conversation.ping()
    assert server.messages("tool_result") == []


async def test_a_function_of_an_interrupted_turn_does_not_run(server: ScriptedServer) -> None:
    server.on("user_message", nothing)

    async def ask_late(peer: Peer, message: Json) -> None:
        await peer.send(call(message["turn_id"]))

    server.on("interrupt", ask_late)
    slow = Slow()
    async with Conversation.connect(server.url, tools={"look_up": slow}) as conversation:
        turn = conversation.say("What is it?")
        await server.wait_for("user_message")
        await turn.interrupt()
        await server.wait_for("interrupt")
        for _ in range(2):
            await conversation.ping()
        assert (slow.runs, turn.received_seq) == (0, 1)
    assert slow.runs == 0
    assert server.messages("tool_result") == []


async def test_a_function_that_is_late_is_stopped_and_nothing_is_said_of_what_it_did(
    server: ScriptedServer,
) -> None:
    """Only the server's clock tells that nobody knows: an error would say that nothing was done."""

    async def ask_shortly(peer: Peer, message: Json) -> None:
        await peer.send(call(message["turn_id"], timeout_ms=20))
        await within(slow.stopped)
        await peer.send(turn_end(message["turn_id"], 2, "Nobody knows."))

    server.on("user_message", ask_shortly)
    slow, notices = Slow(), list[Notice]()
    reply = await reply_with(server, slow, notices.append)
    assert reply.text == "Nobody knows."
    assert server.messages("tool_result") == []
    (failed,) = [notice for notice in notices if isinstance(notice, ToolFailed)]
    assert "longer than 20 ms" in str(failed.error)


async def test_a_function_s_own_timeout_is_its_own_failure(server: ScriptedServer) -> None:
    reply = await reply_with(server, raising(TimeoutError("No answer from the shop.")))
    assert reply.text == "Failed: No answer from the shop."


async def test_a_lost_session_takes_its_calls_with_it(server: ScriptedServer) -> None:
    async def forget(peer: Peer, message: Json) -> None:
        if peer.number == 2:
            gone = {"type": "error", "code": "session_not_found", "message": "Gone."}
            await peer.send({**gone, "retryable": False})
        else:
            await server.ready(peer, message)

    server.on("init", forget)
    slow, renewed = Slow(), asyncio.Event()

    def on_notice(notice: Notice) -> None:
        if isinstance(notice, SessionRenewed):
            renewed.set()

    again = Reconnect(base_s=0.01, cap_s=0.02, stable_s=0.0, new_session=True)
    async with Conversation.connect(
        server.url, tools={"look_up": slow}, reconnect=again, on_notice=on_notice, agent="support"
    ) as conversation:
        turn = conversation.say("What is it?")
        await within(slow.began)
        await server.peers[0].cut()
        await within(slow.stopped)
        await within(renewed)
        with contextlib.suppress(Exception):
            await turn
    inits = [(i["tools"], i.get("agent")) for i in server.messages("init")]
    assert inits == [(["look_up"], "support"), (["look_up"], None), (["look_up"], "support")]
    assert server.messages("tool_result") == []


@pytest.mark.parametrize(
    ("tools", "sentence"),
    [
        ({"look up": print}, "'look up' is no name of a tool. Letters, digits, _ and -"),
        ({"look_up": "text"}, r"tools\['look_up'\] must be a function, not str."),
        ({f"t{n}": print for n in range(65)}, "There are 65 tools; at most 64 can be offered."),
    ],
)
async def test_what_cannot_be_offered_is_refused(
    tools: dict[str, Any], sentence: str, server: ScriptedServer
) -> None:
    with pytest.raises(BadInput, match=sentence):
        await Conversation.connect(server.url, tools=tools)
    assert server.handshakes == 0


async def test_so_many_calls_are_remembered_and_no_more() -> None:
    runs: list[str] = []

    class Posts:
        def __init__(self) -> None:
            self.tasks: list[asyncio.Task[None]] = []

        async def post(self, message: object, *, always: bool = False) -> None:
            """Nobody reads it."""

        def spawn(self, work: Any, failed: object = None) -> asyncio.Task[None]:
            self.tasks.append(asyncio.ensure_future(work))
            return self.tasks[-1]

        def announce(self, notice: object) -> None:
            """Nobody reads it."""

    async def run(given: dict[str, Any]) -> None:
        runs.append(given["id"])

    posts = Posts()
    tools = ClientTools({"run": run}, lambda: 32_768)
    tools.attach(posts)

    async def ask_for(number: int) -> None:
        tools.called(ClientCall("t", 1, f"c{number}", "run", {"id": number}, 1_000))
        await asyncio.gather(*posts.tasks)
        posts.tasks.clear()

    for number in range(CALLS_KEPT + 1):
        await ask_for(number)
    assert len(tools.unconfirmed()) == CALLS_KEPT
    await ask_for(1)
    assert len(runs) == CALLS_KEPT + 1
