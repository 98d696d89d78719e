"""A deployment that shares a secret with its app's backend: tokens by hand, by the token
function, and the clients that show them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from parley_client import Conversation, Unauthorized
from tests.e2e.http_api import url_of
from tests.e2e.knocking import javascript_client
from tests.e2e.raw import opened
from tests.e2e.stack import Stack, running_stack
from tests.e2e.test_access import knock
from tests.unit.tokens import SECRET, shared_token

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    parameters = {"AuthMode": "secret", "AuthSecret": SECRET}
    with running_stack(tmp_path_factory.mktemp("secret"), parameters=parameters) as running:
        yield running


def token_for(subject: str, **changes: Any) -> str:
    return shared_token({"sub": subject, "exp": int(time.time()) + 60, **changes})


def invoke(stack: Stack, event: dict[str, Any]) -> dict[str, Any]:
    """Invoke the token function as a backend does."""
    client = boto3.client(
        "lambda",
        endpoint_url=stack.info["lambda_endpoint"],
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    name = stack.info["outputs"]["TokenFunctionName"]
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    found: dict[str, Any] = json.loads(answer["Payload"].read())
    return found


async def test_a_token_of_the_backend_lets_its_user_talk(stack: Stack) -> None:
    async with opened(stack.url, token=token_for("ada")) as client:
        assert (await client.say("Hello.")).end["reason"] == "completed"


@pytest.mark.parametrize("protocols", [None, ["parley"], ["parley", "garbage"]])
async def test_without_one_nobody_talks(stack: Stack, protocols: list[str] | None) -> None:
    assert await knock(stack.url, protocols) == 401


async def test_a_token_signed_with_another_secret_is_refused(stack: Stack) -> None:
    forged = shared_token({"sub": "ada", "exp": int(time.time()) + 60}, "x" * 40)
    assert await knock(stack.url, ["parley", forged]) == 401


async def test_the_token_function_makes_tokens_for_who_may_invoke_it(stack: Stack) -> None:
    made = invoke(stack, {"subject": "ada", "ttl_s": 60})
    assert abs(made["expires_at"] - time.time() - 60) < 10
    async with opened(stack.url, token=made["token"]) as client:
        kept = {name: client.ready[name] for name in ("session_id", "resume_token")}
    async with opened(stack.url, token=token_for("ada"), **kept) as again:
        assert again.ready["resumed"] is True, "both tokens stand for the same user"
    assert made["token"] not in stack.logs()


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ({}, "Object missing required field `subject`"),
        ({"subject": ""}, "subject: expected 1 to 256 characters."),
        ({"subject": "ada", "ttl_s": 999_999}, "ttl_s: expected 1 to 3600 s, got 999999."),
        ({"subject": "ada", "tenant": "acme"}, "tenant: this deployment has one tenant"),
        ({"subject": "ada", "admin": True}, "unknown field `admin`"),
    ],
)
def test_a_request_for_no_token_is_explained(
    stack: Stack, event: dict[str, Any], sentence: str
) -> None:
    failed = invoke(stack, event)
    assert failed["errorType"] == "BadRequest"
    assert sentence in failed["errorMessage"]


async def test_a_token_made_by_hand_is_taken(stack: Stack) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "parley.access.mint", "--subject", "ada"],
        env={"AUTH_SECRET": SECRET},
        capture_output=True,
        text=True,
        check=True,
    )
    assert await knock(stack.url, ["parley", made.stdout.strip()]) == 101


# --- the clients -------------------------------------------------------------------------------


async def test_the_python_client_asks_for_another_token_when_one_is_refused(stack: Stack) -> None:
    tokens = [token_for("ada", exp=1), token_for("ada")]

    async def fetch() -> str:
        return tokens.pop(0)

    async with Conversation.connect(stack.url, token=fetch) as conversation:
        assert (await conversation.say("Hello.")).reason == "completed"
    assert tokens == []


async def test_the_python_client_without_a_token_says_that_it_needs_one(stack: Stack) -> None:
    with pytest.raises(Unauthorized, match="wants a token"):
        await Conversation.connect(stack.url)


def test_the_javascript_client_asks_for_another_token_when_one_is_refused(stack: Stack) -> None:
    came = javascript_client(stack, token_for("ada", exp=1), token_for("ada"))
    assert came == {"type": "ready", "resumed": False, "asked": 2, "transport": "websocket"}


def test_the_javascript_client_ends_as_unauthorized_when_tokens_are_refused(stack: Stack) -> None:
    came = javascript_client(stack, "garbage", http_url=url_of(stack))
    assert came == {"code": "unauthorized", "retryable": False, "asked": 3}


def test_without_the_http_api_the_javascript_client_cannot_know_why_and_says_so(
    stack: Stack,
) -> None:
    came = javascript_client(stack, "garbage")
    assert came == {"code": "handshake_refused", "retryable": True, "asked": 6}


# --- permissions -------------------------------------------------------------------------------


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Stack]:
    """A stack whose functions have read nothing yet; Secrets Manager makes the secret."""
    with running_stack(tmp_path, parameters={"AuthMode": "secret"}) as running:
        yield running


def roles_of(stack: Stack) -> dict[str, Any]:
    """What the functions' roles may do."""
    with urllib.request.urlopen(_permissions(stack), timeout=10) as answer:
        roles: dict[str, Any] = json.loads(answer.read())["roles"]
    return roles


def permit(stack: Stack, roles: dict[str, Any]) -> None:
    """Replace what these roles may do."""
    change = json.dumps({"roles": roles}).encode()
    request = urllib.request.Request(_permissions(stack), change, method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


def _permissions(stack: Stack) -> str:
    return str(stack.info["lambda_endpoint"]) + "/_local/permissions"


def without_the_secret(stack: Stack, function: str) -> dict[str, Any]:
    """The role of a function, but it may not read the secret."""
    roles = {name: role for name, role in roles_of(stack).items() if function in name}
    assert "secretsmanager:GetSecretValue" in json.dumps(roles)
    taken: dict[str, Any] = json.loads(json.dumps(roles).replace("GetSecretValue", "None"))
    return taken


async def test_without_its_permission_the_connect_function_lets_nobody_in(fresh: Stack) -> None:
    token, before = invoke(fresh, {"subject": "ada"})["token"], roles_of(fresh)
    permit(fresh, without_the_secret(fresh, "ConnectFunction"))
    assert await knock(fresh.url, ["parley", token]) == 503
    assert "AccessDeniedException" in fresh.logs()
    permit(fresh, before)
    assert await knock(fresh.url, ["parley", token]) == 101


def test_without_its_permission_the_token_function_makes_no_token(fresh: Stack) -> None:
    permit(fresh, without_the_secret(fresh, "TokenFunction"))
    failed = invoke(fresh, {"subject": "ada"})
    assert failed["errorMessage"] == "The secret cannot be read. The log says why."
