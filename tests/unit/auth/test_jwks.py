"""Whose tokens are genuine: signatures, and the issuer's keys."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parley.auth.errors import AccessDenied
from parley.auth.jwks import KeySet, KeysUnavailable, read_keys
from parley.auth.shared_secret import SharedSecret
from parley.auth.signature import IssuerVerifier, SharedSecretVerifier
from tests.unit.tokens import (
    SECRET,
    SigningKey,
    confused_token,
    shared_token,
    unsigned_token,
)
from tests.unit.verifying import CLAIMS, Clock, refusal

OLD = SigningKey("old")
NEW = SigningKey("new", "ES256")
STRANGER = SigningKey("old")


class Issuer:
    """Publishes keys; says how often it was asked, and may be down."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.down = False
        self.answer: list[Mapping[str, Any]] | None = None
        """What it publishes instead of its keys."""

    def __call__(self) -> list[Mapping[str, Any]]:
        self.asked += 1
        if self.down:
            raise KeysUnavailable("ConnectTimeout")
        if self.answer is not None:
            return self.answer
        return [key.jwk for key in self.keys]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer(OLD)


@pytest.fixture
def verifier(issuer: Issuer, clock: Clock) -> IssuerVerifier:
    return IssuerVerifier(KeySet(issuer, clock).find_key)


# --- signatures --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [OLD, NEW], ids=["RS256", "ES256"])
def test_a_token_that_the_issuer_signed_is_genuine(key: SigningKey, clock: Clock) -> None:
    verifier = IssuerVerifier(KeySet(Issuer(OLD, NEW), clock).find_key)
    assert b'"ada"' in verifier.verify(key.token(CLAIMS))


def test_a_token_without_a_key_id_is_the_only_keys(verifier: IssuerVerifier) -> None:
    assert b'"ada"' in verifier.verify(OLD.token(CLAIMS, kid=None))


def test_without_a_key_id_no_key_is_guessed(issuer: Issuer, verifier: IssuerVerifier) -> None:
    issuer.keys.append(NEW)
    assert refusal(verifier, OLD.token(CLAIMS, kid=None)) == "unknown_key"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (unsigned_token(CLAIMS), "wrong_algorithm"),
        (unsigned_token(CLAIMS, "RS256"), "bad_signature"),
        (confused_token(CLAIMS, OLD.pem, "old"), "wrong_algorithm"),
        (shared_token(CLAIMS), "wrong_algorithm"),
        (STRANGER.token(CLAIMS), "bad_signature"),
        (NEW.token(CLAIMS, kid="old"), "wrong_algorithm"),
        (OLD.token(CLAIMS)[:-5] + "AAAAA", "bad_signature"),
        (OLD.token(CLAIMS, kid="another"), "unknown_key"),
        ("", "malformed"),
        ("garbage", "malformed"),
        ("a.b.c", "malformed"),
        ("....", "malformed"),
        ("é.é.é", "malformed"),
    ],
)
def test_what_the_issuer_did_not_sign_is_refused(
    verifier: IssuerVerifier, token: str, code: str
) -> None:
    assert refusal(verifier, token) == code


def test_a_shared_secret_takes_its_own_tokens_only(clock: Clock) -> None:
    verifier = SharedSecretVerifier(SharedSecret(SECRET.encode, clock).find_candidates)
    assert b'"ada"' in verifier.verify(shared_token(CLAIMS))
    assert refusal(verifier, shared_token(CLAIMS, "x" * 40)) == "bad_signature"
    assert refusal(verifier, unsigned_token(CLAIMS)) == "wrong_algorithm"
    assert refusal(verifier, OLD.token(CLAIMS)) == "wrong_algorithm"
    assert refusal(verifier, "garbage") == "malformed"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
HEADERS = st.fixed_dictionaries(
    {"alg": st.sampled_from(["RS256", "ES256", "HS256", "none"]) | JSON},
    optional=dict.fromkeys(("kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "zip"), JSON),
)
TOKENS = (
    st.text()
    | st.lists(st.binary().map(encoded), max_size=5).map(".".join)
    | st.tuples(HEADERS, JSON, st.binary()).map(
        lambda parts: ".".join(
            [*(encoded(json.dumps(part).encode()) for part in parts[:2]), encoded(parts[2])]
        )
    )
)


VERIFIERS = (
    IssuerVerifier(KeySet(Issuer(OLD, NEW), Clock()).find_key),
    SharedSecretVerifier(SharedSecret(SECRET.encode, Clock()).find_candidates),
)


@given(token=TOKENS)
@example(token=f"{encoded(b'[' * 6000)}.e30.")
@example(token=encoded(b'{"alg":' + b"[" * 6000) + ".e30.")
@example(token="\ud800.e30.")
def test_whatever_is_shown_for_a_token_is_refused_in_good_order(token: str) -> None:
    for verifier in VERIFIERS:
        with pytest.raises(AccessDenied):
            verifier.verify(token)


# --- the issuer's keys -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "OKP"},
        {"n": "!"},
        {"n": None},
    ],
)
def test_keys_for_other_purposes_are_left_out(changes: dict[str, Any]) -> None:
    assert read_keys([{**OLD.jwk, **changes}, NEW.jwk])[0].key_id == "new"


