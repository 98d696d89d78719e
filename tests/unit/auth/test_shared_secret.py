"""The secret that a backend shares: how often it is read, and what is good while it cannot be."""

from __future__ import annotations

import hashlib

import pytest

from parley.auth.errors import AccessDenied
from parley.auth.shared_secret import SharedSecret
from parley.auth.signature import SharedSecretVerifier
from tests.unit.tokens import SECRET, shared_token
from tests.unit.verifying import CLAIMS, Clock, refusal


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Manager:
    """Keeps a secret; says how often it was asked, and may be down."""

    def __init__(self) -> None:
        self.secret = SECRET
        self.asked = 0
        self.down = False

    def __call__(self) -> bytes:
        self.asked += 1
        if self.down:
            raise AccessDenied("keys_unavailable", "ThrottlingException")
        return self.secret.encode()


@pytest.fixture
def manager() -> Manager:
    return Manager()


@pytest.fixture
def by_secret(manager: Manager, clock: Clock) -> SharedSecretVerifier:
    return SharedSecretVerifier(SharedSecret(manager, clock).find_candidates)


def test_the_secret_is_read_once_in_five_minutes(
    manager: Manager, by_secret: SharedSecretVerifier, clock: Clock
) -> None:
    for _ in range(3):
        by_secret.verify(shared_token(CLAIMS))
    assert manager.asked == 1
    clock.now += 300
    by_secret.verify(shared_token(CLAIMS))
    assert manager.asked == 2


def test_a_rotated_secret_is_found_with_the_first_token_that_needs_it(
    manager: Manager, by_secret: SharedSecretVerifier
) -> None:
    by_secret.verify(shared_token(CLAIMS))
    manager.secret = hashlib.sha256(b"rotated").hexdigest()
    by_secret.verify(shared_token(CLAIMS, manager.secret))
    assert manager.asked == 2
    assert refusal(by_secret, shared_token(CLAIMS)) == "bad_signature"


def test_forged_tokens_cause_one_read_a_minute(
    manager: Manager, by_secret: SharedSecretVerifier, clock: Clock
) -> None:
    by_secret.verify(shared_token(CLAIMS))
    for _ in range(20):
        refusal(by_secret, shared_token(CLAIMS, "x" * 40))
    assert manager.asked == 2
    clock.now += 60
    refusal(by_secret, shared_token(CLAIMS, "x" * 40))
    assert manager.asked == 3


def test_the_last_secret_serves_while_secrets_manager_does_not(
    manager: Manager, by_secret: SharedSecretVerifier, clock: Clock
) -> None:
    by_secret.verify(shared_token(CLAIMS))
    manager.down = True
    clock.now += 300
    for _ in range(3):
        by_secret.verify(shared_token(CLAIMS))
    assert manager.asked == 2, "it is not asked with every token"
    clock.now += 5
    by_secret.verify(shared_token(CLAIMS))
    assert manager.asked == 3
    manager.down = False
    manager.secret = hashlib.sha256(b"rotated").hexdigest()
    clock.now += 5
    by_secret.verify(shared_token(CLAIMS, manager.secret))


def test_a_secret_that_could_not_be_read_for_a_day_lets_nobody_in(
    manager: Manager, by_secret: SharedSecretVerifier, clock: Clock
) -> None:
    by_secret.verify(shared_token(CLAIMS))
    manager.down = True
    clock.now += 24 * 3600 - 1
    by_secret.verify(shared_token(CLAIMS))
    clock.now += 1
    assert refusal(by_secret, shared_token(CLAIMS)) == "keys_unavailable"
    manager.down = False
    clock.now += 5
    by_secret.verify(shared_token(CLAIMS))


def test_without_any_secret_nobody_is_let_in(
    manager: Manager, by_secret: SharedSecretVerifier, clock: Clock
) -> None:
    manager.down = True
    for _ in range(3):
        with pytest.raises(AccessDenied) as refused:
            by_secret.verify(shared_token(CLAIMS))
        assert (refused.value.status, refused.value.why) == (503, "ThrottlingException")
    assert manager.asked == 1, "a slow failure is not repeated for everybody who waits"
    manager.down = False
    clock.now += 5
    by_secret.verify(shared_token(CLAIMS))
