"""Issues short-lived tokens with the shared secret: for the token function, and by hand.

    AUTH_SECRET=... python -m parley.auth.token_issuer --subject ada --ttl 300

The command is for development. In production the app's own backend issues tokens, for users that it
knows (docs/deploy.md).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any, TypeVar

import jwt
import msgspec

from parley.auth.claims import (
    AGENT_CLAIM,
    BACKEND_CLAIM,
    MAX_KEY_BYTES,
    MAX_SUBJECT_CHARACTERS,
    MAX_TENANT_CHARACTERS,
    MAX_TOKEN_CHARACTERS,
    SETTINGS_CLAIM,
    ClaimRules,
    is_acceptable,
)
from parley.auth.shared_secret import MIN_BYTES
from parley.principal import ANONYMOUS, Principal
from parley.protocol.agent_overrides import NO_OVERRIDES, AgentOverrides
from parley.protocol.messages import Settings

DEFAULT_TTL_S = 300
MAX_TTL_S = 3600
MAX_BACKEND_TTL_S = 300
"""Of a token that is the backend's own: it is used at once, and never leaves the backend."""


class SignedSettings(Settings, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The settings that a token sets. An unknown name is refused: the client would choose it."""


class TokenRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A request for a token.

    Attributes:
        subject: the user.
        tenant: the user's tenant, if the deployment has several.
        settings: what the token sets for the user's sessions, such as the style. The client cannot
            change these.
        agent: what the token says of the agent of the user's sessions.
        backend: whether the token is the backend's own, for a session of this user. It must never
            reach a client.
        ttl_s: how long a connection can be opened with the token, in s. An open connection stays.
    """

    subject: str
    tenant: str | None = None
    ttl_s: int = DEFAULT_TTL_S
    settings: SignedSettings | None = None
    agent: AgentOverrides | None = None
    backend: bool = False


class BadRequest(ValueError):
    """A request for a token is invalid; the text names the field and what is allowed."""


def issue_token(
    request: TokenRequest, secret: bytes, rules: ClaimRules, now_s: float
) -> dict[str, Any]:
    """Issue a token.

    Args:
        now_s: the time, in s since the epoch.

    Returns:
        `token`, and `expires_at` in s since the epoch.

    Raises:
        BadRequest: the request or the secret is invalid.
    """
    if not 1 <= len(request.subject) <= MAX_SUBJECT_CHARACTERS:
        raise BadRequest(f"subject: expected 1 to {MAX_SUBJECT_CHARACTERS} characters.")
    if not 1 <= request.ttl_s <= MAX_TTL_S:
        raise BadRequest(f"ttl_s: expected 1 to {MAX_TTL_S} s, got {request.ttl_s}.")
    if request.backend and request.ttl_s > MAX_BACKEND_TTL_S:
        raise BadRequest(
            f"ttl_s: a backend's own token lasts 1 to {MAX_BACKEND_TTL_S} s, got {request.ttl_s}."
        )
    if len(secret) < MIN_BYTES:
        raise BadRequest(f"The secret has {len(secret)} bytes; at least {MIN_BYTES} are needed.")
    expires_at = int(now_s) + request.ttl_s
    claims: dict[str, Any] = {"sub": request.subject, "iat": int(now_s), "exp": expires_at}
    if rules.issuer:
        claims["iss"] = rules.issuer
    if rules.audience:
        claims["aud"] = rules.audience
    claims |= _settings_claim(request.settings)
    claims |= _agent_claims(request)
    claims |= _tenant_claim(request.tenant, rules.tenant_claim)
    if not is_acceptable(Principal(request.tenant or ANONYMOUS.tenant, request.subject)):
        raise BadRequest(
            f"subject: {ANONYMOUS.subject!r} means nobody in the tenant {ANONYMOUS.tenant!r}, and "
            f"a subject and its tenant may have {MAX_KEY_BYTES} bytes, percent-encoded."
        )
    token = jwt.encode(claims, secret, algorithm="HS256")
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise BadRequest(
            f"agent: the token would have {len(token):,} characters; at most "
            f"{MAX_TOKEN_CHARACTERS:,} are taken. Say the rest in a file of the agent."
        )
    return {"token": token, "expires_at": expires_at}


def _tenant_claim(tenant: str | None, claim: str) -> dict[str, str]:
    if tenant is None and not claim:
        return {}
    if not claim:
        raise BadRequest("tenant: this deployment has one tenant; AuthTenantClaim is empty.")
    if tenant is None or not 1 <= len(tenant) <= MAX_TENANT_CHARACTERS:
        raise BadRequest(f"tenant: expected 1 to {MAX_TENANT_CHARACTERS} characters.")
    return {claim: tenant}


def _settings_claim(settings: SignedSettings | None) -> dict[str, Any]:
    if settings is None or settings == SignedSettings():
        return {}
    if settings.record is not msgspec.UNSET:
        raise BadRequest("settings.record: consent is the user's to give, not the token's.")
    return {SETTINGS_CLAIM: msgspec.to_builtins(settings)}


def _agent_claims(request: TokenRequest) -> dict[str, Any]:
    claims: dict[str, Any] = {BACKEND_CLAIM: True} if request.backend else {}
    if request.agent is not None and request.agent != NO_OVERRIDES:
        claims[AGENT_CLAIM] = msgspec.to_builtins(request.agent)
    return claims


def main() -> int:
    """Run the command. The secret and the rules come from the environment."""
    parser = argparse.ArgumentParser(
        prog="python -m parley.auth.token_issuer",
        description="Print a token. Its secret is read from the variable AUTH_SECRET; "
        "AUTH_ISSUER, AUTH_AUDIENCE and AUTH_TENANT_CLAIM are as deployed.",
    )
    parser.add_argument("--subject", default="developer", help="the user (default developer)")
    parser.add_argument("--tenant", help="the user's tenant, with AUTH_TENANT_CLAIM")
    parser.add_argument("--ttl", type=int, default=DEFAULT_TTL_S, metavar="SECONDS")
    parser.add_argument(
        "--settings", default="{}", metavar="JSON", help="""what it sets: {"style": "Short."}"""
    )
    parser.add_argument(
        "--agent",
        default="{}",
        metavar="JSON",
        help="""its agent: {"variables": {"name": "Ada"}}""",
    )
    parser.add_argument("--backend", action="store_true", help="a backend's own token")
    given = parser.parse_args()
    read = os.environ.get
    rules = ClaimRules(
        read("AUTH_ISSUER", ""), read("AUTH_AUDIENCE", ""), read("AUTH_TENANT_CLAIM", "")
    )
    try:
        request = TokenRequest(
            given.subject,
            given.tenant,
            given.ttl,
            _read_option("--settings", given.settings, SignedSettings),
            _read_option("--agent", given.agent, AgentOverrides),
            given.backend,
        )
        issued = issue_token(request, read("AUTH_SECRET", "").encode(), rules, time.time())
    except BadRequest as problem:
        print(problem, file=sys.stderr)
        return 2
    print(issued["token"])
    return 0


Option = TypeVar("Option", SignedSettings, AgentOverrides)


def _read_option(name: str, text: str, kind: type[Option]) -> Option:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as invalid:
        raise BadRequest(f"{name}: {invalid}.") from None


if __name__ == "__main__":
    raise SystemExit(main())
