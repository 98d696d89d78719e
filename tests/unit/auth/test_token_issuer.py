"""Tokens are made for nobody whom the connect function would refuse."""

from __future__ import annotations

import base64
import json
import time

import msgspec
import pytest

from parley.auth.claims import ClaimRules, read_identity
from parley.auth.identity import Identity
from parley.auth.token_issuer import BadRequest, TokenRequest, issue_token, main
from parley.protocol.agent_overrides import AgentOverrides

SECRET = b"a-secret-that-is-long-enough-to-sign-with"


@pytest.mark.parametrize(
    ("request_", "tenant_claim"),
    [
        (TokenRequest("anonymous"), ""),
        (TokenRequest("anonymous", "default"), "tenant"),
        (TokenRequest("😀" * 200), ""),
    ],
)
def test_a_name_that_would_be_refused_gets_no_token(
    request_: TokenRequest, tenant_claim: str
) -> None:
    with pytest.raises(BadRequest, match=r"^subject: "):
        issue_token(request_, SECRET, ClaimRules(tenant_claim=tenant_claim), 0)


@pytest.mark.parametrize("name", ["stlye", "Voice", "voice_id", "language_code", ""])
def test_a_misspelled_setting_makes_no_token(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(msgspec.ValidationError, match=f"unknown field `{name}`"):
        msgspec.convert({"subject": "ada", "settings": {name: "x"}}, TokenRequest)
    monkeypatch.setenv("AUTH_SECRET", SECRET.decode())
    monkeypatch.setattr("sys.argv", ["token_issuer", "--settings", json.dumps({name: "hidden"})])
    assert main() == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert f"--settings: Object contains unknown field `{name}`" in told.err
    assert "hidden" not in told.err


def test_settings_that_there_are_are_set() -> None:
    asked = {"subject": "ada", "settings": {"style": "Short.", "speed": 0.9}}
    made = issue_token(msgspec.convert(asked, TokenRequest), SECRET, ClaimRules(), time.time())
    payload = made["token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["parley_settings"] == asked["settings"]


def test_another_tenant_may_have_an_anonymous_user() -> None:
    made = issue_token(
        TokenRequest("anonymous", "acme"), SECRET, ClaimRules(tenant_claim="tenant"), 0
    )
    assert made["token"]


def identity_of(**asked: object) -> Identity:
    """Return what the connect function reads in a token that was asked for so."""
    request = msgspec.convert({"subject": "ada", **asked}, TokenRequest)
    token = issue_token(request, SECRET, ClaimRules(), time.time())["token"]
    payload = token.split(".")[1]
    claims = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    return read_identity(claims, ClaimRules(), time.time())


def test_a_token_says_who_the_agent_is() -> None:
    said = AgentOverrides(prompt="You are {{name}}.", variables={"name": "Ada"})
    assert identity_of(agent=msgspec.to_builtins(said)).agent == said


def test_only_a_token_that_is_asked_for_so_is_the_backends() -> None:
    assert identity_of(backend=True).is_backend
    assert not identity_of().is_backend


def test_a_backends_token_lives_for_a_short_time() -> None:
    with pytest.raises(BadRequest, match=r"^ttl_s: a backend's own token lasts 1 to 300 s"):
        identity_of(backend=True, ttl_s=301)


def test_a_token_that_would_be_too_long_to_show_is_not_made() -> None:
    with pytest.raises(BadRequest, match=r"^agent: the token would have 1\d,\d+ characters"):
        identity_of(agent={"prompt": "x" * 8_000})


def test_a_misspelled_field_of_the_agent_makes_no_token(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH_SECRET", SECRET.decode())
    monkeypatch.setattr("sys.argv", ["token_issuer", "--agent", '{"prmpt": "hidden"}'])
    assert main() == 2
    told = capsys.readouterr()
    assert (told.out, "--agent: Object contains unknown field `prmpt`" in told.err) == ("", True)
