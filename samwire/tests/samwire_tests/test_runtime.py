"""The runtime: real awslambdaric processes, invoked as boto3 invokes them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any
from unittest import mock

import pytest
from botocore.exceptions import ClientError
from websockets.asyncio.client import connect

from samwire.__main__ import main
from samwire_tests.conftest import CHAT, App, eventually
from samwire_tests.open_ports import alive, command, family_of

SECRET = ("--parameter-overrides", "Secret=x")


async def test_a_function_sees_lambdas_environment_and_not_the_developers(app: App) -> None:
    async with connect(app.url) as socket:
        await socket.send(json.dumps({"action": "environment"}))
        found = json.loads(await socket.recv())
    assert found["greeting"] == "hello"
    assert ":secret:local-AppSecret-" in found["secret"]
    assert found["home_credentials"] is None
    assert 0 < found["remaining_ms"] <= 3000
    assert found["name"] == app.info["functions"]["Chat"]


async def test_a_crash_is_reported_and_the_next_invocation_works(app: App) -> None:
    async with connect(app.url) as socket:
        await socket.send(json.dumps({"action": "crash"}))
        assert "Internal server error" in str(await socket.recv())
        await socket.send(json.dumps({"action": "post", "data": "alive"}))
        assert await socket.recv() == "alive"
    assert "Runtime exited with error: exit status 3" in app.log.read_text()


async def test_a_function_past_its_timeout_is_killed(app: App) -> None:
    async with connect(app.url) as socket:
        await socket.send(json.dumps({"action": "slow", "seconds": 20, "data": "never"}))
        assert "Internal server error" in str(await socket.recv())
    assert "Task timed out after 3.00 seconds" in app.log.read_text()


def test_invoke_waits_for_the_result(app: App) -> None:
    event = json.dumps({"table": app.info["tables"]["Connections"], "id": "sync"})
    answer = app.client("lambda").invoke(
        FunctionName=app.info["functions"]["Worker"], Payload=event
    )
    assert json.loads(answer["Payload"].read()) == {"done": "sync"}
    assert "FunctionError" not in answer


def test_a_warm_environment_is_used_again(app: App) -> None:
    service, function = app.client("lambda"), app.info["functions"]["Worker"]
    event = json.dumps({"table": app.info["tables"]["Connections"], "id": "warm"})
    service.invoke(FunctionName=function, Payload=event)
    cold = app.log.read_text().count("Init Duration")
    for _ in range(3):
        service.invoke(FunctionName=function, Payload=event)
    assert app.log.read_text().count("Init Duration") == cold


def test_a_function_that_raises_is_a_function_error(app: App) -> None:
    event = json.dumps({"table": app.info["tables"]["Connections"], "id": "bad", "fail": True})
    answer = app.client("lambda").invoke(
        FunctionName=app.info["functions"]["Worker"], Payload=event
    )
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read())["errorType"] == "RuntimeError"


def test_a_module_that_is_missing_is_an_init_error(app: App) -> None:
    answer = app.client("lambda").invoke(
        FunctionName=app.info["functions"]["Broken"], Payload=b"{}"
    )
    assert json.loads(answer["Payload"].read())["errorType"] == "Runtime.ImportModuleError"


@pytest.mark.parametrize(
    ("reference", "calls"), [("local-Worker", 3), ("local-Once", 3), ("local-Once:live", 1)]
)
def test_asynchronous_invocations_are_retried_as_the_template_says_of_the_qualifier(
    app: App, reference: str, calls: int
) -> None:
    event = json.dumps({"table": app.info["tables"]["Connections"], "id": reference, "fail": True})
    arn = f"{reference}:$LATEST" if ":" not in reference else reference
    given_up = f"{arn} (RetriesExhausted)"
    before = app.log.read_text().count(given_up)
    answer = app.client("lambda").invoke(
        FunctionName=reference, InvocationType="Event", Payload=event
    )
    assert answer["StatusCode"] == 202
    eventually(
        lambda: app.log.read_text().count(given_up) > before and app.calls(reference) == calls
    )


def test_aliases_and_unknown_functions(app: App) -> None:
    service = app.client("lambda")
    once = app.info["functions"]["Once"]
    assert service.invoke(FunctionName=f"{once}:live", InvocationType="DryRun")["StatusCode"] == 204
    for name in ("nosuch", f"{once}:nosuch"):
        with pytest.raises(service.exceptions.ResourceNotFoundException):
            service.invoke(FunctionName=name, Payload=b"{}")
    with pytest.raises(ClientError) as refused:
        service.invoke(FunctionName=once, Payload=b"no json")
    assert refused.value.response["Error"]["Code"] == "InvalidRequestContentException"


def test_reports_are_as_lambda_writes_them(app: App) -> None:
    eventually(lambda: "REPORT RequestId: " in app.log.read_text())
    report = next(line for line in app.log.read_text().splitlines() if "REPORT" in line)
    for part in ("Duration: ", "Billed Duration: ", "Memory Size: 128 MB"):
        assert part in report


def start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "samwire", "start", "--no-lint", "--template", str(CHAT), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize(
    ("how", "only", "count"),
    [
        (signal.SIGKILL, (), 3),  # Broken starts never
        (signal.SIGTERM, ("--prewarm-only", "Chat", "--prewarm-only", "Worker"), 2),
    ],
)
def test_those_that_are_named_are_there_from_the_start_and_none_is_left_however_it_ends(
    how: signal.Signals, only: tuple[str, ...], count: int
) -> None:
    with start("--json", "--port", "0", "--prewarm", "1", *only, *SECRET) as stack:
        assert stack.stdout is not None
        assert stack.stdout.readline()
        children = set(family_of(stack.pid)) - {stack.pid}
        environments = [pid for pid in children if "samwire.runtime.launcher" in command(pid)]
        assert len(environments) == count
        assert len(children) > count, "moto is there as well"
        stack.send_signal(how)
        stack.wait(30)
        eventually(lambda: not any(alive(child) for child in children))


def in_use(info: dict[str, Any]) -> str:
    """The port of a stack that runs."""
    return str(info["static_url"]).rsplit(":", 1)[1].strip("/")


NO_SUCH = "has no parameter Nosuch"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "The parameter Secret has no value."),
        (("--parameter-overrides", "Nosuch=1"), NO_SUCH),  # and Secret has no value
        (("--parameter-overrides", "Secret"), "expected KEY=VALUE"),
        (("--port", "IN_USE", *SECRET), "Port IN_USE is in use."),
        (("--template", "nosuch.yaml"), "There is no template nosuch.yaml."),
        (
            (*SECRET, "--prewarm-only", "Nosuch"),
            "--prewarm-only: the template has no function Nosuch. It has ",
        ),
        (("--faults", '{"faults": [{"kind": "x"}]}'), "$.faults[0].kind"),
    ],
)
def test_a_mistake_is_one_sentence(
    app: App, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], sentence: str
) -> None:
    port = in_use(app.info)
    given = [port if option == "IN_USE" else option for option in options]
    with mock.patch.dict(os.environ):
        status = main(["start", "--no-lint", "--template", str(CHAT), "--port", "0", *given])
    said = capsys.readouterr().err
    assert status == 2
    assert sentence.replace("IN_USE", port) in said
    lines = said.splitlines()
    assert all(line.endswith((".", "…")) for line in lines), "each fault is a sentence"
    assert len(lines) == (2 if sentence == NO_SUCH else 1)


def test_the_command_ends_with_2_after_a_mistake() -> None:
    with start("--port", "0") as stack:
        _, said = stack.communicate(timeout=30)
    assert stack.returncode == 2
    assert said.startswith("The parameter Secret has no value.")


def test_what_is_not_served_is_named(app: App) -> None:
    notices = [notice for notice in app.info["notices"] if " run on python" not in notice]
    assert notices == ["Stream: AWS::Kinesis::Stream is not served here."]
