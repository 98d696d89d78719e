"""Parley's own template grants what a conversation needs, and no action more.

Every action of every statement is taken away once, on a running stack, and what clients do with
the function is done: something must go wrong then, and the log must name what is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
import json
import re
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from websockets.exceptions import ConnectionClosed

from parley.clock import now_ms
from parley.limits.connection_lease import LOST_AFTER_S, Shards, lease_name
from parley.limits.rules import LimitRules
from parley.principal import ANONYMOUS
from parley.storage.item_codec import turn_key
from samwire.template.reader import read_stack
from samwire_tests.own_key import own_key
from tests.e2e.http_api import HttpSession, url_of
from tests.e2e.raw import RawClient, opened
from tests.e2e.records import Records
from tests.e2e.stack import ROOT, Stack, Standins, running_stack

SPOKEN = "What time is it?"
TROUBLE = re.compile(r"AccessDenied|ClientError|ServiceError|not_warm")
"""What a function that got an error logs of it."""
PATIENCE_S = 20
ASK_AFTER_S = 1
SCENES = {
    "ConnectFunction": ["visit"],
    "DisconnectFunction": ["visit"],
    "MessageFunction KeepSessionsAndTheInbox": ["talk", "come_back"],
    "MessageFunction CloseTheConnectionThatASessionHasLeft": ["come_back"],
    "MessageFunction StartTheAgentsTurns": ["be_silent"],
    "MessageFunction": ["talk"],
    "TurnFunction ReadTheInboxAndKeepTheHistory": ["talk", "come_back"],
    "TurnFunction CloseAConnectionThatMayNotStay": ["say_nothing_in_time"],
    "TurnFunction OpenAConnectionBeforeTheFirstPost": ["be_woken"],
    "TurnFunction": ["talk"],
    "FailureFunction EndTheTurn": ["lose_a_function", "lose_a_function_while_away"],
    "FailureFunction TellTheClient": ["lose_a_function"],
    "FailureFunction LeaveNothingOfAnErasedSession": ["erase"],
    "HttpTurnFunction": ["ask_over_http"],
    "HealthFunction": ["ask_for_health"],
    "SessionsFunction": ["erase"],
}
"""What clients do where a statement, or any other of the function's, is needed: methods of
`Clients`."""
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
        """A warm environment keeps the keys that it has read, its connections, and for a while how
        healthy it is."""
        return (
            self.action.startswith("secretsmanager:")
            or self.function == "HealthFunction"
            or self.sid == "OpenAConnectionBeforeTheFirstPost"
        )

    @property
    def scenes(self) -> list[str]:
        """What clients do where it is needed."""
        return next(scenes for name, scenes in SCENES.items() if str(self).startswith(name))

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


OF_LAMBDA = {"WriteItsLog", "WriteTraces", "SendFailedInvocations"}
"""Statements that Lambda itself needs, around an invocation: what is there of them is held by
`tests/deploy/test_template_policy.py`. Here neither logs nor traces leave the machine."""
OF_TOOLS = {"RunToolsOfTheStack"}
"""What only a deployment with tools needs, which this one is not; held there too."""
BACKENDS_OWN = {"HaveTheAgentSayWhatTheBackendWants"}
"""Statements for a backend, whom this stack does not know: `test_agents.py` takes them away."""


def grants() -> list[Grant]:
    """Everything that the template grants to what its functions do themselves."""
    stack = read_stack(ROOT / "template.yaml", {"ElevenLabsApiKey": "x"}, "us-east-1", "localhost")
    functions = {function.role.rpartition("/")[2]: function for function in stack.functions}
    return [
        Grant(functions[name].logical_id, name, policy, statement["Sid"], action)
        for name, role in stack.roles.items()
        for policy, document in role.policies.items()
        for statement in document["Statement"]
        if statement["Sid"] not in OF_LAMBDA | OF_TOOLS | BACKENDS_OWN
        for action in _actions(statement)
    ]


class Clients:
    """What clients do, and what is done for them when a function dies."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._speech = stack.standins.speech(SPOKEN)
        self._table = boto3.client(
            "dynamodb",
            endpoint_url=stack.info["dynamodb_endpoint"],
            region_name="us-east-1",
            **own_key(stack.info),
        )

    async def visit(self) -> None:
        """Connect where there seems to be no room, and leave."""
        await asyncio.to_thread(self._crowd)
        async with opened(self.stack.url):
            pass

    def _crowd(self) -> None:
        """Every slot is taken by a connection that was lost before its `init`."""
        shards = Shards(LimitRules().tenant.connections)
        long_ago_ms = now_ms() - 1000 * LOST_AFTER_S
        for shard in range(shards.count):
            lost = [
                lease_name(f"lost{shard}-{n}=", long_ago_ms) for n in range(shards.capacity(shard))
            ]
            item: dict[str, Any] = {
                "pk": {"S": "LIMIT#default"},
                "sk": {"S": f"CONNECTIONS#{shard:03d}"},
                "leases": {"SS": lost},
            }
            self._table.put_item(TableName=self.stack.info["tables"]["Table"], Item=item)

    async def talk(self) -> None:
        """Typed and spoken turns, and what belongs to them."""
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

    async def be_woken(self) -> None:
        """Open a session, and say nothing before a function has been woken for what is said: the
        first turn would open the connection itself."""
        before = self.stack.log.stat().st_size
        async with opened(self.stack.url):
            await logged(self.stack, r'^TurnFunction \| .*"platform\.report"', before)

    async def be_silent(self) -> None:
        """Be silent for so long that the agent asks."""
        async with opened(self.stack.url) as client:
            await asyncio.sleep(ASK_AFTER_S)
            await client.send(type="silence", silent_ms=1000 * ASK_AFTER_S)
            async with asyncio.timeout(PATIENCE_S):
                while not any(turn_id.startswith("agent-") for turn_id in client.turn_ids):
                    await asyncio.sleep(0.05)

    async def say_nothing_in_time(self) -> None:
        """Begin a turn without a session, long after the handshake: the connection is closed."""
        before = await asyncio.to_thread(self._connections)
        async with opened(self.stack.url, init=False) as client:
            (connection_id,) = await asyncio.to_thread(self._connections) - before
            event = json.loads((ROOT / "events" / "message-user-message.json").read_text())
            context = event["requestContext"]
            context |= {"connectionId": connection_id, "requestTimeEpoch": now_ms()}
            context["domainName"] = urlsplit(self.stack.info["management_url"]).netloc
            await asyncio.to_thread(self._invoke, "TurnFunction", event)
            await asyncio.wait_for(client.socket.wait_closed(), PATIENCE_S)

    def _connections(self) -> set[str]:
        """The connections that are open, by their ids."""
        items = self._table.scan(TableName=self.stack.info["tables"]["Table"])["Items"]
        names = (item["pk"]["S"].partition("#") for item in items)
        return {name for kind, _, name in names if kind == "CONNECTION"}

    async def ask_over_http(self) -> None:
        """A turn over HTTP, its answer once more, and an interruption."""
        async with HttpSession(self.stack) as session:
            await session.open()
            turn = await session.say("Good morning.", turn_id="t", settings={"speed": 1.1})
            assert turn["reason"] == "completed"
            await session.say("Good morning.", turn_id="t")  # what is kept of it
            assert (await session.interrupt("t", 100)).status_code == 200

    async def ask_for_health(self) -> None:
        """Whether all that the deployment needs can be reached."""
        async with HttpSession(self.stack) as session:
            health = await session.client.get(f"{url_of(self.stack)}/health?deep=1")
            assert health.json()["status"] == "ok", health.text

    async def come_back(self) -> None:
        """A client that acknowledged nothing, and comes back while it is still connected."""
        async with opened(self.stack.url) as first:
            first.acknowledges = False
            before = self.stack.log.stat().st_size
            await first.say("Repeat after me: yes.", "t")
            session = first.ready["session_id"]
            await logged(self.stack, rf'^TurnFunction .*"turn_ended".*"{session}"', before)
            missed = {"turn_id": "t", "seq": 1}
            async with opened(self.stack.url, **_token(first), received=missed) as second:
                assert (await second.ended("t", PATIENCE_S)).end["reason"] == "completed"
                assert (await first.other())["type"] == "session_ended"
                await first.socket.wait_closed()

    async def lose_a_function(self) -> None:
        """A turn whose function has died, as Lambda tells the one that looks after it."""
        async with self._listening() as (client, owner):
            await self._tell_of_a_death(owner, client)
            await self._hears_of_it(client)

    async def lose_a_function_while_away(self) -> None:
        """Likewise, and the client hears of it when it comes back."""
        async with opened(self.stack.url) as client:
            await self._begin(client)
            owner = await self._owner(client)
        await self._tell_of_a_death(owner, client)
        async with opened(self.stack.url, **_token(client)) as client:
            await self._hears_of_it(client)
            await self._end(client)

    async def _hears_of_it(self, client: RawClient) -> None:
        end = (await client.ended("t", PATIENCE_S)).end
        assert (end["reason"], end["code"]) == ("failed", "internal")

    async def erase(self) -> None:
        """A session with a turn that listens; and that turn's death is told afterwards."""
        records = Records(self.stack)
        async with self._listening() as (client, owner):
            assert (await records.of(client)).status == 200
            assert (await records.erase(client.ready)).status == 204
        assert await self._die(owner, client) == {"ended": False}

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[tuple[RawClient, str]]:
        """A client that speaks, and the invocation that listens for as long as this lasts."""
        async with opened(self.stack.url) as client:
            await self._begin(client)
            try:
                yield client, await self._owner(client)
            finally:
                await self._end(client)

    async def _begin(self, client: RawClient) -> None:
        await client.send(type="audio_start", turn_id="t", format="pcm_16000", endpointing="manual")

    async def _end(self, client: RawClient) -> None:
        """So that its environment is free for what comes next."""
        with contextlib.suppress(ConnectionClosed):
            await client.send(type="audio_end", turn_id="t", chunks=0)

    async def _owner(self, client: RawClient) -> str:
        """The invocation that has claimed a client's turn."""
        key = turn_key(ANONYMOUS.session(client.ready["session_id"]), "t")
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


