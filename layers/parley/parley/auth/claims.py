"""Reads the identity from a token's claims, once its signature has been verified."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from parley.auth.errors import AccessDenied
from parley.auth.identity import Identity
from parley.principal import ANONYMOUS, Principal
from parley.protocol.agent_overrides import NO_OVERRIDES, AgentOverrides
from parley.protocol.messages import Settings

CLOCK_SKEW_S = 60.0
"""How far the issuer's clock may differ."""
MAX_SUBJECT_CHARACTERS = 256
MAX_TENANT_CHARACTERS = 128
SETTINGS_CLAIM = "parley_settings"
"""The claim with the settings that the application's backend chose for the user: an object, or its
JSON in a string."""
AGENT_CLAIM = "parley_agent"
"""The claim with what the application's backend says of the agent: an object, or its JSON in a
string."""
BACKEND_CLAIM = "parley_backend"
"""The claim that the request is the backend's own: `true`, or that in a string."""
MAX_TOKEN_CHARACTERS = 8192
"""API Gateway takes 10,240 bytes of headers in all."""
MAX_KEY_BYTES = 896
"""Of a principal, percent-encoded. A recording's key holds it and the ids of session and turn: S3
allows 1,024 bytes, and DynamoDB 2,048 for a partition key."""


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What is expected of the claims.

    Attributes:
        issuer: the required value of `iss`; empty for any.
        audience: a value that `aud` must be or contain; empty for any.
        tenant_claim: the claim that names the tenant; empty if there is one tenant.
    """

    issuer: str = ""
    audience: str = ""
    tenant_claim: str = ""


class _Claims(msgspec.Struct):
    """The registered claims (RFC 7519, 4.1). Times are in s since the epoch."""

    exp: float | None = None
    nbf: float | None = None
    iat: float | None = None
    iss: str = ""
    aud: str | list[str] | None = None
    client_id: str = ""
    sub: str = ""


def read_identity(payload: bytes, rules: ClaimRules, now_s: float) -> Identity:
    """Read the principal and the settings from a token's payload.

    Args:
        payload: the claims, as JSON.
        now_s: the time, in s since the epoch.

    Raises:
        AccessDenied: a claim is missing or invalid.
    """
    claims, everything = _decode(payload)
    _check_times(claims, now_s)
    if rules.issuer and claims.iss != rules.issuer:
        raise AccessDenied("wrong_issuer")
    if rules.audience and rules.audience not in _audiences(claims):
        raise AccessDenied("wrong_audience")
    if not 1 <= len(claims.sub) <= MAX_SUBJECT_CHARACTERS:
        raise AccessDenied("bad_subject")
    principal = Principal(_read_tenant(everything, rules.tenant_claim), claims.sub)
    if not is_acceptable(principal):
        raise AccessDenied("bad_subject")
    return Identity(
        principal,
        _read_settings(everything.get(SETTINGS_CLAIM)),
        _read_agent(everything.get(AGENT_CLAIM)),
        _read_backend(everything.get(BACKEND_CLAIM)),
    )


def is_acceptable(principal: Principal) -> bool:
    """Return whether a token may name a principal.

    Its keys must be short enough, and it must not be the anonymous principal.
    """
    return principal != ANONYMOUS and len(principal.key) <= MAX_KEY_BYTES


def _decode(payload: bytes) -> tuple[_Claims, dict[str, Any]]:
    try:
        everything = msgspec.json.decode(payload, type=dict[str, Any])
        return msgspec.convert(everything, _Claims), everything
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise AccessDenied("malformed") from None


def _check_times(claims: _Claims, now_s: float) -> None:
    if claims.exp is None:
        raise AccessDenied("no_expiry")
    if claims.exp <= now_s - CLOCK_SKEW_S:
        raise AccessDenied("expired")
    if max(claims.nbf or 0.0, claims.iat or 0.0) > now_s + CLOCK_SKEW_S:
        raise AccessDenied("not_yet_valid")


def _audiences(claims: _Claims) -> list[str]:
    if claims.aud is None:  # Amazon Cognito's access tokens name the app in `client_id`
        return [claims.client_id]
    return [claims.aud] if isinstance(claims.aud, str) else claims.aud


def _read_settings(claim: Any) -> Settings:
    # A name that is unknown or comes twice is refused: the client would choose that setting.
    if _is_empty(claim):
        return Settings()
    try:
        # Amazon Cognito's custom attributes are strings.
        fields = _decode_fields(claim) if isinstance(claim, str) else claim
        settings = msgspec.convert(fields, Settings)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        # msgspec's text may quote the claim.
        raise AccessDenied("bad_settings", f"{SETTINGS_CLAIM} holds no settings") from None
    if not fields.keys() <= set(Settings.__struct_fields__):
        known = ", ".join(name for name in Settings.__struct_fields__ if name != "record")
        why = f"{SETTINGS_CLAIM}: a name in it is no setting ({known})"
        raise AccessDenied("bad_settings", why)
    if settings.record is not msgspec.UNSET:
        raise AccessDenied(
            "bad_settings", f"{SETTINGS_CLAIM}.record: consent is the user's to give"
        )
    return settings


def _read_agent(claim: Any) -> AgentOverrides:
    # As with settings: an unknown name is refused, or what the backend meant would not hold.
    if _is_empty(claim):
        return NO_OVERRIDES
    try:
        fields = _decode_fields(claim) if isinstance(claim, str) else claim
        return msgspec.convert(fields, AgentOverrides)
    except (ValueError, RecursionError):
        known = ", ".join(AgentOverrides.__struct_fields__)
        why = f"{AGENT_CLAIM}: no such fields of an agent, or too large ({known})"
        raise AccessDenied("bad_agent", why) from None


def _read_backend(claim: Any) -> bool:
    if _is_empty(claim) or claim is False or claim == "false":
        return False
    if claim is True or claim == "true":
        return True
    raise AccessDenied("bad_backend", f"{BACKEND_CLAIM}: expected true or false")


def _is_empty(claim: Any) -> bool:
    return claim is None or (isinstance(claim, str) and not claim.strip())


def _decode_fields(text: str) -> Any:
    """Decode JSON; raise `ValueError` if a name comes twice in an object."""
    json.loads(text, object_pairs_hook=_check_names)
    return msgspec.json.decode(text)  # stricter than Python's own, which takes NaN


def _check_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _read_tenant(everything: dict[str, Any], name: str) -> str:
    if not name:
        return ANONYMOUS.tenant
    tenant = everything.get(name)
    if not isinstance(tenant, str) or not 1 <= len(tenant) <= MAX_TENANT_CHARACTERS:
        raise AccessDenied("no_tenant")
    return tenant
