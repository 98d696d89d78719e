"""What becomes of the deployer's file: the toolbox of turns, and the sentences of health."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parley.app.tools import build_check, build_toolbox
from parley.aws.failures import ServiceError
from parley.config import Deployment
from parley.providers.checks import Unhealthy

LAMBDA = '[order_status]\ndescription = "x"\nlambda = "order-status"\neffect = "read"\n'
HTTP = '[letter]\ndescription = "x"\nhttp = "https://a.example"\nsecret = "letters"\n'
Write = Callable[[str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the deployer's file, where a function finds it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_text(text: str) -> None:
        (tmp_path / "tools.toml").write_text(text)

    return write_text


def deployment(**more: Any) -> Deployment:
    return Deployment(table="table", stack_name="shop", languages=("en",), **more)


def build(**more: Any) -> tuple[list[str], list[tuple[str, dict[str, Any]]]]:
    """The names of the tools of a turn, and what was logged."""
    logged: list[tuple[str, dict[str, Any]]] = []
    toolbox = build_toolbox(deployment(**more), lambda *entry: logged.append(entry))
    return list(toolbox.choose(None, (), connected=True)), logged


async def check(secrets: dict[str, str] | None = None, **more: Any) -> str | None:
    """What health says of the tools."""

    async def read_secret(name: str) -> str:
        assert secrets is not None
        return secrets.get(name, "")

    found = build_check(deployment(**more), None if secrets is None else read_secret)
    return "nothing" if found is None else await found()


@pytest.mark.parametrize("text", [None, "", "# [order_status]\n"])
async def test_without_a_tool_in_the_file_there_are_none_and_nothing_is_checked(
    write: Write, text: str | None
) -> None:
    if text is not None:
        write(text)
    assert build() == ([], [])
    assert await check() == "nothing"


async def test_what_the_file_declares_is_offered_and_well(write: Write) -> None:
    write(LAMBDA)
    assert build() == (["order_status"], [])
    assert await check() == ""


async def test_a_mistake_costs_the_tools_and_is_said_in_the_log_and_in_health(
    write: Write,
) -> None:
    write(f"{LAMBDA}timeout_s = 100")
    names, ((event, fields),) = build()
    assert (names, event) == ([], "tools_refused")
    sentence = "tools.toml: order_status: timeout_s: expected a number of seconds from 1 to 60."
    assert fields == {"advice": sentence}
    with pytest.raises(Unhealthy) as ill:
        await check()
    assert str(ill.value) == sentence


@pytest.mark.parametrize("tools", ["", LAMBDA])
async def test_a_wrong_file_of_an_agent_is_said_in_health(
    write: Write, tmp_path: Path, tools: str
) -> None:
    write(tools)
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "host.toml").write_text('prompt = "You book tables."')
    assert await check() == ""
    (tmp_path / "agents" / "host.toml").write_text('promt = "You book tables."')
    with pytest.raises(Unhealthy, match=r"agents/host\.toml: .*`promt`"):
        await check()


async def test_a_schema_that_cannot_be_compiled_is_found_by_health(write: Write) -> None:
    write(f'{LAMBDA}parameters.a = {{ type = "string", minLength = "1" }}')
    with pytest.raises(Unhealthy, match=r"order_status: its parameters are no valid JSON Schema"):
        await check()


async def test_a_file_that_the_deployer_has_named_must_be_there(write: Write) -> None:
    names, ((event, fields),) = build(tools_file="mine.toml")
    assert (names, event) == ([], "tools_refused")
    assert fields["advice"] == "ToolsFile: there is no mine.toml in the folder tools/."
    with pytest.raises(Unhealthy, match=r"^ToolsFile: there is no mine\.toml"):
        await check(tools_file="mine.toml")


async def test_a_responder_that_calls_no_tools_is_offered_none_and_that_is_said(
    write: Write,
) -> None:
    write(LAMBDA)
    names, ((event, fields),) = build(responder="n8n")
    assert (names, event) == ([], "tools_not_offered")
    assert fields["advice"].startswith("tools.toml declares tools, and Responder n8n calls none:")
    with pytest.raises(
        Unhealthy, match="Responder n8n calls none: set Responder to openai_chat or"
    ):
        await check(responder="n8n")


async def test_a_second_responder_that_calls_no_tools_is_said_and_is_no_failure(
    write: Write,
) -> None:
    write(LAMBDA)
    names, ((event, fields),) = build(fallback_responder="n8n")
    assert (names, event) == (["order_status"], "tools_not_offered")
    remark = await check(fallback_responder="n8n")
    assert remark == fields["advice"]
    assert str(remark).startswith("FallbackResponder n8n calls no tools:")


async def test_a_secret_that_cannot_be_read_is_named_with_the_cause(write: Write) -> None:
    async def read_secret(name: str) -> str:
        raise ServiceError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")

    write(HTTP)
    found = build_check(deployment(), read_secret)
    assert found is not None
    told = r"^The secret of ToolSecretsArn cannot be read: AccessDeniedException\.$"
    with pytest.raises(Unhealthy, match=told):
        await found()


async def test_a_secret_that_a_tool_names_must_be_there(write: Write) -> None:
    write(HTTP)
    with pytest.raises(Unhealthy, match=r"^letter needs the secret letters: set ToolSecretsArn\.$"):
        await check()
    with pytest.raises(Unhealthy, match=r"^letter: the secret of ToolSecretsArn has no letters\.$"):
        await check({})
    assert await check({"letters": "x"}) == ""


async def test_hosts_that_may_be_private_are_the_deployments(write: Write) -> None:
    write(HTTP.replace("https://a.example", "http://crm:8000/letters"))
    assert build()[0] == []
    assert build(private_tool_hosts=("crm:8000",))[0] == ["letter"]
