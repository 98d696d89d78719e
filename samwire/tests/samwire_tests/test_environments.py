"""Environments as processes: frozen, limited, replaced, killed; each test with its own."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import samwire
from samwire.faults.latency import Latency
from samwire.runtime import environments_api
from samwire.runtime.concurrency import Throttled
from samwire.runtime.free_processor import FreeProcessor
from samwire.runtime.options import ServiceOptions
from samwire_tests.lambda_harness import Harness, running

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="known on Linux only")

TICKING = """
    import itertools, os, threading, time
    ticks = itertools.count()
    count = 0
    def tick():
        global count
        while True:
            count = next(ticks)
            time.sleep(0.005)
    threading.Thread(target=tick, daemon=True).start()
    def handler(event, context):
        time.sleep(event.get("seconds", 0))
        return {"count": count, "pid": os.getpid()}
"""


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def state(pid: int) -> str:
    """The state of a process: `T` is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


# --- modules ----------------------------------------------------------------------------------


async def test_a_function_finds_its_own_modules_and_pythons_before_installed_ones(
    tmp_path: Path,
) -> None:
    source = """
        import os, sys, json
        def handler(event, context):
            return {"variable": os.environ["PYTHONPATH"], "path": sys.path, "json": json.__file__}
    """
    async with running(tmp_path, source) as f:
        found = await f.invoke()
        assert found["variable"] == str(f.code)
        standard = str(Path(found["json"]).parents[1])
        emulator = str(Path(samwire.__file__).parents[1])
        before = found["path"][: found["path"].index(standard)]
        assert str(f.code) in before
        assert emulator not in before


# --- garbage ----------------------------------------------------------------------------------

GARBAGE = """
    import gc
    {init}
    def handler(event, context):
        return gc.isenabled(), gc.get_threshold()
"""


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        ("", [True, list(gc.get_threshold())]),
        ("gc.disable()", [False, list(gc.get_threshold())]),
        ("gc.set_threshold(5, 6, 7)", [True, [5, 6, 7]]),
    ],
    ids=["says nothing", "wants none", "has thresholds"],
)
async def test_a_function_collects_garbage_as_python_does_or_as_it_says_itself(
    init: str, expected: list[Any], tmp_path: Path
) -> None:
    async with running(tmp_path, GARBAGE.format(init=init)) as f:
        assert await f.invoke() == expected


# --- freezing ---------------------------------------------------------------------------------


@linux_only
async def test_an_environment_stands_still_between_invocations(tmp_path: Path) -> None:
    async with running(tmp_path, TICKING) as f:
        found = await f.invoke(seconds=0.05)
        await until(lambda: state(found["pid"]) == "T")
        before = found["count"]
        await asyncio.sleep(1)  # two hundred ticks, if it went on
        after = await f.invoke()
        assert after["pid"] == found["pid"]
        assert after["count"] - before < 80


async def test_without_freezing_it_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, TICKING, freeze=False) as f:
        before = (await f.invoke())["count"]
        await asyncio.sleep(0.5)
        assert (await f.invoke())["count"] - before >= 20


@linux_only
async def test_a_frozen_environment_is_ended_with_the_stack(tmp_path: Path) -> None:
    async with running(tmp_path, TICKING) as f:
        pid = (await f.invoke())["pid"]
        await until(lambda: state(pid) == "T")
    assert not Path(f"/proc/{pid}").exists()


