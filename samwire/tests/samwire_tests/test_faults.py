"""Faults on request: what is decided, and what a client and a function then meet."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from samwire.faults.faults import CallTrouble, Faults
from samwire.faults.latency import AWS, Delays, Latency, Spread, latency_of_option
from samwire.faults.plan import BadPlan, plan_of_option, read_plan
from samwire.stack import LocalStack, Options
from samwire_tests.conftest import CHAT, App, eventually


def made(*faults: Mapping[str, Any], seed: int = 0) -> Faults:
    plan = read_plan(json.dumps({"seed": seed, "faults": list(faults)}))
    return Faults(plan, lambda _kind, _to: None)


# --- decisions --------------------------------------------------------------------------------


def statuses(faults: Faults, count: int) -> list[int | None]:
    return [faults.post("c").status for _ in range(count)]


def test_the_same_seed_gives_the_same_faults_and_another_gives_others() -> None:
    fault = {"kind": "fail_post", "status": 429, "rate": 0.3}
    first = statuses(made(fault, seed=1), 200)
    assert statuses(made(fault, seed=1), 200) == first
    assert statuses(made(fault, seed=2), 200) != first
    assert 30 < first.count(429) < 90


def test_what_one_fault_is_asked_does_not_change_what_another_answers() -> None:
    post = {"kind": "fail_post", "rate": 0.5}
    kill = {"kind": "kill_function", "rate": 0.5}
    alone, disturbed = made(post, kill), made(post, kill)
    first = []
    for _ in range(50):
        disturbed.call("F", "f")
        first.append(disturbed.post("c").status)
    assert first == statuses(alone, 50)


def test_a_fault_lets_some_pass_and_then_happens_so_often() -> None:
    faults = made({"kind": "fail_post", "status": 410, "skip": 2, "times": 3})
    assert statuses(faults, 7) == [None, None, 410, 410, 410, None, None]
    (described,) = faults.described()["faults"]
    assert (described["asked"], described["fired"]) == (7, 3)


@pytest.mark.parametrize("function", ["TurnFunction", "local-turn"])
def test_a_fault_of_a_function_is_of_no_other(function: str) -> None:
    faults = made({"kind": "throttle_function", "function": function})
    assert faults.call("TurnFunction", "local-turn").throttled
    assert not faults.call("MessageFunction", "local-message").throttled


def test_delays_lie_between_their_bounds_and_add_up() -> None:
    faults = made(
        {"kind": "delay_message", "delay_ms": 100, "jitter_ms": 50},
        {"kind": "delay_message", "delay_ms": 1000},
    )
    delays = [faults.message("c").delay_s for _ in range(50)]
    assert all(1.1 <= delay <= 1.15 for delay in delays)
    assert len(set(delays)) > 10


def test_without_a_plan_nothing_happens() -> None:
    faults = made()
    assert faults.call("F", "f") == CallTrouble(throttled=False, kill_after_s=None)
    assert faults.message("c").copies == 1


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        ("[]", "Expected `object`"),
        ('{"faults": [{"kind": "nosuch"}]}', "$.faults[0].kind"),
        ('{"faults": [{"kind": "fail_post", "status": 418}]}', "$.faults[0].status"),
        (
            '{"faults": [{"kind": "fail_post", "rate": 2}]}',
            "`float` <= 1.0 - at `$.faults[0].rate`",
        ),
        ('{"faults": [{"kind": "delay_post"}]}', "missing required field `delay_ms`"),
        ('{"faults": [{"kind": "fail_post", "often": 2}]}', "unknown field `often`"),
        ('{"faults": [{"kind": "fail_post", "times": 0}]}', "$.faults[0].times"),
        ("{", "truncated"),
    ],
)
def test_a_bad_plan_is_refused_with_the_place_and_what_is_allowed(plan: str, sentence: str) -> None:
    with pytest.raises(BadPlan) as refused:
        read_plan(plan)
    assert sentence in str(refused.value)


def test_the_option_takes_a_file_or_json(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text('{"seed": 5}')
    assert plan_of_option(str(path)) == plan_of_option('{"seed": 5}')
    with pytest.raises(BadPlan, match=r"--faults: .*nosuch\.json"):
        plan_of_option("nosuch.json")


# --- latency ----------------------------------------------------------------------------------


def test_latency_is_ones_own_figures() -> None:
    assert latency_of_option('{"post_ms": 8.5}') == Latency(post_ms=8.5)
    assert latency_of_option("{}") == Latency()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "AWS",
            "--latency: AWS cannot be read: No such file or directory. It is aws, a file or JSON",
        ),
        ("nosuch.json", "--latency: .*nosuch"),
        ('{"post_ms": -1}', ">= 0.0 - at `$.post_ms`"),
        ('{"posts": 1}', "unknown field `posts`"),
        ('{"post_ms": {"median_ms": 0, "p99_ms": 1}}', "> 0.0 - at `$.post_ms.median_ms`"),
        ('{"post_ms": {"median_ms": 5, "p99_ms": 1}}', "p99_ms must be at least median_ms"),
    ],
)
def test_what_is_no_latency_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(BadPlan, match=re.escape(sentence).replace(r"\.\*", ".*")):
        latency_of_option(text)


def test_the_profile_of_aws_has_every_hop() -> None:
    profile = latency_of_option("aws")
    hops = [name for name in Latency.__struct_fields__ if name != "seed"]
    assert all(isinstance(getattr(profile, hop), Spread) for hop in hops)


def test_a_spread_has_its_median_and_its_percentile() -> None:
    given = '{"seed": 3, "post_ms": {"median_ms": 70, "p99_ms": 225}}'
    delays = Delays(latency_of_option(given))
    drawn = sorted(delays.next_s("post_ms") * 1000 for _ in range(20_000))
    assert 69 < drawn[10_000] < 71
    assert 210 < drawn[19_800] < 240
    assert delays.next_s("event_ms") == 0


def test_the_same_seed_gives_the_same_times_whatever_other_hops_are_asked() -> None:
    one, other = Delays(AWS), Delays(AWS)
    [other.next_s("event_ms") for _ in range(5)]
    times = [one.next_s("post_ms") for _ in range(5)]
    assert [other.next_s("post_ms") for _ in range(5)] == times
    assert len(set(times)) == 5
    seeded = Delays(msgspec.structs.replace(AWS, seed=1))
    assert [seeded.next_s("post_ms") for _ in range(5)] != times


async def test_latency_is_added_to_what_a_message_passes() -> None:
    options = Options(
        template=CHAT,
        parameters={"Secret": "x"},
        port=0,
        latency=Latency(message_ms=300, post_ms=400, handshake_ms=500, dynamodb_ms=600),
    )
    loop = asyncio.get_running_loop()
    async with LocalStack(options) as stack:
        began = loop.time()
        socket = await connect(stack.info["websocket_url"])
        assert loop.time() - began >= 1.1
        await socket.send(json.dumps({"action": "post", "data": "first"}))
        await socket.recv()  # warm
        began = loop.time()
        await socket.send(json.dumps({"action": "post", "data": "late"}))
        assert await asyncio.wait_for(socket.recv(), 20) == "late"
        assert loop.time() - began >= 1.3
        await socket.close()


# --- on the running stack ---------------------------------------------------------------------


def call(app: App, method: str, plan: object = None) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{app.info['static_url']}_local/faults",
        method=method,
        data=None if plan is None else json.dumps(plan).encode(),
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return dict(json.loads(response.read()))


@pytest.fixture
def faulty(app: App) -> Iterator[App]:
    yield app
    call(app, "DELETE")


def plan(app: App, *faults: Mapping[str, Any]) -> None:
    call(app, "PUT", {"faults": list(faults)})


def fired(app: App) -> list[int]:
    return [fault["fired"] for fault in call(app, "GET")["faults"]]


def test_a_plan_over_http_is_followed_counted_and_removed(faulty: App) -> None:
    plan(faulty, {"kind": "fail_post", "status": 410})
    assert fired(faulty) == [0]
    call(faulty, "DELETE")
    assert call(faulty, "GET")["faults"] == []
    with pytest.raises(urllib.error.HTTPError) as refused:
        plan(faulty, {"kind": "fail_post", "status": 1})
    assert "$.faults[0].status" in json.loads(refused.value.read())["message"]
    refused.value.close()


async def test_a_connection_is_lost_upon_a_message_which_is_still_handled(faulty: App) -> None:
    plan(faulty, {"kind": "drop_connection"})
    async with connect(faulty.url) as socket:
        await socket.send(json.dumps({"action": "later", "id": "dropped"}))
        with pytest.raises(ConnectionClosedError) as lost:
            await asyncio.wait_for(socket.recv(), 10)
        assert lost.value.rcvd is None, "no close frame"
    await asyncio.to_thread(eventually, lambda: faulty.calls("dropped") > 0)
    log = faulty.log.read_text()
    assert "faults | drop_connection" in log
    assert "disconnected 1006" in log


async def test_a_post_can_be_lost_with_its_connection(faulty: App) -> None:
    plan(faulty, {"kind": "drop_connection", "on": "post"})
    async with connect(faulty.url) as socket:
        await socket.send(json.dumps({"action": "post", "data": "never"}))
        with pytest.raises(ConnectionClosedError):
            await asyncio.wait_for(socket.recv(), 10)
    assert fired(faulty) == [1]


@pytest.mark.parametrize(
    ("status", "exception"), [(410, "GoneException"), (403, "ForbiddenException")]
)
async def test_a_post_that_is_refused_is_the_exception_that_boto3_knows(
    faulty: App, status: int, exception: str
) -> None:
    plan(faulty, {"kind": "fail_post", "status": status})
    before = len(faulty.log.read_text())
    async with connect(faulty.url) as socket:
        await socket.send(json.dumps({"action": "post", "data": "never"}))
        assert "Internal server error" in str(await asyncio.wait_for(socket.recv(), 10))
    assert f"({exception}) when calling the PostToConnection" in faulty.log.read_text()[before:]


@pytest.mark.parametrize("status", [429, 500])
async def test_a_post_that_is_refused_for_now_is_tried_again_by_boto3(
    faulty: App, status: int
) -> None:
    plan(faulty, {"kind": "fail_post", "status": status, "times": 1})
    async with connect(faulty.url) as socket:
        await socket.send(json.dumps({"action": "post", "data": "at last"}))
        assert await asyncio.wait_for(socket.recv(), 10) == "at last"
    assert fired(faulty) == [1]


async def test_a_message_is_handled_twice(faulty: App) -> None:
    plan(faulty, {"kind": "duplicate_message"})
    async with connect(faulty.url) as socket:
        await socket.send(json.dumps({"action": "post", "data": "twice"}))
        assert [await asyncio.wait_for(socket.recv(), 10) for _ in range(2)] == ["twice"] * 2


async def test_a_message_is_handled_after_the_one_that_follows_it(faulty: App) -> None:
    plan(faulty, {"kind": "reorder_message", "times": 1, "hold_ms": 20_000})
    async with connect(faulty.url) as socket:
        for data in ("first", "second", "third"):
            await socket.send(json.dumps({"action": "post", "data": data}))
            if data == "second":
                assert await asyncio.wait_for(socket.recv(), 10) == "second"
                assert await asyncio.wait_for(socket.recv(), 10) == "first"
        assert await asyncio.wait_for(socket.recv(), 10) == "third"


async def test_a_message_that_nothing_follows_is_held_no_longer_than_it_is_said(
    faulty: App,
) -> None:
    plan(faulty, {"kind": "reorder_message", "hold_ms": 200})
    async with connect(faulty.url) as socket:
        await socket.send(json.dumps({"action": "post", "data": "alone"}))
        assert await asyncio.wait_for(socket.recv(), 10) == "alone"


@pytest.mark.parametrize("kind", ["delay_message", "delay_post"])
async def test_a_delay_is_at_least_as_long_as_it_is_said(faulty: App, kind: str) -> None:
    plan(faulty, {"kind": kind, "delay_ms": 700})
    async with connect(faulty.url) as socket:
        began = asyncio.get_running_loop().time()
        await socket.send(json.dumps({"action": "post", "data": "late"}))
        assert await asyncio.wait_for(socket.recv(), 10) == "late"
        assert asyncio.get_running_loop().time() - began >= 0.7


async def test_a_function_that_is_killed_is_an_error_for_the_client(faulty: App) -> None:
    plan(faulty, {"kind": "kill_function", "function": "Chat", "after_ms": 100, "skip": 1})
    async with connect(faulty.url) as socket:  # $connect passes
        await socket.send(json.dumps({"action": "slow", "seconds": 2.5, "data": "never"}))
        assert "Internal server error" in str(await asyncio.wait_for(socket.recv(), 10))


def test_an_event_can_run_twice(faulty: App) -> None:
    plan(faulty, {"kind": "duplicate_event", "function": "Worker"})
    key = str(uuid.uuid4())
    event = json.dumps({"table": faulty.info["tables"]["Connections"], "id": key})
    faulty.client("lambda").invoke(
        FunctionName="local-Worker", InvocationType="Event", Payload=event
    )
    eventually(lambda: faulty.calls(key) == 2)
