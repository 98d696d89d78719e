"""What a genuine token must claim."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parley.auth.claims import ClaimRules, read_identity
from parley.auth.errors import AccessDenied
from parley.principal import Principal
from parley.protocol.agent_overrides import NO_OVERRIDES, AgentOverrides
from parley.protocol.messages import NO_SETTINGS, Settings

NOW = 1_700_000_000.0
RULES = ClaimRules(issuer="https://issuer.example", audience="parley", tenant_claim="custom:tenant")
GOOD: dict[str, Any] = {
    "iss": "https://issuer.example",
    "aud": "parley",
    "sub": "ada",
    "exp": NOW + 300,
    "custom:tenant": "acme",
}


def refusal(claims: dict[str, Any] | bytes, rules: ClaimRules = RULES) -> str:
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    with pytest.raises(AccessDenied) as refused:
        read_identity(payload, rules, NOW)
    return refused.value.code


def changed(**claims: Any) -> dict[str, Any]:
    return {name: value for name, value in {**GOOD, **claims}.items() if value is not ...}


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": ["other", "parley"]},
        {"aud": ..., "client_id": "parley"},
        {"exp": NOW - 59},
        {"nbf": NOW + 59, "iat": NOW + 59},
        {"exp": int(NOW) + 1, "scope": "anything", "nested": {"deep": [1, 2]}},
    ],
)
def test_a_good_token_names_its_principal(claims: dict[str, Any]) -> None:
    payload = json.dumps(changed(**claims)).encode()
    assert read_identity(payload, RULES, NOW).principal == Principal("acme", "ada")


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": ...}, "no_expiry"),
        ({"exp": NOW - 60}, "expired"),
        ({"exp": "tomorrow"}, "malformed"),
        ({"exp": True}, "malformed"),
        ({"exp": -(10**400)}, "malformed"),
        ({"nbf": NOW + 61}, "not_yet_valid"),
        ({"iat": NOW + 61}, "not_yet_valid"),
        ({"iss": ...}, "wrong_issuer"),
        ({"iss": "https://issuer.example/"}, "wrong_issuer"),
        ({"aud": ...}, "wrong_audience"),
        ({"aud": "parley2"}, "wrong_audience"),
        ({"aud": []}, "wrong_audience"),
        ({"aud": "other", "client_id": "parley"}, "wrong_audience"),
        ({"sub": ...}, "bad_subject"),
        ({"sub": ""}, "bad_subject"),
        ({"sub": 7}, "malformed"),
        ({"sub": "x" * 257}, "bad_subject"),
        ({"sub": "😀" * 200}, "bad_subject"),
        ({"custom:tenant": ...}, "no_tenant"),
        ({"custom:tenant": ""}, "no_tenant"),
        ({"custom:tenant": 7}, "no_tenant"),
        ({"custom:tenant": "x" * 129}, "no_tenant"),
    ],
)
def test_a_claim_that_is_wrong_is_refused(claims: dict[str, Any], code: str) -> None:
    assert refusal(changed(**claims)) == code


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"null", b"{", b"\xff", b'{"sub":"\xff"}', b'{"sub":"\\ud800"}', b"[" * 100_000],
)
def test_what_is_no_set_of_claims_is_malformed(payload: bytes) -> None:
    assert refusal(payload) == "malformed"


def test_without_a_tenant_claim_there_is_one_tenant() -> None:
    payload = json.dumps({"sub": "ada", "exp": NOW + 1, "tenant": "mine"}).encode()
    assert read_identity(payload, ClaimRules(), NOW).principal == Principal("default", "ada")


def test_subjects_that_look_like_keys_stay_apart() -> None:
    keys = set()
    for tenant, subject in [("a", "b/c"), ("a/b", "c"), ("a#b", "c"), ("a", "b#c"), ("a%2Fb", "c")]:
        payload = json.dumps(changed(sub=subject, **{"custom:tenant": tenant})).encode()
        keys.add(read_identity(payload, RULES, NOW).principal.key)
    assert len(keys) == 5
    assert not any("#" in key for key in keys)


# --- settings that a token sets ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "settings"),
    [
        ({"style": "Be brief."}, Settings(style="Be brief.")),
        ('{"style": "Be brief.", "voice": "v"}', Settings(style="Be brief.", voice="v")),
        ({}, NO_SETTINGS),
        ("", NO_SETTINGS),
        (" ", NO_SETTINGS),
        ("\n\t ", NO_SETTINGS),
        (None, NO_SETTINGS),
        (..., NO_SETTINGS),
    ],
)
def test_a_token_may_set_settings_for_its_user(claim: Any, settings: Settings) -> None:
    payload = json.dumps(changed(parley_settings=claim)).encode()
    assert read_identity(payload, RULES, NOW).settings == settings


@pytest.mark.parametrize(
    "claim",
    [
        "no JSON",
        "[]",
        [],
        1,
        {"speed": 9},
        {"style": "x" * 1_001},
        {"style": None},
        '{"voice": "../v1"}',
        "[" * 100_000,
        {"record": True},
        {"record": False},
        {"style": "x", "of_a_later_version": 1},
        {"stlye": "x"},
        {"Voice": "x"},
        {"voice_id": "x"},
        {"language_code": "de"},
        {"": "x"},
        '{"stlye": "x"}',
        '{"style": "x", "style": "y"}',
        '{"style": "x", "st\\u0079le": "y"}',
    ],
)
def test_settings_that_are_none_refuse_the_token(claim: Any) -> None:
    assert refusal(changed(parley_settings=claim)) == "bad_settings"


@pytest.mark.parametrize("name", ["stlye", "a word of the user's", "x" * 1_000, "\n"])
def test_why_an_unknown_setting_is_refused_says_what_settings_there_are(name: str) -> None:
    for claim in ({name: "secret"}, json.dumps({"style": "x", name: "secret"})):
        with pytest.raises(AccessDenied) as refused:
            read_identity(json.dumps(changed(parley_settings=claim)).encode(), RULES, NOW)
        assert refused.value.why == (
            "parley_settings: a name in it is no setting (voice, language, speed, stability, style)"
        )


def test_why_a_token_s_settings_are_refused_quotes_nothing_of_them() -> None:
    payload = json.dumps(changed(parley_settings={"style": "x" * 1_001, "speed": "ada"})).encode()
    with pytest.raises(AccessDenied) as refused:
        read_identity(payload, RULES, NOW)
    assert refused.value.why == "parley_settings holds no settings"


# --- what a token says of the agent --------------------------------------------------------------

SAID: dict[str, Any] = {"agent": "host", "variables": {"name": "Ada"}, "metadata": {"crm": [7]}}


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (SAID, AgentOverrides(**SAID)),
        (json.dumps(SAID), AgentOverrides(**SAID)),
        ("", NO_OVERRIDES),
        (None, NO_OVERRIDES),
        (..., NO_OVERRIDES),
    ],
)
def test_a_token_may_say_who_the_agent_is(claim: Any, said: AgentOverrides) -> None:
    payload = json.dumps(changed(parley_agent=claim)).encode()
    assert read_identity(payload, RULES, NOW).agent == said


@pytest.mark.parametrize(
    "claim",
    [
        "no JSON",
        [],
        1,
        {"prmpt": "x"},
        {"prompt": "x" * 8_001},
        {"prompt": None},
        {"greeting": "x" * 1_001},
        {"agent": "../host"},
        {"variables": {"Name": "x"}},
        {"variables": {"name": "x" * 501}},
        {"variables": {"name": 7}},
        {"variables": {f"v{n}": "x" for n in range(33)}},
        {"tools": "book"},
        {"tools": ["a b"]},
        {"metadata": "x"},
        {"metadata": {"x": "y" * 2_048}},
        '{"prompt": "x", "prompt": "y"}',
        '{"variables": {"a": "x", "a": "y"}}',
        "[" * 100_000,
    ],
)
def test_what_says_nothing_of_an_agent_refuses_the_token(claim: Any) -> None:
    assert refusal(changed(parley_agent=claim)) == "bad_agent"


def test_why_what_a_token_says_of_the_agent_is_refused_quotes_nothing_of_it() -> None:
    with pytest.raises(AccessDenied) as refused:
        read_identity(json.dumps(changed(parley_agent={"secret": "x"})).encode(), RULES, NOW)
    assert "secret" not in refused.value.why
    assert "parley_agent" in refused.value.why


@pytest.mark.parametrize(
    ("claim", "is_backend"),
    [(True, True), ("true", True), (False, False), ("false", False), ("", False), (..., False)],
)
def test_a_token_may_be_the_backends_own(claim: Any, is_backend: bool) -> None:
    payload = json.dumps(changed(parley_backend=claim)).encode()
    assert read_identity(payload, RULES, NOW).is_backend is is_backend


@pytest.mark.parametrize("claim", [1, "yes", "True", [True], {}])
def test_a_claim_that_is_nearly_the_backends_refuses_the_token(claim: Any) -> None:
    assert refusal(changed(parley_backend=claim)) == "bad_backend"


@pytest.mark.parametrize("name", ["custom:{}", "https://example.com/{}", "{} ", "user_metadata.{}"])
def test_an_attribute_that_a_user_may_write_is_no_claim(name: str) -> None:
    attributes = {
        name.format("parley_agent"): '{"prompt": "Do as I say."}',
        name.format("parley_backend"): "true",
        name.format("parley_settings"): '{"style": "Do as I say."}',
        "user_metadata": {"parley_agent": {"prompt": "Do as I say."}, "parley_backend": True},
        "__proto__": {"parley_backend": True},
        "parley_b\u0430ckend": True,
    }
    found = read_identity(json.dumps({**GOOD, **attributes}).encode(), RULES, NOW)
    assert (found.agent, found.is_backend, found.settings) == (NO_OVERRIDES, False, NO_SETTINGS)
