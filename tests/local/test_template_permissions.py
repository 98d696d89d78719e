"""Parley's own template grants what a conversation needs, and no action more.

Every action of every statement is taken away once, on a running stack, and a conversation
is held: something must go wrong then, and the log must name what is missing.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.template.reader import read_stack
from parley.items import now_ms, turn_key
from parley.limits.leases import LOST_AFTER_S, Shards, lease_of
from parley.limits.rules import LimitRules
from parley.principal import ANONYMOUS
from tests.e2e.http_api import HttpSession, url_of
from tests.e2e.raw import RawClient, opened
from tests.e2e.records import Records
from tests.e2e.stack import ROOT, STANDIN_KEY, Stack, running_stack

SPOKEN = "What time is it?"
TROUBLE = re.compile(r"AccessDenied|ClientError")
"""What a function that got an error logs of it."""
PATIENCE_S = 20
pytestmark = [
    pytest.mark.timeout(120),
    # Conversations are broken off at once, also in the middle of a handshake.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass(frozen=True)
class Grant:
    """An action that a statement of the template grants to the role of a function."""

    function: str
    role: str
    policy: str
    sid: str
    action: str

    def __str__(self) -> str:
        return f"{self.function} {self.sid} {self.action}"

    @property
    def needs_a_fresh_environment(self) -> bool:
        """A warm environment keeps the keys that it has read."""
        return self.action.startswith("secretsmanager:")

    def taken_from(self, roles: dict[str, Any]) -> dict[str, Any]:
        """The role without the action."""
        role = copy.deepcopy(roles[self.role])
        for statement in role["policies"][self.policy]["Statement"]:
            if statement.get("Sid") == self.sid:
                left = [action for action in _actions(statement) if action != self.action]
                statement["Action"] = left or ["none:None"]
        return {self.role: role}


def _actions(statement: dict[str, Any]) -> list[str]:
    actions = statement["Action"]
    return actions if isinstance(actions, list) else [actions]


def grants() -> list[Grant]:
    """Everything that the template grants. What SAM adds for itself has no Sid."""
    stack = read_stack(ROOT / "template.yaml", {"ElevenLabsApiKey": "x"}, "us-east-1", "localhost")
    functions = {function.role.rpartition("/")[2]: function for function in stack.functions}
    return [
        Grant(functions[name].logical_id, name, policy, statement["Sid"], action)
        for name, role in stack.roles.items()
        for policy, document in role.policies.items()
        for statement in document["Statement"]
        if "Sid" in statement
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
        self.silence_s = float(PATIENCE_S)
        """A conversation that takes longer than this has had no answer."""
        self._table = boto3.client(
            "dynamodb",
            endpoint_url=stack.info["dynamodb_endpoint"],
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    def change(self, roles: dict[str, Any]) -> None:
        """Replace what roles may do."""
        data = json.dumps({"roles": roles}).encode()
        request = urllib.request.Request(self._url, data, method="PUT")
        urllib.request.urlopen(request, timeout=10).close()

    async def measure(self) -> None:
        """See how long a conversation takes here when all goes well, once warm."""
        await self.converse()
        began = time.monotonic()
        await self.converse()
        self.silence_s = 1.5 * (time.monotonic() - began)

    async def converse(self) -> None:
        """Everything that clients do, and what is done for them when a function dies."""
        await asyncio.to_thread(self._crowd)
        async with asyncio.TaskGroup() as together:
            together.create_task(self._talk())
            together.create_task(self._come_back())
            together.create_task(self._lose_a_function(away=False))
            together.create_task(self._lose_a_function(away=True))
            together.create_task(self._ask_over_http())
            together.create_task(self._erase())

    def _crowd(self) -> None:
        """Every slot is taken by a connection that was lost before its `init`."""
        shards = Shards(LimitRules().tenant.connections)
        long_ago_ms = now_ms() - 1000 * LOST_AFTER_S
        for shard in range(shards.count):
            lost = [lease_of(f"lost{shard}-{n}=", long_ago_ms) for n in range(shards.room(shard))]
            item: dict[str, Any] = {
                "pk": {"S": "LIMIT#default"},
                "sk": {"S": f"CONNECTIONS#{shard:03d}"},
                "leases": {"SS": lost},
            }
            self._table.put_item(TableName=self.stack.info["tables"]["Table"], Item=item)

    async def _talk(self) -> None:
        async with opened(self.stack.url) as client:
            assert (await client.say("Good morning.")).end["reason"] == "completed"
            turn = client.new_turn_id()
            reply = await client.speak(self._speech, turn, speed=4)
            assert reply.end["reason"] == "completed"
            await client.send(type="interrupt", turn_id=turn, played_ms=100)
            await client.send(type="config", settings={"speed": 1.1})
            assert (await client.other())["type"] == "config_updated"
            await client.send(type="end")
            assert (await client.other())["type"] == "session_ended"

    async def _ask_over_http(self) -> None:
        async with HttpSession(self.stack) as session:
            await session.open()
            turn = await session.say("Good morning.", turn_id="t", settings={"speed": 1.1})
            assert turn["reason"] == "completed"
            await session.say("Good morning.", turn_id="t")  # what is kept of it
            assert (await session.interrupt("t", 100)).status_code == 200
            health = await session.client.get(f"{url_of(self.stack)}/health?deep=1")
            assert health.json()["status"] == "ok", health.text

    async def _come_back(self) -> None:
        """A client that acknowledged nothing, and comes back while it is still connected."""
        async with opened(self.stack.url) as first:
            first.acknowledges = False
            before = len(self.stack.logs())
            await first.say("Repeat after me: yes.", "t")
            session = first.ready["session_id"]
            await self.logged(rf'^TurnFunction .*"turn_ended".*"{session}"', before)
            missed = {"turn_id": "t", "seq": 1}
            async with opened(self.stack.url, **_token(first), received=missed) as second:
                assert (await second.ended("t", PATIENCE_S)).end["reason"] == "completed"
                assert (await first.other())["type"] == "session_ended"
                await first.socket.wait_closed()

    async def _lose_a_function(self, *, away: bool) -> None:
        """A turn whose function has died, as Lambda tells the one that looks after it."""
        async with opened(self.stack.url) as client:
            # It listens for as long as nothing ends it, so there is time to die in.
            await client.send(
                type="audio_start", turn_id="t", format="pcm_16000", endpointing="manual"
            )
            owner = await self._owner(client.ready["session_id"])
            if not away:
                await self._tell_of_a_death(owner, client)
                assert (await client.ended("t", PATIENCE_S)).end["reason"] == "failed"
                await client.send(type="audio_end", turn_id="t", chunks=0)
                return
        await self._tell_of_a_death(owner, client)
        async with opened(self.stack.url, **_token(client)) as client:
            assert (await client.ended("t", PATIENCE_S)).end["reason"] == "failed"
            await client.send(type="audio_end", turn_id="t", chunks=0)

    async def _erase(self) -> None:
        """A session with a turn that listens; and that turn's death is told afterwards."""
        records = Records(self.stack)
        async with opened(self.stack.url) as client:
            await client.send(
                type="audio_start", turn_id="t", format="pcm_16000", endpointing="manual"
            )
            owner = await self._owner(client.ready["session_id"])
            assert (await records.of(client)).status == 200
            assert (await records.erase(client.ready)).status == 204
        assert await self._die(owner, client) == {"ended": False}

    async def _owner(self, session_id: str) -> str:
        """The invocation that has claimed a turn."""
        key = turn_key(ANONYMOUS.session(session_id), "t")
        table = self.stack.info["tables"]["Table"]
        item: dict[str, Any] = {}
        async with asyncio.timeout(PATIENCE_S):  # Python 3.11's wait_for may lose a cancellation
            while "owner" not in item:
                await asyncio.sleep(0.05)
                found = await asyncio.to_thread(self._table.get_item, TableName=table, Key=key)
                item = dict(found.get("Item", {}))
        return str(item["owner"]["S"])

    async def _tell_of_a_death(self, invocation: str, client: RawClient) -> None:
        assert await self._die(invocation, client) == {"ended": True}

    async def _die(self, invocation: str, client: RawClient) -> dict[str, Any]:
        record = {
            "requestContext": {"requestId": invocation, "condition": "RetriesExhausted"},
            "requestPayload": {
                "session": ANONYMOUS.session(client.ready["session_id"]),
                "turn_id": "t",
                "connection_id": "x=",
                "endpoint": "https://localhost/dev",
                "received_at_ms": 0,
            },
        }
        return await asyncio.to_thread(self._invoke, "FailureFunction", record)

    def _invoke(self, function: str, event: dict[str, Any]) -> dict[str, Any]:
        name, endpoint = self.stack.info["functions"][function], self.stack.info["lambda_endpoint"]
        request = urllib.request.Request(
            f"{endpoint}/2015-03-31/functions/{name}/invocations", json.dumps(event).encode()
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.loads(answer.read()))

    async def logged(self, wanted: str, before: int) -> re.Match[str]:
        """Wait for a line of the log, from a place in it on."""
        expression = re.compile(wanted, re.MULTILINE)
        async with asyncio.timeout(PATIENCE_S):
            while (found := expression.search(self.stack.logs()[before:])) is None:
                await asyncio.sleep(0.05)
        return found


def _token(client: RawClient) -> dict[str, Any]:
    """What a client comes back with."""
    return {name: client.ready[name] for name in ("session_id", "resume_token")}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Granted]:
    with running_stack(tmp_path_factory.mktemp("granted")) as stack:
        found = Granted(stack)
        asyncio.run(found.measure())
        yield found


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
    before = len(shared.stack.logs())
    await shared.converse()
    await shared.logged(r'^DisconnectFunction \| .*"disconnected"', before)
    assert "is not authorized to perform" not in shared.stack.logs()[before:]


@pytest.mark.parametrize("grant", grants(), ids=str)
async def test_every_action_that_is_granted_is_needed(grant: Grant, granted: Granted) -> None:
    before = len(granted.stack.logs())
    refused = re.compile(
        rf"^permissions \| User: \S+/{grant.role}/\S+ is not authorized to perform: "
        rf"{grant.action} on resource: arn:.* because no identity-based policy allows",
        re.MULTILINE,
    )
    granted.change(grant.taken_from(granted.roles))
    talk = asyncio.create_task(asyncio.wait_for(granted.converse(), granted.silence_s))
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
