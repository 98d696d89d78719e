"""What becomes of connections when an issuer changes its keys, or is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.issuer import AUDIENCE, Issuer
from tests.e2e.raw import opened
from tests.e2e.stack import Stack, running_stack
from tests.e2e.test_access import knock
from tests.unit.tokens import SigningKey

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer(SigningKey("old")).serving() as issuer:
        yield issuer


@pytest.fixture
def stack(issuer: Issuer, tmp_path: Path) -> Iterator[Stack]:
    """A stack of its own: what its functions know of the issuer's keys is the test's matter."""
    parameters = {"AuthMode": "oidc", "AuthIssuer": issuer.url, "AuthAudience": AUDIENCE}
    with running_stack(tmp_path, parameters=parameters) as stack:
        yield stack


async def test_old_and_new_keys_are_good_while_an_issuer_rotates_them(
    stack: Stack, issuer: Issuer
) -> None:
    old, new = issuer.keys[0], SigningKey("new", "ES256")
    async with opened(stack.url, token=old.token(issuer.claims("ada"))) as ada:
        issuer.keys = [new, old]
        async with opened(stack.url, token=new.token(issuer.claims("bob"))) as bob:
            assert (await bob.say("Hello.")).end["reason"] == "completed"
        assert await knock(stack.url, ["parley", old.token(issuer.claims("ada"))]) == 101
        assert (await ada.say("Hello.")).end["reason"] == "completed"


async def test_while_an_issuer_is_down_its_users_go_on_and_come_back(
    stack: Stack, issuer: Issuer
) -> None:
    token = issuer.token("ada")
    async with opened(stack.url, token=token) as ada:
        issuer.down = True
        assert (await ada.say("Hello.")).end["reason"] == "completed"
        kept = {name: ada.ready[name] for name in ("session_id", "resume_token")}
    async with opened(stack.url, token=token, **kept) as again:
        assert again.ready["resumed"] is True


async def test_an_issuer_that_was_never_reached_lets_nobody_in_until_it_is_there(
    stack: Stack, issuer: Issuer
) -> None:
    token = issuer.token("ada")
    issuer.down = True
    assert await knock(stack.url, ["parley", token]) == 503
    assert "HTTP 500" in stack.logs()
    issuer.down = False
    async with asyncio.timeout(30):
        while await knock(stack.url, ["parley", token]) != 101:
            await asyncio.sleep(0.5)


async def test_a_discovery_document_of_another_issuer_is_not_believed(
    stack: Stack, issuer: Issuer
) -> None:
    issuer.name = f"{issuer.url}/other"
    assert await knock(stack.url, ["parley", issuer.token("ada")]) == 503
    assert "another issuer" in stack.logs()
