"""Parley's own template grants what a conversation needs, and no action more.

Every action of every statement is taken away once, on a running stack, and a conversation
is held: something must go wrong then, and the log must name what is missing.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.template.reader import read_stack
from tests.e2e.raw import opened
from tests.e2e.stack import ROOT, STANDIN_KEY, Stack, running_stack

SPOKEN = "What time is it?"
TROUBLE = re.compile(r"AccessDenied|ClientError")
"""What a function that got an error logs of it."""
PATIENCE_S = 20
SILENCE_S = 4
"""A conversation takes a fifth of this; one that takes longer has had no answer."""

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Grant:
    """An action that a statement grants to the role of a function."""

    function: str
    role: str
    policy: str
    statement: int
    action: str

    def __str__(self) -> str:
        return f"{self.function} {self.action}"

    @property
    def needs_a_fresh_environment(self) -> bool:
        """A warm environment keeps the keys that it has read."""
        return self.action.startswith("secretsmanager:")

    def taken_from(self, roles: dict[str, Any]) -> dict[str, Any]:
        """The role without the action."""
        role = copy.deepcopy(roles[self.role])
        statement = role["policies"][self.policy]["Statement"][self.statement]
        statement["Action"] = [a for a in _actions(statement) if a != self.action] or ["none:None"]
        return {self.role: role}


def _actions(statement: dict[str, Any]) -> list[str]:
    actions = statement["Action"]
    return actions if isinstance(actions, list) else [actions]


def grants() -> list[Grant]:
    """Everything that the template grants."""
    stack = read_stack(ROOT / "template.yaml", {"ElevenLabsApiKey": "x"}, "us-east-1", "localhost")
    functions = {function.role.rpartition("/")[2]: function for function in stack.functions}
    return [
        Grant(functions[name].logical_id, name, policy, number, action)
        for name, role in stack.roles.items()
        for policy, document in role.policies.items()
        for number, statement in enumerate(document["Statement"])
        for action in _actions(statement)
    ]


class Granted:
    """A running stack whose permissions can be changed."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._url = stack.info["lambda_endpoint"] + "/_local/permissions"
        with urllib.request.urlopen(self._url, timeout=10) as answer:
            self.roles: dict[str, Any] = json.loads(answer.read())["roles"]
        request = urllib.request.Request(
            f"{stack.elevenlabs.url}/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/stream"
            "?output_format=pcm_16000",
            data=json.dumps({"text": SPOKEN}).encode(),
            headers={"xi-api-key": STANDIN_KEY, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            self._speech = bytes(answer.read())

    def change(self, roles: dict[str, Any]) -> None:
        """Replace what roles may do."""
        data = json.dumps({"roles": roles}).encode()
        request = urllib.request.Request(self._url, data, method="PUT")
        urllib.request.urlopen(request, timeout=10).close()

    async def converse(self) -> None:
        """Connect, type, speak, interrupt, change a setting, resume, end, disconnect."""
        async with opened(self.stack.url) as client:
            assert (await client.say("Good morning.")).end["reason"] == "completed"
            turn = client.new_turn_id()
            reply = await client.speak(self._speech, turn, speed=4)
            assert reply.end["reason"] == "completed"
            await client.send(type="interrupt", turn_id=turn, played_ms=100)
            await client.send(type="config", settings={"speed": 1.1})
            assert (await client.other())["type"] == "config_updated"
            session = {name: client.ready[name] for name in ("session_id", "resume_token")}
        async with opened(self.stack.url, **session) as client:
            await client.send(type="end")
            assert (await client.other())["type"] == "session_ended"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Granted]:
    with running_stack(tmp_path_factory.mktemp("granted")) as stack:
        yield Granted(stack)


@pytest.fixture
def granted(request: pytest.FixtureRequest, grant: Grant, tmp_path: Path) -> Iterator[Granted]:
    """A stack that one action is taken from for a while."""
    if grant.needs_a_fresh_environment:
        with running_stack(tmp_path) as stack:
            yield Granted(stack)
    else:
        found: Granted = request.getfixturevalue("shared")
        yield found
        found.change(found.roles)


async def test_a_conversation_needs_nothing_that_is_not_granted(shared: Granted) -> None:
    await shared.converse()
    disconnected = re.compile(r"^DisconnectFunction \| REPORT", re.MULTILINE)
    async with asyncio.timeout(PATIENCE_S):
        while len(disconnected.findall(shared.stack.logs())) < 2:
            await asyncio.sleep(0.05)
    assert "is not authorized to perform" not in shared.stack.logs()


@pytest.mark.parametrize("grant", grants(), ids=str)
async def test_every_action_that_is_granted_is_needed(grant: Grant, granted: Granted) -> None:
    before = len(granted.stack.logs())
    refused = re.compile(
        rf"^permissions \| User: \S+/{grant.role}/\S+ is not authorized to perform: "
        rf"{grant.action} on resource: arn:.* because no identity-based policy allows",
        re.MULTILINE,
    )
    granted.change(grant.taken_from(granted.roles))
    talk = asyncio.create_task(asyncio.wait_for(granted.converse(), SILENCE_S))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                log = granted.stack.logs()[before:]
                own = [x for x in log.splitlines() if x.startswith(f"{grant.function} | ")]
                wrong = talk.done() and talk.exception() is not None
                wrong = wrong or any(TROUBLE.search(line) for line in own)
                if wrong and refused.search(log):
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"Nobody missed {grant}: is it needed?") from None
    finally:
        talk.cancel()
        await asyncio.gather(talk, return_exceptions=True)