async def logged(stack: Stack, wanted: str, size_bytes: int) -> None:
    """Wait for a line of the log, since it was so large."""
    expression = re.compile(wanted, re.MULTILINE)
    async with asyncio.timeout(PATIENCE_S):
        while expression.search(stack.logged_since(size_bytes)) is None:
            await asyncio.sleep(0.05)


def _token(client: RawClient) -> dict[str, Any]:
    """What a client comes back with."""
    return {name: client.ready[name] for name in ("session_id", "resume_token")}


class Granted:
    """A running stack whose permissions can be changed.

    Attributes:
        log: of everything that clients do, with everything granted.
        took_s: how long each of it took when the functions were warm.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.clients = Clients(stack)
        self.log = ""
        self.took_s: dict[str, float] = {}

    async def measure(self) -> None:
        """See how long everything takes here, one after the other, when all goes well."""
        for scene in dict.fromkeys(itertools.chain(*SCENES.values())):
            began = time.monotonic()
            await self._scene(scene)
            self.took_s[scene] = time.monotonic() - began
        await logged(self.stack, r'^DisconnectFunction \| .*"disconnected"', 0)
        self.log = self.stack.logs()

    def begin(self, scenes: list[str]) -> dict[str, asyncio.Task[None]]:
        """What clients do, all of it at once, by its name."""
        return {name: asyncio.create_task(self._scene(name)) for name in scenes}

    def _scene(self, name: str) -> Coroutine[Any, Any, None]:
        method: Callable[[], Coroutine[Any, Any, None]] = getattr(self.clients, name)
        return method()


@pytest.fixture(scope="module")
def granted(tmp_path_factory: pytest.TempPathFactory, standins: Standins) -> Iterator[Granted]:
    folder = tmp_path_factory.mktemp("granted")
    parameters = {
        "ListenTimeoutSeconds": "30",  # for as long as a turn is to be lost or erased in
        "AskAfterSilenceSeconds": str(ASK_AFTER_S),
    }
    with running_stack(folder, parameters=parameters, standins=standins) as stack:
        found = Granted(stack)
        asyncio.run(found.measure())
        yield found


@pytest.fixture
def taken(granted: Granted, grant: Grant) -> Iterator[None]:
    """While this lasts, the action is not granted."""
    roles = granted.stack.roles()
    granted.stack.permit(grant.taken_from(roles))
    if grant.needs_a_fresh_environment:
        granted.stack.renew(grant.function)
    yield
    granted.stack.permit(roles)
    if grant.needs_a_fresh_environment:
        granted.stack.renew(grant.function)


def test_a_conversation_needs_nothing_that_is_not_granted(granted: Granted) -> None:
    assert "is not authorized to perform" not in granted.log


@pytest.mark.usefixtures("taken")
@pytest.mark.parametrize("grant", grants(), ids=str)
async def test_every_action_that_is_granted_is_needed(grant: Grant, granted: Granted) -> None:
    before = granted.stack.log.stat().st_size
    refused = (
        rf"^permissions \| User: \S+/{grant.role}/\S+ is not authorized to perform: "
        rf"{grant.action} on resource: arn:.* because no identity-based policy allows"
    )
    scenes = granted.begin(grant.scenes)
    try:
        await logged(granted.stack, refused, before)
        await asyncio.wait_for(went_wrong(grant, granted, scenes, before), PATIENCE_S)
    except TimeoutError:
        raise AssertionError(f"Nobody missed {grant}: is it needed?") from None
    finally:
        for scene in scenes.values():
            scene.cancel()
        await asyncio.gather(*scenes.values(), return_exceptions=True)


async def went_wrong(
    grant: Grant, granted: Granted, scenes: dict[str, asyncio.Task[None]], before: int
) -> None:
    """Wait until a client has had no answer or a wrong one, or the function had trouble."""
    refused_at = time.monotonic()
    while True:
        silence_s = time.monotonic() - refused_at
        for name, scene in scenes.items():
            if scene.done() and scene.exception() is not None:
                return
            if not scene.done() and silence_s > 1.5 * granted.took_s[name]:
                return
        lines = granted.stack.logged_since(before).splitlines()
        if any(x.startswith(f"{grant.function} | ") and TROUBLE.search(x) for x in lines):
            return
        await asyncio.sleep(0.05)
