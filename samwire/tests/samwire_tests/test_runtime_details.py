"""Execution environments at the edges: versions, limits, misbehaviour, and how it all ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from websockets.asyncio.client import connect

from samwire.__main__ import main
from samwire.stack import LocalStack, Options
from samwire.workspace import Workspace
from samwire_tests.conftest import eventually
from samwire_tests.open_ports import alive, command, family_of
from samwire_tests.probe_stack import PROBE, Probe, running_probe

MESSAGE = {"requestContext": {"eventType": "MESSAGE"}}


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    folder = tmp_path_factory.mktemp("probe")
    variables = folder / "variables.json"
    variables.write_text(json.dumps({"Probe": {"CHANGED": "by the file"}}))
    with running_probe(folder, "--env-vars", str(variables)) as running:
        yield running


def seen(probe: Probe, qualifier: str = "") -> dict[str, Any]:
    """What the probe sees when it is invoked by a version or an alias."""
    more = {"Qualifier": qualifier} if qualifier else {}
    answer = probe.client("lambda").invoke(
        FunctionName=probe.function("Probe"), Payload=json.dumps(MESSAGE), **more
    )
    found = json.loads(json.loads(answer["Payload"].read())["body"])
    return {**found, "executed": answer["ExecutedVersion"]}


# --- versions and environment ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("qualifier", "version", "initialization"),
    [("", "$LATEST", "on-demand"), ("live", "1", "snap-start"), ("1", "1", "snap-start")],
)
def test_an_alias_runs_the_published_version(
    probe: Probe, qualifier: str, version: str, initialization: str
) -> None:
    found = seen(probe, qualifier)
    assert (found["version"], found["executed"]) == (version, version)
    assert found["initialization"] == initialization
    assert found["restored"] == ([True] if initialization == "snap-start" else [])
    assert found["arn"].endswith(f"function:local-Probe:{qualifier}".rstrip(":"))


def test_an_unknown_alias_or_version_is_not_found(probe: Probe) -> None:
    client = probe.client("lambda")
    for name in ("Probe:nosuch", "Probe:2", "Nosuch"):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.invoke(FunctionName=f"local-{name}")


def test_a_function_is_found_by_its_arn(probe: Probe) -> None:
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{probe.function('Inline')}"
    answer = probe.client("lambda").invoke(FunctionName=arn)
    assert json.loads(answer["Payload"].read()) == "from the template"


def test_a_dry_run_runs_nothing(probe: Probe) -> None:
    before = probe.log.read_text().count("Inline | START")
    answer = probe.client("lambda").invoke(
        FunctionName=probe.function("Inline"), InvocationType="DryRun"
    )
    assert answer["StatusCode"] == 204
    assert probe.log.read_text().count("Inline | START") == before


def test_a_process_sees_what_lambda_sets_and_the_layers(probe: Probe) -> None:
    found = seen(probe, "live")
    assert found["lib"] == "a layer"
    assert found["log_group"] == "/aws/lambda/local-Probe"
    assert found["changed"] == "by the file"
    assert found["developer"] == []
    assert re.fullmatch(
        r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", found["trace"]
    )


def test_the_apis_aws_address_in_a_variable_is_the_local_one(probe: Probe) -> None:
    assert seen(probe, "live")["url"] == probe.info["management_url"]


def test_what_a_function_prints_is_logged_before_its_end(probe: Probe) -> None:
    for _ in range(5):
        seen(probe, "live")
    lines = [line for line in probe.log.read_text().splitlines() if line.startswith("Probe | ")]
    kinds = [line.split()[2] for line in lines[-20:]]
    assert kinds == ["START", "EVENT", "END", "REPORT"] * 5


# --- concurrency ----------------------------------------------------------------------------


def test_reserved_concurrency_throttles(probe: Probe) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(probe.invoke, "Single", {"seconds": 1.5})
        eventually(lambda: "Single | START" in probe.log.read_text())
        with pytest.raises(urllib.error.HTTPError) as refused:
            # Not boto3: it would try again until there is room.
            urllib.request.urlopen(
                f"{probe.info['lambda_endpoint']}/2015-03-31/functions/local-Single/invocations",
                data=b"{}",
            )
        assert refused.value.code == 429
        assert refused.value.headers["x-amzn-ErrorType"] == "TooManyRequestsException"
        refused.value.close()
        assert first.result()[1] is False


def test_concurrent_invocations_have_an_environment_each(probe: Probe) -> None:
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(probe.invoke, "Misbehave", {"seconds": 2}) for _ in range(2)]
        pids = {run.result()[0]["pid"] for run in runs}
    assert len(pids) == 2
    assert probe.invoke("Misbehave", {"wrong": "nothing"})[0]["pid"] in pids


# --- misbehaviour ---------------------------------------------------------------------------


def test_a_very_long_line_of_log_stops_nothing(probe: Probe) -> None:
    answer, failed = probe.invoke("Misbehave", {"wrong": "long line"})
    assert not failed
    assert "pid" in answer


def test_too_large_an_answer_is_an_error(probe: Probe) -> None:
    answer, failed = probe.invoke("Misbehave", {"wrong": "large"})
    assert failed
    assert answer["errorType"] == "Function.ResponseSizeTooLarge"


def test_a_runtime_that_exits_is_an_error_and_the_next_call_works(probe: Probe) -> None:
    answer, failed = probe.invoke("Misbehave", {"wrong": "exit"})
    assert failed
    assert answer["errorType"] == "Runtime.ExitError"
    assert answer["errorMessage"].endswith("Runtime exited with error: exit status 7")
    assert probe.invoke("Misbehave", {"wrong": "nothing"})[1] is False


def test_an_exit_during_init_is_an_error(probe: Probe) -> None:
    answer, failed = probe.invoke("Dying", {})
    assert failed
    assert answer["errorType"] in ("Runtime.ExitError", "Runtime.Unknown", "SystemExit")


def test_too_large_an_event_is_refused(probe: Probe) -> None:
    client = probe.client("lambda")
    payload = json.dumps("x" * (6 * 1024 * 1024))
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName=probe.function("Inline"), Payload=payload)
    assert refused.value.response["Error"]["Code"] == "RequestTooLargeException"


# --- life of the stack ----------------------------------------------------------------------


async def test_a_stack_inside_a_program_leaves_nothing_that_a_function_has_started() -> None:
    lines: list[tuple[str, str]] = []
    options = Options(template=PROBE, port=0, log=lambda source, line: lines.append((source, line)))
    async with LocalStack(options) as stack, connect(stack.info["websocket_url"]) as socket:
        await socket.send(json.dumps({"do": {"it": ["echo"]}}))
        assert json.loads(await asyncio.wait_for(socket.recv(), 10))["changed"] == "by the template"
        inside = Probe(stack.info, Path(os.devnull))
        calling = threading.Thread(target=quietly, args=(inside, {"wrong": "child"}))
        calling.start()
        await asyncio.to_thread(eventually, lambda: children_in(lines))
    calling.join()
    (child,) = children_in(lines)
    eventually(lambda: not alive(child))
    assert {source for source, _ in lines} >= {"gateway", "Probe"}


async def test_a_start_says_what_it_waits_for_to_who_asks() -> None:
    said: list[str] = []
    async with LocalStack(Options(template=PROBE, port=0, progress=said.append)) as stack:
        assert said == [
            f"reading {PROBE.name}",
            "starting the database and the other services",
            f"creating the tables and loading {len(stack.info['functions'])} functions",
        ]


def quietly(probe: Probe, event: dict[str, Any]) -> None:
    """Invoke something that will not answer, because the stack ends."""
    with contextlib.suppress(BotoCoreError):
        probe.invoke("Misbehave", event)


def children_in(lines: list[tuple[str, str]]) -> list[int]:
    """What the misbehaving function says that it has started."""
    return [int(line.split()[1]) for _, line in list(lines) if line.startswith("CHILD ")]


def test_localhost_is_served_by_its_ipv6_address_too(probe: Probe) -> None:
    port = int(str(probe.info["static_url"]).rstrip("/").rsplit(":", 1)[1])
    try:
        with socket.socket(socket.AF_INET6) as possible:
            possible.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with socket.create_connection(("::1", port), 5) as connection:
        connection.sendall(b"GET /dev HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 426"


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_stack_can_be_stopped_while_it_starts() -> None:
    start = [sys.executable, "-m", "samwire", "start", "--no-lint", "--template", str(PROBE)]
    with subprocess.Popen(
        [*start, "--port", "0", "--prewarm", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as starting:
        # Not before it is moto: the start waits for a child's exec, and for no signal meanwhile.
        eventually(lambda: any("moto_server" in command(each) for each in family_of(starting.pid)))
        _, moto = family_of(starting.pid)
        os.kill(moto, signal.SIGSTOP)  # so that the start cannot come to its end
        starting.send_signal(signal.SIGTERM)
        said, errors = starting.communicate(timeout=20)  # it would wait 30 s for moto
    assert starting.returncode == 0
    assert said == b"", "it has not come to run"
    assert b"Traceback" not in errors
    eventually(lambda: not alive(moto))


def test_the_folder_of_a_killed_stack_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living, dead = Workspace(), tmp_path / "local-stack-dead"
    dead.mkdir()
    (dead / "lock").touch()
    for folder in (living.folder, dead):
        os.utime(folder, (0, 0))
    (tmp_path / "local-stack-young").mkdir()
    other = Workspace()
    try:
        assert living.folder.exists()
        assert (tmp_path / "local-stack-young").exists()
        assert not dead.exists()
    finally:
        living.remove()
        other.remove()
    assert not living.folder.exists()


def test_a_dynamodb_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--template", str(PROBE), "--port", "0")
    with mock.patch.dict(os.environ):
        assert (
            main(["start", "--no-lint", *options, "--dynamodb-endpoint", "http://127.0.0.1:9"]) == 2
        )
    said = capsys.readouterr().err
    assert "--dynamodb-endpoint" in said
    assert said.count("\n") == 1


# --- DynamoDB -------------------------------------------------------------------------------


def test_of_concurrent_conditional_writes_one_holds(probe: Probe) -> None:
    client, table = probe.client("dynamodb"), probe.info["tables"]["Table"]

    def claim(key: str) -> bool:
        try:
            client.put_item(
                TableName=table,
                Item={"pk": {"S": key}, "sk": {"S": "claim"}},
                ConditionExpression="attribute_not_exists(pk)",
            )
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        for round_number in range(10):
            assert sum(pool.map(claim, [f"round-{round_number}"] * 8)) == 1