async def test_nothing_waits_for_an_environment_that_has_ended(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with running(tmp_path, TICKING) as f:
        await f.invoke()
    assert asyncio.all_tasks() == before


@linux_only
async def test_what_a_function_has_started_is_frozen_with_it(tmp_path: Path) -> None:
    source = """
        import subprocess
        def handler(event, context):
            return subprocess.Popen(["sleep", "600"]).pid
    """
    async with running(tmp_path, source) as f:
        child = await f.invoke()
        await until(lambda: state(child) == "T")


# --- memory and temporary files ---------------------------------------------------------------

HUNGRY = """
    import time
    kept = []
    def handler(event, context):
        kept.append(bytearray(event["megabytes"] * 1024 * 1024))
        for i in range(0, len(kept[-1]), 4096):
            kept[-1][i] = 1
        time.sleep(event.get("seconds", 0))
        return len(kept)
"""


@linux_only
@pytest.mark.parametrize("seconds", [0, 60])
async def test_more_than_the_memory_size_is_killed(tmp_path: Path, seconds: float) -> None:
    async with running(tmp_path, HUNGRY, timeout_s=30.0) as f:
        result = await f.invoked(megabytes=200, seconds=seconds)
        error = json.loads(result.payload)
        assert error["errorType"] == "Runtime.OutOfMemory"
        assert error["errorMessage"].endswith("Runtime exited with error: signal: killed")
        report = f.lines[-1]
        assert "Memory Size: 128 MB\tMax Memory Used: 128 MB" in report
        assert report.endswith("Status: error\tError Type: Runtime.OutOfMemory")
        assert await f.invoke(megabytes=1) == 1, "the next one is a new environment"


@linux_only
async def test_a_child_counts_as_well(tmp_path: Path) -> None:
    source = """
        import subprocess, sys
        def handler(event, context):
            code = "kept = bytearray(b'x') * (200 * 1024 * 1024); import time; time.sleep(60)"
            subprocess.run([sys.executable, "-c", code])
    """
    async with running(tmp_path, source) as f:
        result = await f.invoked()
        assert json.loads(result.payload)["errorType"] == "Runtime.OutOfMemory"


@linux_only
async def test_address_space_that_is_not_touched_costs_nothing(tmp_path: Path) -> None:
    source = """
        import mmap, threading
        def handler(event, context):
            space = mmap.mmap(-1, 2 * 1024 ** 3)
            threads = [threading.Thread(target=lambda: None) for _ in range(40)]
            [t.start() for t in threads]
            return len(space)
    """
    async with running(tmp_path, source) as f:
        assert await f.invoke() == 2 * 1024**3


@linux_only
async def test_the_report_says_what_memory_was_used(tmp_path: Path) -> None:
    async with running(tmp_path, HUNGRY) as f:
        await f.invoke(megabytes=40)
        assert 45 < f.observed[-1][1]["memory_mb"] < 120


async def test_an_environment_has_temporary_files_of_its_own_and_leaves_none(
    tmp_path: Path,
) -> None:
    source = """
        import os, tempfile, time
        def handler(event, context):
            time.sleep(0.3)
            before = os.listdir(tempfile.gettempdir())
            open(os.path.join(tempfile.gettempdir(), "kept"), "w").close()
            return tempfile.gettempdir(), before
    """
    async with running(tmp_path, source) as f:
        (one, new), (other, also_new) = await asyncio.gather(f.invoke(), f.invoke())
        assert one != other
        assert new == also_new == []
        assert await f.invoke() in ([one, ["kept"]], [other, ["kept"]])
    assert not Path(one).exists()
    assert not Path(other).exists()


# --- reloading --------------------------------------------------------------------------------


async def test_a_changed_source_file_is_run_by_the_next_invocation(tmp_path: Path) -> None:
    async with running(tmp_path, "def handler(event, context): return 1") as f:
        assert await f.invoke() == 1
        (f.code / "app.py").write_text("def handler(event, context): return 22")
        assert await f.invoke() == 22
        assert any("app.py changed: new environments from now on" in line for line in f.lines)


async def test_a_source_that_could_not_be_loaded_can_be_mended(tmp_path: Path) -> None:
    async with running(tmp_path, "def handler(event, context): return 1\n)") as f:
        result = await f.invoked()
        assert json.loads(result.payload)["errorType"] == "Runtime.UserCodeSyntaxError"
        (f.code / "app.py").write_text("def handler(event, context): return 1")
        assert await f.invoke() == 1


async def test_an_environment_that_is_busy_while_its_source_changes_is_not_used_again(
    tmp_path: Path,
) -> None:
    source = "import time\ndef handler(event, context):\n    time.sleep(1)\n    return 1"
    async with running(tmp_path, source) as f:
        old = asyncio.create_task(f.invoke())
        await until(lambda: any(line.startswith("START") for line in f.lines))
        (f.code / "app.py").write_text("def handler(event, context): return 22")
        assert await f.invoke() == 22
        assert await old == 1
        assert await f.invoke() == 22


async def test_without_reloading_the_old_source_stays(tmp_path: Path) -> None:
    options = ServiceOptions(reload=False)
    async with running(tmp_path, "def handler(event, context): return 1", options=options) as f:
        assert await f.invoke() == 1
        (f.code / "app.py").write_text("def handler(event, context): return 22")
        assert await f.invoke() == 1


# --- taken away -------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def control(f: Harness) -> AsyncIterator[TestClient[Any, Any]]:
    """What takes environments away over HTTP."""
    app = web.Application()
    app.add_routes(environments_api.routes(f.service))
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize("path", ["", "/F", "/f"], ids=["all", "logical-id", "name"])
async def test_an_environment_that_was_taken_away_is_not_used_again(
    tmp_path: Path, path: str
) -> None:
    async with running(tmp_path, TICKING) as f, control(f) as client:
        first = await f.invoke()
        assert (await client.delete(f"/_local/environments{path}")).status == 204
        assert (await f.invoke())["pid"] != first["pid"]


async def test_an_environment_that_is_taken_away_ends_what_it_does(tmp_path: Path) -> None:
    async with running(tmp_path, TICKING) as f, control(f) as client:
        busy = asyncio.create_task(f.invoke(seconds=1))
        await until(lambda: any(line.startswith("START") for line in f.lines))
        await client.delete("/_local/environments")
        old = await busy
        assert (await f.invoke())["pid"] != old["pid"]


async def test_environments_of_a_function_that_there_is_not_cannot_be_taken_away(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, TICKING) as f, control(f) as client:
        refused = await client.delete("/_local/environments/G")
        assert refused.status == 404
        assert await refused.json() == {"message": "Function not found: G"}


async def test_a_function_that_runs_is_killed_when_asked(tmp_path: Path) -> None:
    async with running(tmp_path, TICKING) as f, control(f) as client:
        idle = await client.post("/_local/environments/F/kill")
        assert await idle.json() == {"killed": 0}
        busy = asyncio.create_task(f.invoked(seconds=20))
        await until(lambda: any(line.startswith("START") for line in f.lines))
        killed = await client.post("/_local/environments/F/kill")
        assert await killed.json() == {"killed": 1}
        assert (await busy).error is not None
        assert (await client.post("/_local/environments/G/kill")).status == 404


async def test_the_next_environment_has_other_variables(tmp_path: Path) -> None:
    source = "import os\ndef handler(event, context): return os.environ.get('VOICE', 'none')"
    async with running(tmp_path, source) as f, control(f) as client:
        assert await f.invoke() == "none"
        changed = {"Variables": {"VOICE": "alto"}}
        assert (await client.put("/_local/environments/F", json=changed)).status == 204
        assert await f.invoke() == "alto"
        assert (await client.put("/_local/environments/F", json={"Variables": {}})).status == 204
        assert await f.invoke() == "alto"


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("G", '{"Variables": {}}', 404),
        ("F", '{"VOICE": "alto"}', 400),
        ("F", '{"Variables": {"VOICE": 1}}', 400),
        ("F", "VOICE=alto", 400),
    ],
)
async def test_what_are_no_variables_of_a_function_is_refused(
    tmp_path: Path, name: str, body: str, status: int
) -> None:
    async with running(tmp_path, TICKING) as f, control(f) as client:
        answer = await client.put(f"/_local/environments/{name}", data=body)
        assert answer.status == status
        assert (await answer.json())["message"]


