"""Tokens are made for nobody whom the connect function would refuse."""

from __future__ import annotations

import base64
import json
import time

import msgspec
import pytest

from parley.auth.claims import ClaimRules
from parley.auth.token_issuer import BadRequest, TokenRequest, issue_token, main

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
