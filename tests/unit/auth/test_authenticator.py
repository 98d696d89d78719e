"""A handshake as the authenticator sees it: origin first, then the token."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from parley.auth.authenticator import Authenticator
from parley.auth.claims import MAX_TOKEN_CHARACTERS, ClaimRules
from parley.auth.config import AccessRules, is_trustworthy_url
from parley.auth.errors import AccessDenied
from parley.auth.origins import AllowedOrigins
from parley.auth.shared_secret import SharedSecret
from parley.auth.signature import SharedSecretVerifier
from parley.auth.token_issuer import BadRequest, TokenRequest, issue_token
from parley.errors import ConfigurationError
from parley.principal import ANONYMOUS, Principal
from tests.unit.tokens import SECRET, shared_token

NOW = 1_700_000_000.0
TOKEN = shared_token({"sub": "ada", "exp": NOW + 300})
ECHOED = {"Sec-WebSocket-Protocol": "parley"}


def make_authenticator(*, open_to_all: bool = False, origins: str = "*") -> Authenticator:
    rules = AccessRules(AllowedOrigins(origins))
    verifier = SharedSecretVerifier(SharedSecret(SECRET.encode, lambda: NOW).find_candidates)
    return Authenticator(rules, None if open_to_all else verifier, lambda: NOW)


def event(
    protocols: str | None = None, query: dict[str, str] | None = None, origin: str = ""
) -> dict[str, Any]:
    headers = {"Origin": origin} if origin else {}
    if protocols is not None:
        headers["Sec-WebSocket-Protocol"] = protocols
    found: dict[str, Any] = {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
    }
    return {**found, "queryStringParameters": query} if query else found


@pytest.mark.parametrize(
    ("given", "echoed"),
    [
        (event(f"parley, {TOKEN}"), ECHOED),
        (event(f"{TOKEN},parley"), ECHOED),
        (event(query={"token": TOKEN}), {}),
        (event("parley", query={"token": TOKEN}), ECHOED),
        (event(f"parley, {TOKEN}", query={"token": "garbage"}), ECHOED),
        ({"headers": {"sec-websocket-protocol": f"parley, {TOKEN}"}}, ECHOED),
        ({"multiValueHeaders": {"sec-websocket-protocol": ["parley", TOKEN]}}, ECHOED),
    ],
)
def test_the_token_is_taken_from_where_a_client_can_put_it(
    given: dict[str, Any], echoed: dict[str, str]
) -> None:
    accepted = make_authenticator().authenticate_handshake(given)
    assert accepted.identity.principal == Principal("default", "ada")
    assert accepted.headers == echoed, "the answer names the protocol, never the token"


@pytest.mark.parametrize(
    ("given", "code", "status"),
    [
        ({}, "no_token", 401),
        (event(), "no_token", 401),
        (event("parley"), "no_token", 401),
        (event("parley, "), "no_token", 401),
        (event(TOKEN), "no_token", 401),
        (event(query={"token": ""}), "no_token", 401),
        (event(query={"access_token": TOKEN}), "no_token", 401),
        (event(f"parley, {TOKEN}, {TOKEN}"), "malformed", 401),
        (event("parley, garbage"), "malformed", 401),
        (event("parley, " + "x" * (MAX_TOKEN_CHARACTERS + 1)), "too_large", 401),
    ],
)
def test_without_a_good_token_nobody_is_let_in(
    given: dict[str, Any], code: str, status: int
) -> None:
    with pytest.raises(AccessDenied) as refused:
        make_authenticator().authenticate_handshake(given)
    assert (refused.value.code, refused.value.status) == (code, status)


@pytest.mark.parametrize("open_to_all", [True, False])
def test_a_foreign_page_is_refused_whatever_token_it_has(open_to_all: bool) -> None:
    authenticator = make_authenticator(open_to_all=open_to_all, origins="https://app.example")
    with pytest.raises(AccessDenied) as refused:
        authenticator.authenticate_handshake(
            event(f"parley, {TOKEN}", origin="https://evil.example")
        )
    assert (refused.value.code, refused.value.status) == ("foreign_origin", 403)
    assert authenticator.authenticate_handshake(
        event(f"parley, {TOKEN}", origin="https://app.example")
    )


def test_where_authentication_is_off_everybody_is_anonymous() -> None:
    authenticator = make_authenticator(open_to_all=True)
    assert authenticator.authenticate_handshake(event()).identity.principal == ANONYMOUS
    assert authenticator.authenticate_handshake(event("parley, anything")).headers == ECHOED
    assert (
        authenticator.authenticate_handshake(event("parley, anything")).identity.principal
        == ANONYMOUS
    )


# --- the deployment's choices ------------------------------------------------------------------


def test_without_variables_everybody_may_connect() -> None:
    rules = AccessRules.from_environment({})
    assert rules.mode == "off"
    assert rules.origins.allow(["https://anything.example"])


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"AUTH_MODE": "on"}, "AUTH_MODE"),
        ({"AUTH_MODE": "secret"}, "AUTH_SECRET_ARN"),
        ({"AUTH_MODE": "oidc", "AUTH_AUDIENCE": "a"}, "AUTH_ISSUER"),
        (
            {"AUTH_MODE": "oidc", "AUTH_AUDIENCE": "a", "AUTH_ISSUER": "http://issuer.example"},
            "AUTH_ISSUER",
        ),
        ({"AUTH_MODE": "oidc", "AUTH_ISSUER": "https://issuer.example"}, "AUTH_AUDIENCE"),
        ({"ALLOWED_ORIGINS": "example.com"}, "ALLOWED_ORIGINS"),
    ],
)
def test_a_choice_that_would_leave_the_door_open_is_none(
    environment: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        AccessRules.from_environment(environment)


@pytest.mark.parametrize(
    ("url", "trustworthy"),
    [
        ("https://issuer.example/realm", True),
        ("http://localhost:8080", True),
        ("http://127.0.0.1/keys", True),
        ("http://issuer.example", False),
        ("http://localhost.evil.example", False),
        ("http://localhost@evil.example", False),
        ("ftp://issuer.example", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_keys_are_fetched_over_tls_or_from_this_machine(url: str, trustworthy: bool) -> None:
    assert is_trustworthy_url(url) is trustworthy


def test_a_handshake_does_not_wait_long_for_a_secrets_manager_that_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for name, value in {
            "AUTH_MODE": "secret",
            "AUTH_SECRET_ARN": "tokens",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
        }.items():
            monkeypatch.setenv(name, value)
        door, began = Authenticator.from_environment(), time.monotonic()
        for _ in range(3):
            with pytest.raises(AccessDenied) as refused:
                door.authenticate_handshake(event(f"parley, {TOKEN}"))
            assert (refused.value.status, refused.value.why) == (503, "ReadTimedOut")
        assert time.monotonic() - began < 10, "a handshake has 29 s, and others wait behind it"


# --- tokens that are made ----------------------------------------------------------------------


def test_a_token_that_was_made_is_let_in() -> None:
    claims = ClaimRules("https://app.example", "parley", "tenant")
    request = TokenRequest("ada", "acme", 60)
    made = issue_token(request, SECRET.encode(), claims, NOW)
    assert made["expires_at"] == NOW + 60
    rules = AccessRules(
        AllowedOrigins("*"),
        issuer=claims.issuer,
        audience=claims.audience,
        tenant_claim=claims.tenant_claim,
    )
    verifier = SharedSecretVerifier(SharedSecret(SECRET.encode, lambda: NOW).find_candidates)
    authenticator = Authenticator(rules, verifier, lambda: NOW)
    assert authenticator.authenticate_handshake(
        event(f"parley, {made['token']}")
    ).identity.principal == Principal("acme", "ada")


@pytest.mark.parametrize(
    ("request_", "secret", "tenant_claim", "named"),
    [
        (TokenRequest(""), SECRET, "", "subject"),
        (TokenRequest("x" * 257), SECRET, "", "subject"),
        (TokenRequest("ada", ttl_s=0), SECRET, "", "ttl_s"),
        (TokenRequest("ada", ttl_s=3601), SECRET, "", "ttl_s"),
        (TokenRequest("ada", "acme"), SECRET, "", "tenant"),
        (TokenRequest("ada"), SECRET, "tenant", "tenant"),
        (TokenRequest("ada"), "short", "", "32"),
    ],
)
def test_a_token_that_would_be_refused_is_not_made(
    request_: TokenRequest, secret: str, tenant_claim: str, named: str
) -> None:
    with pytest.raises(BadRequest, match=named):
        issue_token(request_, secret.encode(), ClaimRules(tenant_claim=tenant_claim), NOW)


def run_mint(*arguments: str, secret: str = SECRET) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "parley.auth.token_issuer", *arguments],
        env={"AUTH_SECRET": secret},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prints_a_token_and_nothing_else() -> None:
    token = run_mint("--subject", "ada").stdout.strip()
    verifier = SharedSecretVerifier(SharedSecret(SECRET.encode, time.time).find_candidates)
    authenticator = Authenticator(AccessRules(AllowedOrigins("*")), verifier)
    assert (
        authenticator.authenticate_handshake(event(f"parley, {token}")).identity.principal.subject
        == "ada"
    )


def test_the_command_says_what_is_missing_and_shows_no_secret() -> None:
    done = run_mint(secret="too-short-to-use")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "The secret has 16 bytes; at least 32 are needed.\n"