# --- ends and faults --------------------------------------------------------------------------


async def test_a_timeout_is_reported_as_lambda_reports_it(tmp_path: Path) -> None:
    source = "import time\ndef handler(event, context): time.sleep(60)"
    async with running(tmp_path, source, timeout_s=0.5) as f:
        result = await f.invoked()
        assert "Task timed out after 0.50 seconds" in json.loads(result.payload)["errorMessage"]
        assert f.lines[-1].endswith("Status: timeout")


async def test_what_is_logged_of_a_crash_comes_before_the_end_line(tmp_path: Path) -> None:
    source = "import os\ndef handler(event, context):\n    print('so far')\n    os.abort()"
    async with running(tmp_path, source) as f:
        await f.invoked()
        said = [line.split(" Error: ")[-1].split(" RequestId")[0] for line in f.lines]
        assert said[1:-1] == [
            "so far",
            "Runtime exited with error: signal: aborted",
            "Runtime.ExitError",
            "END",
        ]


async def test_a_fault_kills_a_function_in_the_middle_of_an_invocation(tmp_path: Path) -> None:
    async with running(tmp_path, TICKING) as f:
        f.plan({"kind": "kill_function", "function": "F", "after_ms": 100, "times": 1})
        result = await f.invoked(seconds=60)
        assert json.loads(result.payload)["errorType"] == "Runtime.ExitError"
        assert f.fired == ["kill_function"]
        await f.invoke()


