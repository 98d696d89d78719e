"""Tokens are made for nobody whom the connect function would refuse."""

from __future__ import annotations

import pytest

from parley.access.claims import ClaimRules
from parley.access.mint import BadRequest, TokenRequest, mint

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
        mint(request_, SECRET, ClaimRules(tenant_claim=tenant_claim), 0)


def test_another_tenant_may_have_an_anonymous_user() -> None:
    made = mint(TokenRequest("anonymous", "acme"), SECRET, ClaimRules(tenant_claim="tenant"), 0)
    assert made["token"]
