"""Fetches an OpenID Connect issuer's keys: its discovery document first, which says where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from parley.auth.config import is_trustworthy_url
from parley.auth.jwks import CannotFetch

TIMEOUT_S = 3.0
DISCOVERY_PATH = "/.well-known/openid-configuration"


class IssuerKeys:
    """The keys that an issuer publishes.

    Args:
        issuer: its URL, as tokens have it in `iss`.
    """

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def __call__(self) -> list[Mapping[str, Any]]:
        """Fetch them.

        Raises:
            CannotFetch: the issuer does not answer, or not as it should.
        """
        with httpx.Client(timeout=TIMEOUT_S) as client:
            discovery = _json(client, self._issuer.rstrip("/") + DISCOVERY_PATH)
            if discovery.get("issuer") != self._issuer:
                raise CannotFetch("the discovery document is another issuer's")
            where = discovery.get("jwks_uri")
            if not isinstance(where, str) or not is_trustworthy_url(where):
                raise CannotFetch("jwks_uri is no https URL")
            keys = _json(client, where).get("keys")
        if not isinstance(keys, list):
            raise CannotFetch("the key set has no keys")
        return [key for key in keys if isinstance(key, dict)]


def _json(client: httpx.Client, url: str) -> dict[str, Any]:
    try:
        response = client.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        raise CannotFetch(type(problem).__name__) from None
    if response.status_code != httpx.codes.OK:
        raise CannotFetch(f"HTTP {response.status_code}")
    try:
        found = response.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CannotFetch("not a JSON object")
    return found