async def test_a_kill_that_comes_too_late_kills_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, TICKING) as f:
        f.plan({"kind": "kill_function", "after_ms": 300})
        first = await f.invoke()
        await asyncio.sleep(0.5)
        assert (await f.invoke())["pid"] == first["pid"]


async def test_faults_throttle_and_duplicate(tmp_path: Path) -> None:
    async with running(tmp_path, TICKING) as f:
        f.plan(
            {"kind": "throttle_function", "times": 1, "function": "f"},
            {"kind": "duplicate_event"},
        )
        with pytest.raises(Throttled):
            await f.invoked()
        request_id = f.service.invoke_later("f", b"{}")
        await until(lambda: sum(kind == "invocation_ended" for kind, _ in f.observed) == 2)
        assert {fields["request_id"] for _, fields in f.observed} == {request_id}


async def test_more_than_the_accounts_concurrency_is_throttled(tmp_path: Path) -> None:
    async with running(tmp_path, TICKING, options=ServiceOptions(concurrency=1)) as f:
        first = asyncio.create_task(f.invoke(seconds=0.5))
        await until(lambda: any(line.startswith("START") for line in f.lines))
        with pytest.raises(Throttled) as refused:
            await f.invoked()
        assert refused.value.reason == "ConcurrentInvocationLimitExceeded"
        await first
        assert (await f.invoke())["pid"] == first.result()["pid"] != os.getpid()


async def test_an_event_is_run_no_earlier_than_the_latency_says(tmp_path: Path) -> None:
    options = ServiceOptions(latency=Latency(event_ms=500))
    async with running(tmp_path, TICKING, options=options) as f:
        began = asyncio.get_running_loop().time()
        f.service.invoke_later("f", b"{}")
        await until(lambda: bool(f.observed))
        assert asyncio.get_running_loop().time() - began >= 0.5


async def test_an_invocation_waits_for_what_is_free_sooner_than_a_start(tmp_path: Path) -> None:
    source = """
        import os, time
        time.sleep(0.3)
        def handler(event, context):
            time.sleep(0.03)
            return os.getpid()
    """
    async with running(tmp_path, source) as f:
        first = [await f.invoke() for _ in range(8)]
        (pool,) = f.service._pools.values()
        # The first two at once have a second one start, and do not wait for it.
        assert {*first, *await asyncio.gather(f.invoke(), f.invoke())} == {first[0]}
        await until(lambda: not pool._starting)
        pids = {*await asyncio.gather(f.invoke(), f.invoke())}
        assert len(pids) == 2
        three = asyncio.gather(f.invoke(), f.invoke(), f.invoke())
        await until(lambda: bool(pool._waiting))
        assert not pool._starting
        assert {*await three} == pids