def test_a_short_rsa_key_is_left_out() -> None:
    assert read_keys([SigningKey("short", bits=1024).jwk]) == []


def test_keys_are_fetched_once_in_ten_minutes(
    issuer: Issuer, verifier: IssuerVerifier, clock: Clock
) -> None:
    for _ in range(3):
        verifier.verify(OLD.token(CLAIMS))
    assert issuer.asked == 1
    clock.now += 600
    verifier.verify(OLD.token(CLAIMS))
    assert issuer.asked == 2


def test_a_rotated_key_is_found_at_once(issuer: Issuer, verifier: IssuerVerifier) -> None:
    verifier.verify(OLD.token(CLAIMS))
    issuer.keys.append(NEW)
    verifier.verify(NEW.token(CLAIMS))
    verifier.verify(OLD.token(CLAIMS))
    assert issuer.asked == 2


def test_a_key_that_was_withdrawn_is_good_for_ten_minutes_at_most(
    issuer: Issuer, verifier: IssuerVerifier, clock: Clock
) -> None:
    verifier.verify(OLD.token(CLAIMS))
    issuer.keys = [NEW]
    clock.now += 600
    assert refusal(verifier, OLD.token(CLAIMS)) == "unknown_key"


def test_unknown_keys_cause_one_fetch_a_minute(
    issuer: Issuer, verifier: IssuerVerifier, clock: Clock
) -> None:
    for n in range(20):
        assert refusal(verifier, OLD.token(CLAIMS, kid=f"unknown-{n}")) == "unknown_key"
    assert issuer.asked == 2
    clock.now += 60
    for n in range(20):
        refusal(verifier, OLD.token(CLAIMS, kid=f"unknown-{n}"))
    assert issuer.asked == 3


def test_what_is_refused_anyway_asks_the_issuer_for_nothing(
    issuer: Issuer, verifier: IssuerVerifier
) -> None:
    for token in (unsigned_token(CLAIMS), shared_token(CLAIMS), "garbage"):
        refusal(verifier, token)
    assert issuer.asked == 0


def test_while_the_issuer_is_down_its_last_keys_are_good(
    issuer: Issuer, verifier: IssuerVerifier, clock: Clock
) -> None:
    verifier.verify(OLD.token(CLAIMS))
    issuer.down = True
    clock.now += 600
    for _ in range(3):
        verifier.verify(OLD.token(CLAIMS))
    assert issuer.asked == 2, "it is not asked with every token"
    clock.now += 5
    verifier.verify(OLD.token(CLAIMS))
    assert issuer.asked == 3


USELESS: list[list[Mapping[str, Any]]] = [[], [{**OLD.jwk, "use": "enc"}], [{"kty": "oct"}, {}]]


@pytest.mark.parametrize("answer", USELESS, ids=["empty", "for encryption", "nonsense"])
@pytest.mark.parametrize("asked_for", ["an unknown key", "fresh keys"])
def test_an_issuer_that_answers_without_a_key_to_use_locks_nobody_out(
    issuer: Issuer,
    verifier: IssuerVerifier,
    clock: Clock,
    answer: list[Mapping[str, Any]],
    asked_for: str,
) -> None:
    verifier.verify(OLD.token(CLAIMS))
    issuer.answer = answer
    if asked_for == "fresh keys":
        clock.now += 600
    else:
        assert refusal(verifier, OLD.token(CLAIMS, kid="unknown")) == "unknown_key"
    verifier.verify(OLD.token(CLAIMS))
    assert issuer.asked == 2
    clock.now += 24 * 3600
    assert refusal(verifier, OLD.token(CLAIMS)) == "keys_unavailable", "not for ever"
    issuer.answer = None
    clock.now += 5
    verifier.verify(OLD.token(CLAIMS))


def test_an_issuer_that_never_had_a_key_to_use_is_asked_again_soon(
    issuer: Issuer, verifier: IssuerVerifier, clock: Clock
) -> None:
    issuer.answer = []
    with pytest.raises(AccessDenied) as refused:
        verifier.verify(OLD.token(CLAIMS))
    assert (refused.value.status, refused.value.why) == (
        503,
        "the key set has no key that can be used",
    )
    issuer.answer = None
    clock.now += 5
    verifier.verify(OLD.token(CLAIMS))


def test_after_a_day_without_the_issuer_nobody_is_let_in(
    issuer: Issuer, verifier: IssuerVerifier, clock: Clock
) -> None:
    verifier.verify(OLD.token(CLAIMS))
    issuer.down = True
    clock.now += 24 * 3600
    assert refusal(verifier, OLD.token(CLAIMS)) == "keys_unavailable"


def test_an_issuer_that_is_down_from_the_start_lets_nobody_in_until_it_is_back(
    issuer: Issuer, verifier: IssuerVerifier, clock: Clock
) -> None:
    issuer.down = True
    for _ in range(3):
        with pytest.raises(AccessDenied) as refused:
            verifier.verify(OLD.token(CLAIMS))
        assert (refused.value.status, refused.value.why) == (503, "ConnectTimeout")
    assert issuer.asked == 1, "a slow failure is not repeated for everybody who waits"
    issuer.down = False
    clock.now += 5
    verifier.verify(OLD.token(CLAIMS))
