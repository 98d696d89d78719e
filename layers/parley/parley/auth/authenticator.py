"""Decides about a handshake or a request: may this page ask, and whom does its token stand for?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parley.auth.claims import identity_of
from parley.auth.config import AccessRules
from parley.auth.errors import Refused
from parley.auth.handshake import SUBPROTOCOL, Handshake
from parley.auth.identity import Identity
from parley.aws import clients
from parley.principal import ANONYMOUS

if TYPE_CHECKING:
    from parley.auth.signature import Verifier

MAX_TOKEN_CHARACTERS = 8192
"""API Gateway takes 10,240 bytes of headers together."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A handshake that is let in.

    Attributes:
        identity: who it is.
        headers: of the answer.
    """

    identity: Identity
    headers: Mapping[str, str]


class Authenticator:
    """Lets handshakes in or refuses them.

    Args:
        verifier: tells genuine tokens; None if nobody needs one.
        clock: the time, in s since the epoch.
    """

    def __init__(
        self,
        rules: AccessRules,
        verifier: Verifier | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rules = rules
        self._verifier = verifier
        self._clock = clock

    @classmethod
    def from_environment(cls) -> Authenticator:
        """As the environment variables ask for.

        Raises:
            ConfigurationError: one is missing or not what it must be.
        """
        rules = AccessRules.from_environment()
        return cls(rules, _verifier(rules, time.time))

    def admit(self, event: Mapping[str, Any]) -> Admission:
        """Decide about a `$connect` event.

        Raises:
            Refused: it is not let in.
        """
        handshake = Handshake.of(event)
        identity = self.identify(handshake.origins, handshake.tokens)
        # A browser that offered subprotocols gives up unless one of them is answered.
        headers = {"Sec-WebSocket-Protocol": SUBPROTOCOL} if handshake.offers_parley else {}
        return Admission(identity, headers)

    def identify(self, origins: Iterable[str], tokens: Sequence[str]) -> Identity:
        """Whom the tokens of a request stand for; `ANONYMOUS` if and only if nobody needs one.

        Args:
            origins: the request's `Origin` headers.
            tokens: what it shows; exactly one is good.

        Raises:
            Refused: it is not let in.
        """
        if not self._rules.origins.allow(origins):
            raise Refused("foreign_origin")
        if self._verifier is None:
            return Identity(ANONYMOUS)
        if not tokens:
            raise Refused("no_token")
        token, *others = tokens
        if others:
            raise Refused("malformed")
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise Refused("too_large")
        payload = self._verifier.payload(token)
        return identity_of(payload, self._rules.claims, self._clock())


def _verifier(rules: AccessRules, clock: Callable[[], float]) -> Verifier | None:
    """What the mode needs is imported for it alone: cryptography costs 0.08 s of a cold start,
    httpx another 0.1 s."""
    if rules.mode == "off":
        return None
    from parley.auth.signature import IssuerVerifier, SharedSecretVerifier

    if rules.mode == "secret":
        from parley.auth.shared_secret import SharedSecret, read_secret

        client = clients.secrets_manager(clients.HANDSHAKE_CONFIG)
        secret = SharedSecret(lambda: read_secret(client, rules.secret_arn), clock)
        return SharedSecretVerifier(secret.candidates)
    from parley.auth.jwks import KeySet
    from parley.auth.oidc import IssuerKeys

    return IssuerVerifier(KeySet(IssuerKeys(rules.issuer), clock).find)