async def test_while_no_processor_is_free_an_invocation_waits_for_an_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samwire.runtime.pool.MOST_PATIENCE_S", 60.0)
    is_free = False
    monkeypatch.setattr(FreeProcessor, "is_there", lambda _self: is_free)
    source = """
        import os, time
        def handler(event, context):
            time.sleep(0.5)  # so that all of them overlap
            return os.getpid()
    """
    async with running(tmp_path, source) as f:
        await f.invoke()
        pids = await asyncio.gather(*(f.invoke() for _ in range(4)))
        assert len({*pids}) == 2
        is_free = True
        pids = await asyncio.gather(*(f.invoke() for _ in range(6)))
        assert len({*pids}) > 2


def test_a_processor_is_free_that_has_been_idle_lately(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samwire.runtime.free_processor.LOOK_S", 0.0)
    stat = tmp_path / "stat"

    def look(idle_s: float, waiting_s: float = 0.0) -> bool:
        stat.write_text(f"cpu  9 9 9 {round(idle_s * 100)} {round(waiting_s * 100)} 0\ncpu0 1\n")
        return processor.is_there()

    processor = FreeProcessor(stat)
    assert look(10**7)
    assert not look(10**7)
    assert look(10**7 + 60)
    assert look(10**7 + 60, waiting_s=60)  # for a disk, and not for a processor
    assert not look(10**7 + 60, waiting_s=60)
    stat.unlink()
    assert processor.is_there()


async def test_invocations_and_cold_starts_take_as_long_as_the_latency_says(tmp_path: Path) -> None:
    options = ServiceOptions(latency=Latency(invoke_ms=300, cold_start_ms=600))
    async with running(tmp_path, TICKING, options=options) as f:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await f.invoke()
        cold = loop.time()
        assert cold - began >= 0.9
        await f.invoke()
        assert loop.time() - cold >= 0.3
        ((_, ended), *_) = [entry for entry in f.observed if entry[0] == "invocation_ended"]
        assert ended["init_ms"] < (cold - began - 0.8) * 1000  # what comes before is not counted


@linux_only
async def test_an_invocation_gets_the_share_of_a_processor_that_its_memory_buys(
    tmp_path: Path,
) -> None:
    source = """
        import os, time
        def handler(event, context):
            began, cpu = time.monotonic(), time.process_time()
            while time.process_time() - cpu < 0.5:
                pass
            busy_s = time.monotonic() - began
            began = time.monotonic()
            time.sleep(0.2)
            return {"busy_s": busy_s, "slept_s": time.monotonic() - began}
    """
    async with running(tmp_path, source, memory_mb=442, limit_processor=True) as f:
        took = await f.invoke()
        # A quarter of a processor: 0.5 s of it are 2 s, less what was saved before.
        assert took["busy_s"] > 1.7
        assert took["slept_s"] < 1  # who waits uses none


async def test_an_invocation_is_observed_from_its_start_to_its_end(tmp_path: Path) -> None:
    source = "def handler(event, context):\n    print('hello')\n    return event"
    async with running(tmp_path, source) as f:
        await f.invoke(a=1)
        (start, started), (end, ended) = f.observed
        assert (start, end) == ("invocation_started", "invocation_ended")
        assert started["event"] == '{"a": 1}'
        assert started["cold"] is True
        assert ended["result"] == '{"a": 1}'
        assert ended["error"] is False
        assert [line.split()[0] for line in ended["log"]] == ["START", "hello", "END", "REPORT"]


async def test_an_environment_may_open_as_many_files_as_on_lambda(tmp_path: Path) -> None:
    source = """
        import resource
        def handler(event, context):
            return resource.getrlimit(resource.RLIMIT_NOFILE)
    """
    async with running(tmp_path, source) as harness:
        assert await harness.invoke() == [1024, 1024]


async def test_there_are_no_more_environments_than_there_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samwire.runtime.pool.MAX_ENVIRONMENTS", 2)
    source = """
        import os, time
        def handler(event, context):
            time.sleep(0.03)
            return os.getpid()
    """
    async with running(tmp_path, source) as harness:

        async def one_after_the_other() -> set[int]:
            return {await harness.invoke() for _ in range(10)}

        found = await asyncio.gather(*(one_after_the_other() for _ in range(5)))
    assert len(set[int]().union(*found)) == 2
