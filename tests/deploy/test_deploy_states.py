"""What is done about a stack, by its state, and what is said if AWS cannot be asked meanwhile.

CloudFormation is a fake one here: moto has none of these states.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

import deploy.__main__ as program
from deploy.console import Console
from deploy.errors import DeployError
from deploy.options import Options
from deploy.smoke import Found
from deploy.stack import Stacks

ROOT = Path(__file__).parents[2]
KEY = "sk_0123456789abcdef"
STORED = {
    "ElevenLabsApiKey": "****",
    "LlmApiKey": "****",
    "AuthMode": "secret",
    "AuthSecret": "****",
    "AllowedOrigins": "https://a.example",
    "Gone": "x",
}


def refused(code: str, text: str = "so it is") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": text}}, "DescribeStacks")


class Quiet(Console):
    """Nobody to be asked."""

    def __init__(self) -> None:
        self.interactive = False
        self.said: list[str] = []

    def say(self, text: str = "") -> None:
        self.said.append(text)


class Fake:
    """CloudFormation with one stack.

    Attributes:
        troubles: raised by questions after the changes have been started, one after another.
    """

    def __init__(self, status: str | None, *troubles: Exception) -> None:
        self.status = status
        self.troubles = list(troubles)
        self.is_started = False
        self.client = MagicMock()
        self.client.meta.endpoint_url = "https://s3.example"
        self.client.describe_stacks.side_effect = self._describe
        self.client.create_change_set.return_value = {"StackId": "id"}
        self.client.describe_change_set.return_value = {"Status": "CREATE_COMPLETE"}
        self.client.get_paginator.return_value.paginate.return_value = []
        self.client.execute_change_set.side_effect = self._start
        self.account = MagicMock(region="eu-west-1", profile=None, options=["--region", "x"])
        self.account.session.client.return_value = self.client

    def _describe(self, StackName: str) -> Any:
        if self.is_started and self.troubles:
            raise self.troubles.pop(0)
        if self.status is None:
            raise refused("ValidationError", f"Stack with id {StackName} does not exist")
        parameters = [{"ParameterKey": k, "ParameterValue": v} for k, v in STORED.items()]
        stack = {"StackStatus": self.status, "StackId": "id", "Description": "Parley: x"}
        return {"Stacks": [{**stack, "Parameters": parameters}]}

    def _start(self, **_: Any) -> None:
        self.is_started, self.status = True, "UPDATE_COMPLETE"

    @property
    def given(self) -> dict[str, Any]:
        """What the change set was made with."""
        (call,) = self.client.create_change_set.call_args_list
        return dict(call.kwargs)


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Quiet:
    monkeypatch.setenv("ELEVENLABS_API_KEY", KEY)
    for name in ("LLM_API_KEY", "AUTH_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("deploy.stack.POLL_S", 0)
    package = MagicMock(template=b"x", bucket="b")
    monkeypatch.setattr(program, "upload_code", MagicMock(return_value=package))
    return Quiet()


def options(command: str = "deploy", *words: str) -> Options:
    template = ROOT / "template.yaml"
    none: Any = (None, None, "b", None, {})
    return Options(command, template, list(words), True, "parley", "parley", *none)


def run(console: Quiet, fake: Fake, command: str = "deploy", *words: str) -> None:
    deployment = program.Deployment(console, options(command, *words), fake.account)
    deployment.remove() if command == "remove" else deployment.deploy()


FAILED = ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"]


@pytest.mark.parametrize("status", FAILED)
def test_a_deployment_anew_keeps_who_may_connect(console: Quiet, status: str) -> None:
    fake = Fake(status)
    run(console, fake)
    given = {each["ParameterKey"]: each["ParameterValue"] for each in fake.given["Parameters"]}
    assert fake.given["ChangeSetType"] == "CREATE"
    assert given == {
        "ElevenLabsApiKey": KEY,
        "AuthMode": "secret",
        "AllowedOrigins": "https://a.example",
    }
    said = "\n".join(console.said)
    assert "who has a token of your backend, from pages of https://a.example" in said
    assert "Its secrets that are not given are not kept: LlmApiKey, AuthSecret." in said
    what = "a removal of parley" if status == "DELETE_FAILED" else "a deployment of parley"
    assert f"{what} that failed is removed first" in said


def test_what_is_given_comes_before_what_the_failed_one_had(console: Quiet) -> None:
    fake = Fake("ROLLBACK_COMPLETE")
    run(console, fake, "deploy", "AuthMode=off")
    given = {each["ParameterKey"]: each["ParameterValue"] for each in fake.given["Parameters"]}
    assert given["AuthMode"] == "off"
    assert given["AllowedOrigins"] == "https://a.example"


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("UPDATE_ROLLBACK_FAILED", "aws cloudformation continue-update-rollback --region x"),
        ("IMPORT_ROLLBACK_FAILED", "The AWS console shows what is in the way"),
        ("DELETE_IN_PROGRESS", "Wait until that is over"),
    ],
)
def test_what_cannot_be_updated_is_known_before_anything_is_done(
    console: Quiet, status: str, sentence: str
) -> None:
    fake = Fake(status)
    with pytest.raises(DeployError, match=sentence):
        run(console, fake)
    assert not fake.client.create_change_set.called
    assert console.said == []


def test_what_cannot_be_updated_can_be_removed(
    console: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    sam = MagicMock()
    monkeypatch.setattr(program, "run_sam", sam)
    run(console, Fake("UPDATE_ROLLBACK_FAILED"), "remove")
    assert sam.called


@pytest.mark.parametrize(("status", "is_deleted"), [(None, True), ("REVIEW_IN_PROGRESS", False)])
def test_the_shell_of_somebody_else_stays(
    console: Quiet, status: str | None, is_deleted: bool
) -> None:
    fake = Fake(status)

    def fail(**_: Any) -> Any:
        fake.status = "REVIEW_IN_PROGRESS"
        return {"Status": "FAILED", "StatusReason": "it cannot be"}

    fake.client.describe_change_set.side_effect = fail
    with pytest.raises(DeployError, match="it cannot be"):
        run(console, fake)
    assert fake.client.delete_change_set.called
    assert fake.client.delete_stack.called is is_deleted


def test_a_shell_is_not_called_no_stack(console: Quiet) -> None:
    with pytest.raises(DeployError, match="a change set that nobody has started"):
        run(console, Fake("REVIEW_IN_PROGRESS"), "remove")
    with pytest.raises(DeployError, match="There is no stack parley in eu-west-1"):
        run(console, Fake(None), "remove")


@pytest.mark.parametrize(
    "trouble",
    [
        refused("Throttling"),
        refused("ThrottlingException"),
        refused("RequestLimitExceeded"),
        refused("ServiceUnavailable"),
        refused("InternalFailure"),
        EndpointConnectionError(endpoint_url="https://cloudformation"),
        ConnectTimeoutError(endpoint_url="https://cloudformation"),
    ],
    ids=str,
)
def test_it_is_asked_again_while_cloudformation_works(console: Quiet, trouble: Exception) -> None:
    fake = Fake("CREATE_COMPLETE", trouble, trouble, trouble)
    run(console, fake)
    assert "\nparley is deployed:\n" in console.said
    assert sum("cannot be asked" in line for line in console.said) == 1


def exit_code(
    console: Quiet, fake: Fake, monkeypatch: pytest.MonkeyPatch, command: str = "deploy"
) -> int:
    monkeypatch.setattr(program, "open_account", MagicMock(return_value=fake.account))
    monkeypatch.setattr(program, "read_options", lambda _arguments: options(command))
    monkeypatch.setattr(program, "Console", lambda: console)
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        return program.main()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException", "AccessDenied"])
def test_whoever_loses_sight_of_it_is_told_that_it_goes_on(
    console: Quiet,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: str,
) -> None:
    fake = Fake("CREATE_COMPLETE", refused(code))
    assert exit_code(console, fake, monkeypatch) == 1
    complained = capsys.readouterr().err
    assert code in complained
    assert "CloudFormation goes on by itself" in complained
    assert 'make deploy ARGS="--region=eu-west-1"' in complained


def test_it_is_not_asked_for_ever(
    console: Quiet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deploy.stack.GIVE_UP_S", 0)
    trouble = EndpointConnectionError(endpoint_url="https://cloudformation")
    assert exit_code(console, Fake("CREATE_COMPLETE", *[trouble] * 50), monkeypatch) == 1
    assert "CloudFormation goes on by itself" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(
    console: Quiet, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    fake = Fake(None)

    def send(**_: Any) -> Any:
        fake.status = "REVIEW_IN_PROGRESS"
        os.kill(os.getpid(), number)
        return {"Status": "CREATE_IN_PROGRESS"}

    def gone(_text: str = "") -> None:
        raise OSError(5, "Input/output error")

    def stop(*_: Any) -> None:
        monkeypatch.setattr(console, "say", gone)

    fake.client.describe_change_set.side_effect = send
    fake.client.delete_change_set.side_effect = lambda **_: stop()
    handler = signal.signal(number, lambda *_: pytest.fail("it is not caught"))
    try:
        assert exit_code(console, fake, monkeypatch) == program.INTERRUPTED
    finally:
        signal.signal(number, handler)
    assert fake.client.delete_change_set.called
    assert fake.client.delete_stack.called


def test_under_nohup_a_closed_terminal_changes_nothing(
    console: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert exit_code(console, Fake("CREATE_COMPLETE"), monkeypatch) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, handler)


def test_what_is_taken_away_may_fail_without_hiding_why(console: Quiet) -> None:
    fake = Fake(None)
    fake.client.describe_change_set.side_effect = refused("ExpiredToken")
    offline = EndpointConnectionError(endpoint_url="https://cloudformation")
    fake.client.delete_change_set.side_effect = offline
    stacks = Stacks(fake.account, console.say)
    with (
        pytest.raises(ClientError, match="ExpiredToken"),
        stacks.change_set("parley", "https://x", [], is_new=True),
    ):
        pass


def test_what_is_deployed_and_does_not_work_ends_with_a_sentence(
    console: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Found(["responder  The chat endpoint refused the API key (401)."], ["responder"])
    monkeypatch.setattr(program, "ask", lambda _stack, _account: found)
    with pytest.raises(DeployError, match="parley is deployed, and does not work yet: responder"):
        run(console, Fake("CREATE_COMPLETE"))
    assert "  responder  The chat endpoint refused the API key (401)." in console.said
