"""Environments that are forked: as those that import everything themselves, but for the time."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest

from samwire.runtime.fork_client import ForkServer
from samwire.runtime.free_processor import FreeProcessor
from samwire.runtime.options import Preload, ServiceOptions
from samwire_tests.lambda_harness import Harness, running
from samwire_tests.test_environments import state, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forked on Linux only")

ENVIRONMENTS = 4
TOGETHER = """
    import os, time
    def meet(folder, count):
        open(f"{folder}/{os.getpid()}", "w").close()
        while len(os.listdir(folder)) < count:
            time.sleep(0.01)
"""
"""Has invocations wait for each other: they can only meet in as many environments."""
SAYING = """
    import asyncio, os, random, tempfile, threading, time, uuid
    import own_names, own_clock, own_meeting

    made_in = os.getpid()
    names = {"uuid": str(uuid.uuid4()), "random": random.random(), "clock": own_clock.STARTED}
    loop = asyncio.new_event_loop()
    ticks = 0
    def tick():
        global ticks
        while True:
            ticks += 1
            time.sleep(0.005)
    threading.Thread(target=tick, daemon=True).start()
    cold = True

    def handler(event, context):
        global cold
        was_cold, cold = cold, False
        before = ticks
        if "folder" in event:
            own_meeting.meet(event["folder"], event["count"])
        loop.run_until_complete(asyncio.sleep(0.1))
        if "exit" in event:
            os._exit(event["exit"])
        if "remember" in event:
            own_names.KNOWN.append(event["remember"])
        return {
            **names,
            "pid": os.getpid(), "parent": os.getppid(), "made_in": made_in, "cold": was_cold,
            "ticked": ticks - before, "temporary": tempfile.gettempdir(),
            "known": own_names.KNOWN, "place": own_names.PLACE,
            "stream": context.log_stream_name, "variable": os.environ["TMPDIR"],
            "address": os.environ["AWS_LAMBDA_RUNTIME_API"], "files": os.listdir("/proc/self/fd"),
            "input": os.readlink("/proc/self/fd/0"), "limit": __import__("resource").getrlimit(7),
        }
