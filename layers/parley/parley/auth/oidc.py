"""Fetches an OpenID Connect issuer's keys. Its discovery document says where they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from parley.auth.config import is_trustworthy_url
from parley.auth.jwks import KeysUnavailable

TIMEOUT_S = 3.0
DISCOVERY_PATH = "/.well-known/openid-configuration"


class IssuerKeys:
    """The keys that an issuer publishes.

    Args:
        issuer: the issuer's URL, as in the claim `iss`.
    """

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def fetch(self) -> list[Mapping[str, Any]]:
        """Fetch the keys.

        Raises:
            KeysUnavailable: the issuer does not answer, or its answer is invalid.
        """
        with httpx.Client(timeout=TIMEOUT_S) as client:
            discovery = _fetch_json(client, self._issuer.rstrip("/") + DISCOVERY_PATH)
            if discovery.get("issuer") != self._issuer:
                raise KeysUnavailable("the discovery document is another issuer's")
            where = discovery.get("jwks_uri")
            if not isinstance(where, str) or not is_trustworthy_url(where):
                raise KeysUnavailable("jwks_uri is no https URL")
            keys = _fetch_json(client, where).get("keys")
        if not isinstance(keys, list):
            raise KeysUnavailable("the key set has no keys")
        return [key for key in keys if isinstance(key, dict)]


def _fetch_json(client: httpx.Client, url: str) -> dict[str, Any]:
    try:
        response = client.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        raise KeysUnavailable(type(problem).__name__) from None
    if response.status_code != httpx.codes.OK:
        raise KeysUnavailable(f"HTTP {response.status_code}")
    try:
        found = response.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise KeysUnavailable("not a JSON object")
    return found
