"""Authenticates handshakes and requests: by the page's origin, then by the token."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parley.auth.claims import MAX_TOKEN_CHARACTERS, read_identity
from parley.auth.config import AccessRules
from parley.auth.errors import AccessDenied
from parley.auth.handshake import SUBPROTOCOL, Handshake
from parley.auth.identity import Identity
from parley.principal import ANONYMOUS

if TYPE_CHECKING:
    from parley.auth.signature import Verifier


@dataclass(frozen=True, slots=True)
class AcceptedHandshake:
    """A handshake that has passed.

    Attributes:
        headers: those of the answer.
    """

    identity: Identity
    headers: Mapping[str, str]


class Authenticator:
    """Authenticates handshakes and requests.

    Args:
        verifier: verifies tokens; None if authentication is off.
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
        """Make the authenticator that the environment variables describe.

        Raises:
            ConfigurationError: a variable is missing or invalid.
        """
        rules = AccessRules.from_environment()
        return cls(rules, _make_verifier(rules, time.time))

    def authenticate_handshake(self, event: Mapping[str, Any]) -> AcceptedHandshake:
        """Authenticate a `$connect` event.

        Raises:
            AccessDenied: the handshake is refused.
        """
        handshake = Handshake.read_event(event)
        identity = self.authenticate(handshake.origins, handshake.tokens)
        # A browser that offered subprotocols closes the connection unless one is answered.
        headers = {"Sec-WebSocket-Protocol": SUBPROTOCOL} if handshake.offers_parley else {}
        return AcceptedHandshake(identity, headers)

    def authenticate(self, origins: Iterable[str], tokens: Sequence[str]) -> Identity:
        """Return the identity that a token proves; `ANONYMOUS` if authentication is off.

        Args:
            origins: the request's `Origin` headers.
            tokens: the tokens that it carries; more than one is malformed.

        Raises:
            AccessDenied: the request is refused.
        """
        if not self._rules.origins.allow(origins):
            raise AccessDenied("foreign_origin")
        if self._verifier is None:
            return Identity(ANONYMOUS)
        if not tokens:
            raise AccessDenied("no_token")
        token, *others = tokens
        if others:
            raise AccessDenied("malformed")
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise AccessDenied("too_large")
        payload = self._verifier.verify(token)
        return read_identity(payload, self._rules.claims, self._clock())


def _make_verifier(rules: AccessRules, clock: Callable[[], float]) -> Verifier | None:
    if rules.mode == "off":
        return None
    # Each mode imports what it needs: cryptography costs 0.08 s of a cold start, httpx 0.1 s.
    from parley.auth.signature import IssuerVerifier, SharedSecretVerifier

    if rules.mode == "secret":
        from parley.auth.shared_secret import SharedSecret, read_secret
        from parley.aws.secrets_manager import SecretsManager
        from parley.aws.service import HANDSHAKES

        client = SecretsManager(HANDSHAKES)
        secret = SharedSecret(lambda: read_secret(client, rules.secret_arn), clock)
        return SharedSecretVerifier(secret.find_candidates)
    from parley.auth.jwks import KeySet
    from parley.auth.oidc import IssuerKeys

    return IssuerVerifier(KeySet(IssuerKeys(rules.issuer).fetch, clock).find_key)
