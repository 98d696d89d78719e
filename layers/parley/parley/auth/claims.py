"""What a token must claim, once its signature has proved that the claims are its issuer's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from parley.auth.errors import Refused
from parley.auth.identity import Identity
from parley.principal import ANONYMOUS, Principal
from parley.protocol.messages import Settings

CLOCK_SKEW_S = 60.0
"""How far the issuer's clock may be off."""
MAX_SUBJECT_CHARACTERS = 256
MAX_TENANT_CHARACTERS = 128
SETTINGS_CLAIM = "parley_settings"
"""Settings that the application's backend chose for the user: an object, or the same as JSON in a
string."""
MAX_KEY_BYTES = 896
"""Of a principal, percent-encoded: with the ids of session and turn it is in the keys of
recordings, which have at most 1,024 bytes in S3; DynamoDB's partition keys have room for 2,048."""


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What is expected of the claims.

    Attributes:
        issuer: the value of `iss`; empty for any.
        audience: a value that `aud` must have or contain; empty for any.
        tenant_claim: the claim that names the tenant; empty if there is one tenant.
    """

    issuer: str = ""
    audience: str = ""
    tenant_claim: str = ""


class _Claims(msgspec.Struct):
    """The registered claims (RFC 7519, 4.1), times in s since the epoch."""

    exp: float | None = None
    nbf: float | None = None
    iat: float | None = None
    iss: str = ""
    aud: str | list[str] | None = None
    client_id: str = ""
    sub: str = ""


def identity_of(payload: bytes, rules: ClaimRules, now_s: float) -> Identity:
    """Whom a token's payload stands for, and the settings that it sets.

    Args:
        now_s: the time, in s since the epoch.

    Raises:
        Refused: a claim is missing or not what it must be.
    """
    claims, everything = _decoded(payload)
    _check_times(claims, now_s)
    if rules.issuer and claims.iss != rules.issuer:
        raise Refused("wrong_issuer")
    if rules.audience and rules.audience not in _audiences(claims):
        raise Refused("wrong_audience")
    if not 1 <= len(claims.sub) <= MAX_SUBJECT_CHARACTERS:
        raise Refused("bad_subject")
    principal = Principal(_tenant(everything, rules.tenant_claim), claims.sub)
    if not may_be_known(principal):
        raise Refused("bad_subject")
    return Identity(principal, _settings(everything.get(SETTINGS_CLAIM)))


def may_be_known(principal: Principal) -> bool:
    """Whether a token may stand for a principal: its keys are short enough, and nobody is known
    by the name of those whom nobody knows."""
    return principal != ANONYMOUS and len(principal.key) <= MAX_KEY_BYTES


def _decoded(payload: bytes) -> tuple[_Claims, dict[str, Any]]:
    try:
        everything = msgspec.json.decode(payload, type=dict[str, Any])
        return msgspec.convert(everything, _Claims), everything
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused("malformed") from None


def _check_times(claims: _Claims, now_s: float) -> None:
    if claims.exp is None:
        raise Refused("no_expiry")
    if claims.exp <= now_s - CLOCK_SKEW_S:
        raise Refused("expired")
    if max(claims.nbf or 0.0, claims.iat or 0.0) > now_s + CLOCK_SKEW_S:
        raise Refused("not_yet_valid")


def _audiences(claims: _Claims) -> list[str]:
    """Amazon Cognito's access tokens have no `aud`; they name the app in `client_id`."""
    if claims.aud is None:
        return [claims.client_id]
    return [claims.aud] if isinstance(claims.aud, str) else claims.aud


def _settings(claim: Any) -> Settings:
    """Amazon Cognito's custom attributes are strings: JSON in one is taken too.

    A name that is none of a setting is refused, and one that comes twice: what the backend means to
    choose would be the client's choice.
    """
    if claim is None or (isinstance(claim, str) and not claim.strip()):
        return Settings()
    try:
        fields = _fields_in(claim) if isinstance(claim, str) else claim
        settings = msgspec.convert(fields, Settings)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        # Not what msgspec says: it may quote the claim.
        raise Refused("bad_settings", f"{SETTINGS_CLAIM} holds no settings") from None
    if not fields.keys() <= set(Settings.__struct_fields__):
        known = ", ".join(name for name in Settings.__struct_fields__ if name != "record")
        why = f"{SETTINGS_CLAIM}: a name in it is no setting ({known})"
        raise Refused("bad_settings", why)
    if settings.record is not msgspec.UNSET:
        raise Refused("bad_settings", f"{SETTINGS_CLAIM}.record: consent is the user's to give")
    return settings


def _fields_in(text: str) -> Any:
    """What JSON says; raises `ValueError` if a name comes twice in it."""
    json.loads(text, object_pairs_hook=_named_once)
    return msgspec.json.decode(text)  # refuses what is no JSON, which Python's own takes


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _tenant(everything: dict[str, Any], name: str) -> str:
    if not name:
        return ANONYMOUS.tenant
    tenant = everything.get(name)
    if not isinstance(tenant, str) or not 1 <= len(tenant) <= MAX_TENANT_CHARACTERS:
        raise Refused("no_tenant")
    return tenant
