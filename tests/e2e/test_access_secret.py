"""A deployment that shares a secret with its app's backend: tokens by hand, by the token
function, and the clients that show them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from parley_client import Conversation, Unauthorized
from samwire.template.reader import read_stack
from tests.e2e.backend import client_of, secret_of, token_for
from tests.e2e.http_api import HttpSession, problem, url_of
from tests.e2e.knocking import javascript_client
from tests.e2e.raw import opened
from tests.e2e.stack import ROOT, Stack
from tests.e2e.test_access import knock
from tests.unit.tokens import SECRET, shared_token

pytestmark = pytest.mark.timeout(120)
READING = "secretsmanager:GetSecretValue"


@pytest.fixture
def stack(secret_stack: Stack) -> Stack:
    """Secrets Manager has made its secret."""
    secret_stack.standins.reset()
    return secret_stack


def test_a_secret_that_is_given_is_the_deployment_s() -> None:
    given = {"ElevenLabsApiKey": "x", "AuthMode": "secret", "AuthSecret": SECRET}
    read = read_stack(ROOT / "template.yaml", given, "us-east-1", "localhost")
    (secret,) = [secret for secret in read.secrets if secret.logical_id == "TokenSecret"]
    assert secret.value == SECRET


def invoke(stack: Stack, event: dict[str, Any]) -> dict[str, Any]:
    """Invoke the token function as a backend does."""
    client = client_of("lambda", stack)
    name = stack.info["outputs"]["TokenFunctionName"]
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    found: dict[str, Any] = json.loads(answer["Payload"].read())
    return found


async def test_a_token_of_the_backend_lets_its_user_talk(stack: Stack) -> None:
    async with opened(stack.url, token=token_for(stack, "ada")) as client:
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
    async with opened(stack.url, token=token_for(stack, "ada"), **kept) as again:
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
        [sys.executable, "-m", "parley.auth.token_issuer", "--subject", "ada"],
        env={"AUTH_SECRET": secret_of(stack)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert await knock(stack.url, ["parley", made.stdout.strip()]) == 101


# --- settings that a token sets -----------------------------------------------------------------

STYLE = "Answer as a harbour pilot would."


def instructions(stack: Stack) -> str:
    """What the model was told with the latest turn."""
    asked = [r for r in stack.llm.requests() if r["path"].endswith("/chat/completions")]
    return str(asked[-1]["body"]["messages"][0]["content"])


async def test_only_a_token_can_write_into_the_model_s_instructions(stack: Stack) -> None:
    async with opened(stack.url, init=False, token=token_for(stack, "eve")) as eve:
        await eve.send(type="init", protocol=1, settings={"style": STYLE})
        refused = await eve.other()
        assert (refused["code"], refused["field"]) == ("bad_request", "init.settings.style")
        await eve.init()
        assert (await eve.say("Hello.")).end["reason"] == "completed"
    assert STYLE not in instructions(stack)
    token = token_for(stack, "ada", parley_settings={"style": STYLE})
    async with opened(stack.url, token=token) as ada:
        assert ada.ready["settings"]["style"] == STYLE
        assert (await ada.say("Hello.")).end["reason"] == "completed"
        assert STYLE in instructions(stack)
        await ada.send(type="config", settings={"style": "Be rude."})
        assert (await ada.other())["field"] == "config.settings.style"
    assert STYLE not in stack.logs()


async def test_over_http_a_token_sets_the_same(stack: Stack) -> None:
    token = token_for(stack, "ada", parley_settings={"style": STYLE})
    async with HttpSession(stack, token) as ada:
        await ada.say("Hello.")
        assert STYLE in instructions(stack)
    async with HttpSession(stack, token_for(stack, "eve")) as eve:
        refused = await eve.post(text="Hello.", settings={"style": STYLE})
        assert "lets a client set" in problem(refused, 400, "bad_request", "settings.style")


async def test_the_token_function_signs_settings(stack: Stack) -> None:
    made = invoke(stack, {"subject": "ada", "settings": {"style": STYLE}})
    async with opened(stack.url, token=made["token"]) as ada:
        assert ada.ready["settings"]["style"] == STYLE
        assert "style" not in ada.ready["choices"]["settings"]
    failed = invoke(stack, {"subject": "ada", "settings": {"record": True}})
    assert "settings.record: consent is the user's to give" in failed["errorMessage"]


# --- the clients -------------------------------------------------------------------------------


async def test_the_python_client_asks_for_another_token_when_one_is_refused(stack: Stack) -> None:
    tokens = [token_for(stack, "ada", exp=1), token_for(stack, "ada")]

    async def fetch() -> str:
        return tokens.pop(0)

    async with Conversation.connect(stack.url, token=fetch) as conversation:
        assert (await conversation.say("Hello.")).reason == "completed"
    assert tokens == []


async def test_the_python_client_without_a_token_says_that_it_needs_one(stack: Stack) -> None:
    with pytest.raises(Unauthorized, match="wants a token"):
        await Conversation.connect(stack.url)


def test_the_javascript_client_asks_for_another_token_when_one_is_refused(stack: Stack) -> None:
    came = javascript_client(stack, token_for(stack, "ada", exp=1), token_for(stack, "ada"))
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


async def test_without_its_permission_the_connect_function_lets_nobody_in(stack: Stack) -> None:
    before = len(stack.logs())
    with stack.without("ConnectFunction", READING):
        stack.renew("ConnectFunction")  # those that there are know the secret
        assert await knock(stack.url, ["parley", token_for(stack, "ada")]) == 503
        assert "AccessDeniedException" in stack.logs()[before:]
    stack.renew("ConnectFunction")  # one that failed does not try again for some seconds
    assert await knock(stack.url, ["parley", token_for(stack, "ada")]) == 101


def test_without_its_permission_the_token_function_makes_no_token(stack: Stack) -> None:
    with stack.without("TokenFunction", READING):
        stack.renew("TokenFunction")
        failed = invoke(stack, {"subject": "ada"})
    assert failed["errorMessage"] == "The secret cannot be read. The log says why."
