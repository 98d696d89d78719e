"""The deployment's access rules: environment variables, checked when a function starts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from parley.auth.claims import ClaimRules
from parley.auth.origins import AllowedOrigins
from parley.errors import ConfigurationError

AuthMode = Literal["off", "secret", "oidc"]

_TRUSTWORTHY = re.compile(
    r"https://[^\s/?#]+[^\s?#]*|http://(localhost|127\.0\.0\.1)(:[0-9]+)?(/[^\s?#]*)?"
)


def is_trustworthy_url(url: str) -> bool:
    """Return whether what is fetched there can be trusted: over TLS, or from the same machine."""
    return _TRUSTWORTHY.fullmatch(url) is not None


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who may connect.

    Attributes:
        mode: `off` authenticates nobody; `secret` takes HS256 tokens; `oidc` takes an issuer's.
        secret_arn: ARN of the shared secret, with `secret`.
        issuer: URL of the issuer, with `oidc`; the value of `iss`, if any, with `secret`.
        audience: a value that `aud` must be or contain.
        tenant_claim: the claim that names the tenant; empty if there is one tenant.
    """

    origins: AllowedOrigins
    mode: AuthMode = "off"
    secret_arn: str = ""
    issuer: str = ""
    audience: str = ""
    tenant_claim: str = ""

    @property
    def claims(self) -> ClaimRules:
        """Return what is expected of a token's claims."""
        return ClaimRules(self.issuer, self.audience, self.tenant_claim)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> AccessRules:
        """Read and check the variables.

        Raises:
            ConfigurationError: a variable is missing or invalid.
        """

        def text(name: str) -> str:
            return environment.get(name, "").strip()

        rules = cls(
            origins=AllowedOrigins(text("ALLOWED_ORIGINS") or "*"),
            mode=_read_mode(text("AUTH_MODE") or "off"),
            secret_arn=text("AUTH_SECRET_ARN"),
            issuer=text("AUTH_ISSUER"),
            audience=text("AUTH_AUDIENCE"),
            tenant_claim=text("AUTH_TENANT_CLAIM"),
        )
        if rules.mode == "secret" and not rules.secret_arn:
            raise ConfigurationError("AUTH_SECRET_ARN is not set; AUTH_MODE secret needs it.")
        if rules.mode == "oidc" and not is_trustworthy_url(rules.issuer):
            raise ConfigurationError(
                f"AUTH_ISSUER: AUTH_MODE oidc needs the issuer's https URL, got {rules.issuer!r}."
            )
        if rules.mode == "oidc" and not rules.audience:
            raise ConfigurationError(
                "AUTH_AUDIENCE is not set; AUTH_MODE oidc needs it, or tokens that the issuer "
                "made for other applications would be taken."
            )
        return rules


def _read_mode(text: str) -> AuthMode:
    modes: tuple[AuthMode, ...] = get_args(AuthMode)
    for mode in modes:
        if text == mode:
            return mode
    raise ConfigurationError(f"AUTH_MODE: expected off, secret or oidc; got {text!r}.")
