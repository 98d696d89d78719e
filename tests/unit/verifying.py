"""What the tests of both kinds of tokens need: claims, a clock, and how a token is refused."""

from __future__ import annotations

import pytest

from parley.auth.errors import AccessDenied
from parley.auth.signature import IssuerVerifier, SharedSecretVerifier

CLAIMS = {"sub": "ada", "exp": 2_000_000_000}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def refusal(verifier: IssuerVerifier | SharedSecretVerifier, token: str) -> str:
    with pytest.raises(AccessDenied) as refused:
        verifier.verify(token)
    return refused.value.code
