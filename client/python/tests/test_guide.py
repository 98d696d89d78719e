"""The examples of docs/client-python.md and of the package's README, as they stand there."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import parley_client
from parley_client import Conversation
from scripted_server import (
    READY,
    Json,
    Peer,
    ScriptedServer,
    answer_to,
    audio_event,
    fail,
    reply_events,
    tone,
    turn_end,
)

ROOT = Path(__file__).parents[3]
Names = dict[str, Any]


def examples_of(page: str) -> list[tuple[str, str]]:
    """The Python on a page, each with the heading above it."""
    heading, found = "", []
    text = (ROOT / page).read_text()
    for title, code in re.findall(r"^#+ ([^\n]+)$|^```python\n(.*?)^```$", text, re.M | re.S):
        heading = title or heading
        if code:
            found.append((heading, code))
    return found


FOUND = [
    (f"{page}: {heading}", code)
    for page in ("docs/client-python.md", "client/python/README.md")
    for heading, code in examples_of(page)
]
EXAMPLES = dict(FOUND)


async def run(code: str, url: str, **given: object) -> Names:
    """Run an example, with `await` outside of functions as in a notebook; return its names."""
    own = re.sub(r'"ws://[^"]+"', repr(url), code)
    # As it stands it starts a loop of its own; here is one.
    own = own.replace("asyncio.run(main())", "await main()")
    names: Names = {**vars(parley_client), "asyncio": asyncio, "url": url, **given}
    compiled = compile(own, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    made = eval(compiled, names)
    if inspect.isawaitable(made):
        await made
    return names


Check = Callable[[str, ScriptedServer, pytest.CaptureFixture[str]], Awaitable[None]]
CHECKS: dict[str, Check] = {}


def check(place: str) -> Callable[[Check], Check]:
    """Say which example a function tries."""

    def keep(function: Check) -> Check:
        CHECKS[place] = function
        return function

    return keep


@check("docs/client-python.md: Ask")
async def asked(code: str, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    await run(code, server.url)
    assert capsys.readouterr().out == answer_to("What time is it?") + "\n"
    assert server.messages("end")


@check("client/python/README.md: parley-client")
async def asked_in_the_readme(
    code: str, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    await run(code, server.url)
    assert capsys.readouterr().out.startswith(answer_to("What is the tallest mountain?") + " ")


@check("docs/client-python.md: Follow a turn")
async def followed(code: str, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    async def heard(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        said = {"type": "transcript", "turn_id": turn_id, "seq": 1, "text": "Hi?", "final": True}
        await peer.send(said, *reply_events(turn_id, "Hello.", first_seq=2))

    class Speaker:
        played = b""

        def write(self, pcm: bytes) -> None:
            self.played += pcm

    server.on("audio_end", heard)
    speaker = Speaker()
    async with Conversation.connect(server.url) as conversation:
        names = await run(
            code, server.url, conversation=conversation, utterance=bytes(640), speaker=speaker
        )
    assert capsys.readouterr().out == "you: Hi?\nHello."
    assert speaker.played == tone("Hello.")
    assert names["reply"].transcript == "Hi?"


@check("docs/client-python.md: Interrupt")
async def interrupted(
    code: str, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async def begin(peer: Peer, message: Json) -> None:
        await peer.send(audio_event(message["turn_id"], 1, tone("Hello, you.")))

    async def stop(peer: Peer, message: Json) -> None:
        end = turn_end(message["turn_id"], 2, "Hello, you.", reason="interrupted", heard="Hello,")
        await peer.send(end)

    server.on("user_message", begin)
    server.on("interrupt", stop)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("Hi?")
        await anext(aiter(turn))
        await run(code, server.url, turn=turn)
    assert server.messages("interrupt")[0]["played_ms"] == 1_250
    assert capsys.readouterr().out == "Hello,\n"


@check("docs/client-python.md: Try again")
async def tried_again(
    code: str, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail_once(peer: Peer, message: Json) -> None:
        if message["attempt"] == 1:
            await fail(peer, message)
        else:
            events = reply_events(message["turn_id"], "It is nine.")
            await peer.send(*({**event, "attempt": message["attempt"]} for event in events))

    server.on("user_message", fail_once)
    async with Conversation.connect(server.url) as conversation:
        names = await run(code, server.url, turn=conversation.say("What time is it?"))
    assert names["reply"].text == "It is nine."


@check("docs/client-python.md: Give the agent functions")
async def called(code: str, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []

    class Page:
        async def show(self, city: str) -> None:
            shown.append(city)

    async def call_both(peer: Peer, message: Json) -> None:
        about = {"type": "client_call", "turn_id": message["turn_id"], "timeout_ms": 5_000}
        city, number = {"city": "Ulm"}, {"number": 7}
        await peer.send(
            {**about, "seq": 1, "call_id": "1", "name": "show_map", "arguments": city},
            {**about, "seq": 2, "call_id": "2", "name": "order_status", "arguments": number},
        )
        results = [await server.wait_for("tool_result", count) for count in (1, 2)]
        told.update({result["call_id"]: result["result"] for result in results})
        tool = {"type": "tool", "turn_id": message["turn_id"], "name": "order_status"}
        await peer.send(
            {**tool, "seq": 3, "call_id": "2", "title": "Order status", "state": "done"},
            turn_end(message["turn_id"], 4, "It was sent."),
        )

    told: dict[str, str] = {}
    server.on("user_message", call_both)
    await run(code, server.url, page=Page())
    assert (shown, told) == (["Ulm"], {"1": "done", "2": '{"order": 7, "state": "sent"}'})
    assert capsys.readouterr().out == "Order status done\n"


@check("docs/client-python.md: When the agent begins")
async def begun(code: str, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    async def greet(peer: Peer, message: Json) -> None:
        await server.ready(peer, message)
        greeting = {"type": "agent_turn", "turn_id": "a", "seq": 1, "cause": "greeting"}
        await peer.send(greeting, *reply_events("a", "Good day.", first_seq=2))

    server.on("init", greet)
    names = await run(code, server.url)
    await server.wait_for("ack")
    await names["conversation"].end()
    assert capsys.readouterr().out == "(greeting)\nGood day."


@check("docs/client-python.md: When the agent hangs up")
async def hung_up(code: str, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    async def part(peer: Peer, message: Json) -> None:
        await peer.send(turn_end(message["turn_id"], 1, "Goodbye.", ends_session=True))

    server.on("user_message", part)
    async with Conversation.connect(server.url) as conversation:
        await conversation.say("Goodbye.")
        await run(code, server.url, conversation=conversation)
    assert capsys.readouterr().out == "agent\n"


@check("docs/client-python.md: Let the user choose")
async def chosen(code: str, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    voices = [{"id": "v1", "name": "Vera"}]
    choices = {"settings": ["language", "speed"], "voices": voices, "languages": ["de"]}

    async def ready(peer: Peer, message: Json) -> None:
        await peer.send({**READY, "choices": choices})

    server.on("init", ready)
    async with Conversation.connect(server.url) as conversation:
        await run(code, server.url, conversation=conversation)
    assert capsys.readouterr().out == "v1 Vera\n"
    assert server.messages("config")[0]["settings"] == {"language": "de", "speed": 1.1}


@check("docs/client-python.md: Authenticate")
async def authenticated(
    code: str, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fetch_token() -> str:
        return "secret"

    names = await run(code, server.url, fetch_token=fetch_token)
    await names["conversation"].end()
    assert server.offered == ["parley, secret"]


@check("docs/client-python.md: When the connection is lost")
async def lost(code: str, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    names = await run(code, server.url)
    await server.peers[0].cut()
    await server.wait_for("init", count=2)
    await names["conversation"].say("Are you there?")
    await names["conversation"].end()
    out = capsys.readouterr().out
    assert re.fullmatch(r"connecting\nready\nattempt 1 in 0\.\d s\nready\nclosed\n", out)


@check("docs/client-python.md: Errors")
async def refused(code: str, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.refusals = [401, 404]
    await run(code, server.url)
    await run(code, server.url)
    signed_out, elsewhere = capsys.readouterr().out.splitlines()
    assert signed_out == "Sign in first."
    assert elsewhere.startswith(f"There is nothing at {server.url}")


@pytest.mark.parametrize("place", list(CHECKS))
async def test_the_example_does_what_it_shows(
    place: str, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    await CHECKS[place](EXAMPLES[place], server, capsys)


def test_every_example_is_tried() -> None:
    assert sorted(place for place, _ in FOUND) == sorted(CHECKS)