"""
OWN_NAMES = "import re\nKNOWN = []\nWORD = re.compile('a')\nPLACE = __name__\n"
FILES = {
    "own_names.py": OWN_NAMES,
    "own_clock.py": "import time, own_names\nSTARTED = time.time_ns()\n",
    "own_meeting.py": textwrap.dedent(TOGETHER),
}


async def all_at_once(harness: Harness, **event: Any) -> list[dict[str, Any]]:
    """Invoke so that as many environments run at the same time."""
    folder = tempfile.mkdtemp(dir=harness.folder)
    met = {"folder": folder, "count": ENVIRONMENTS, **event}
    async with asyncio.timeout(60):
        return list(await asyncio.gather(*(harness.invoke(**met) for _ in range(ENVIRONMENTS))))


async def several(harness: Harness) -> list[dict[str, Any]]:
    """What environments answer, the first of which has been started by itself."""
    first = await harness.invoke()
    assert first["parent"] == os.getpid()
    return await all_at_once(harness)


async def test_what_runs_at_the_same_time_is_forked_from_one_process(tmp_path: Path) -> None:
    async with running(tmp_path, SAYING, files=FILES) as harness:
        answers = await several(harness)
        parents = {answer["parent"] for answer in answers}
        assert len({answer["pid"] for answer in answers}) == ENVIRONMENTS
        assert len(parents) == 2
        assert os.getpid() in parents


async def test_where_one_runs_from_the_start_the_process_that_others_are_forked_from_does_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_free = False
    looks: list[bool] = []

    def is_there(_self: FreeProcessor) -> bool:
        looks.append(is_free)
        return is_free

    monkeypatch.setattr(FreeProcessor, "is_there", is_there)
    async with running(tmp_path, SAYING, files=FILES, prewarm=1) as harness:
        (pool,) = harness.service._pools.values()
        await until(lambda: len(looks) > 2)
        assert pool._processes._server is None  # all processors have better things to do
        is_free = True
        await until(lambda: pool._processes._server is not None)  # before anybody comes
        server = pool._processes._server
        answers = await all_at_once(harness)
        assert len({answer["parent"] for answer in answers}) == 2
        assert pool._processes._server is server


async def test_a_stack_may_stop_while_that_process_starts(tmp_path: Path) -> None:
    async with running(tmp_path, SAYING, files=FILES, prewarm=1) as harness:
        (pool,) = harness.service._pools.values()
    preparing = pool._processes._preparing
    assert preparing is not None
    assert preparing.cancelled()
    assert all(not server.is_open for server in pool._processes._servers)


async def test_each_begins_as_if_it_were_alone(tmp_path: Path) -> None:
    async with running(tmp_path, SAYING, files=FILES) as harness:
        answers = await several(harness)
        for name in ("uuid", "random", "clock", "stream", "temporary", "address"):
            assert len({answer[name] for answer in answers}) == ENVIRONMENTS, name
        for answer in answers:
            assert answer["made_in"] == answer["pid"]
            assert answer["temporary"] == answer["variable"]
            assert answer["input"] == os.devnull
            assert answer["limit"] == [1024, 1024]
        assert [answer["cold"] for answer in answers].count(True) == ENVIRONMENTS - 1


async def test_threads_and_loops_made_at_import_work(tmp_path: Path) -> None:
    async with running(tmp_path, SAYING, files=FILES) as harness:
        assert all(answer["ticked"] > 5 for answer in await several(harness))


async def test_what_one_changes_no_other_sees(tmp_path: Path) -> None:
    async with running(tmp_path, SAYING, files=FILES) as harness:
        await several(harness)
        answers = await all_at_once(harness, remember=1)
        assert [answer["known"] for answer in answers] == [[1]] * ENVIRONMENTS


async def test_none_has_files_of_another(tmp_path: Path) -> None:
    async with running(tmp_path, SAYING, files=FILES) as harness:
        answers = await several(harness)
        assert len({len(answer["files"]) for answer in answers}) == 1


async def test_one_that_ends_says_how(tmp_path: Path) -> None:
    async with running(tmp_path, SAYING, files=FILES) as harness:
        await several(harness)
        failed = await asyncio.gather(
            *(harness.invoked(exit=40 + number) for number in range(ENVIRONMENTS))
        )
        said = sorted(
            result.payload.decode().rpartition("exit status ")[2][:2] for result in failed
        )
        assert said == ["40", "41", "42", "43"]
        assert (await harness.invoke())["cold"]


async def test_it_stands_still_between_invocations_and_is_killed_with_what_it_started(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, SAYING, files=FILES) as harness:
        answers = await several(harness)
        await until(lambda: all(state(answer["pid"]) == "T" for answer in answers))
        pids = [answer["pid"] for answer in answers]
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


async def test_with_the_process_that_it_is_forked_from_it_ends(tmp_path: Path) -> None:
    async with running(tmp_path, SAYING, files=FILES) as harness:
        answers = await several(harness)
        (server,) = {answer["parent"] for answer in answers} - {os.getpid()}
        os.kill(server, 9)
        (pool,) = harness.service._pools.values()
        await until(lambda: not any(each.is_open for each in pool._processes._servers))
        again = await all_at_once(harness)
        assert len({answer["pid"] for answer in again}) == ENVIRONMENTS
        assert server not in {answer["parent"] for answer in again}


async def test_one_that_nobody_waits_for_any_more_is_no_trouble(tmp_path: Path) -> None:
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, each: problems.append(each))
    variables = {**os.environ, "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9"}
    nothing: dict[str, Any] = {"installed": [], "own": {}}
    server = await ForkServer.start("app.handler", tmp_path, variables, "{}", nothing)
    with open(os.devnull, "w") as output:
        given_up = asyncio.create_task(server.fork(variables, output.fileno()))
        await asyncio.sleep(0)  # it has been asked for
        given_up.cancel()
        await server.fork(variables, output.fileno())  # what was told of the first has come
    await server.kill()
    assert given_up.cancelled()
    assert problems == []


async def test_a_changed_file_is_imported_anew(tmp_path: Path) -> None:
    async with running(tmp_path, SAYING, files=FILES) as harness:
        before = await several(harness)
        (harness.code / "own_names.py").write_text(OWN_NAMES + "PLACE = 'elsewhere'\n")
        await asyncio.sleep(0.5)  # its changes are looked for at most so often
        after = await all_at_once(harness)
        assert {answer["place"] for answer in before} == {"own_names"}
        assert {answer["place"] for answer in after} == {"elsewhere"}


def with_package(source: str) -> dict[str, str]:
    """The files of a function that a package is installed beside, as `sam build` does."""
    return {
        **FILES,
        "package.py": source,
        "package-1.dist-info/RECORD": "package.py,sha256=,1\n",
    }


async def test_variables_given_later_are_there_when_packages_are_imported(tmp_path: Path) -> None:
    async with running(
        tmp_path,
        """
        import os, package, own_meeting
        def handler(event, context):
            if "folder" in event:
                own_meeting.meet(event["folder"], event["count"])
            return {"kind": package.KIND, "parent": os.getppid()}
        """,
        files=with_package("import os\nKIND = os.environ['KIND']\n"),
        environment={"KIND": "one"},
    ) as harness:
        assert {answer["kind"] for answer in await several(harness)} == {"one"}
        harness.service.set_variables("F", {"KIND": "two"})
        await harness.invoke()
        assert {answer["kind"] for answer in await all_at_once(harness)} == {"two"}


@pytest.mark.parametrize(
    "source",
    [
        "import threading, time\nalive = threading.Thread(target=time.sleep, args=(600,), "
        "daemon=True)\nalive.start()\ndef works(): return alive.is_alive()\n",
        "import socket\nends = socket.socketpair()\n"
        "def works():\n  ends[0].send(b'x')\n  return ends[1].recv(9) == b'x'\n",
        "import os\nos.environ['SET'] = str(os.getpid())\n"
        "def works(): return os.environ['SET'] == str(os.getpid())\n",
        "import os\nprint('printed by', os.getpid())\ndef works(): return True\n",
    ],
)
async def test_a_package_that_does_something_does_it_in_each(tmp_path: Path, source: str) -> None:
    async with running(
        tmp_path,
        """
        import os, time, package, own_meeting
        def handler(event, context):
            if "folder" in event:
                own_meeting.meet(event["folder"], event["count"])
            return {"works": package.works(), "pid": os.getpid(), "parent": os.getppid()}
        """,
        files=with_package(source),
    ) as harness:
        await harness.invoke()
        answers = await all_at_once(harness)
        assert all(answer["works"] for answer in answers)
        assert len({answer["parent"] for answer in answers}) == 2
        printed = [line for line in harness.lines if line.startswith("printed by")]
        if "print(" in source:
            assert {f"printed by {answer['pid']}" for answer in answers} <= set(printed)
            assert len(printed) == len(set(printed))
        else:
            assert not printed


async def test_without_it_every_environment_is_a_process_of_its_own(tmp_path: Path) -> None:
    options = ServiceOptions(preload=Preload.NONE)
    async with running(tmp_path, SAYING, options=options, files=FILES) as harness:
        assert {answer["parent"] for answer in await several(harness)} == {os.getpid()}
