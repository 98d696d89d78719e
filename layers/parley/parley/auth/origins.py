"""Which pages may connect. A browser names the page's origin; other clients name none.

Browsers do not apply the same-origin policy to WebSockets, so the server must check the origin. A
missing `Origin` is allowed: a client that is no browser can send any. The token protects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from parley.errors import ConfigurationError

_ENTRY = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<wild>\*\.)?(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class _Origin:
    scheme: str
    host: str
    port: str
    any_subdomain: bool

    def covers(self, other: _Origin) -> bool:
        if (self.scheme, self.port) != (other.scheme, other.port):
            return False
        if self.any_subdomain:
            return other.host.endswith(f".{self.host}")
        return other.host == self.host


class AllowedOrigins:
    """A list of origins.

    Args:
        text: comma-separated: `https://app.example.com`, `https://*.example.com` for every
            subdomain (not the domain itself), or `*` for every origin.

    Raises:
        ConfigurationError: an entry is invalid.
    """

    def __init__(self, text: str) -> None:
        entries = [entry.strip() for entry in text.split(",") if entry.strip()]
        self._allows_all = not entries or "*" in entries
        self._origins = [_parse_entry(entry) for entry in entries if entry != "*"]

    def allow(self, origins: Iterable[str]) -> bool:
        """Return whether a request with these `Origin` headers is allowed."""
        return self._allows_all or all(map(self._allows, origins))

    def _allows(self, text: str) -> bool:
        origin = _parse_origin(text)
        # A sandboxed frame or a file sends `null`, which names no page.
        if origin is None or origin.any_subdomain:
            return False
        return any(allowed.covers(origin) for allowed in self._origins)


def _parse_entry(entry: str) -> _Origin:
    origin = _parse_origin(entry)
    if origin is None:
        raise ConfigurationError(
            f"ALLOWED_ORIGINS: expected https://host, https://*.host (with :port if it is not "
            f"the usual one, without a path) or *; got {entry!r}."
        )
    return origin


def _parse_origin(text: str) -> _Origin | None:
    match = _ENTRY.fullmatch(text.strip().lower())
    if match is None:
        return None
    scheme = match["scheme"]
    port = match["port"] or _DEFAULT_PORTS.get(scheme, "")
    return _Origin(scheme, match["host"], port, bool(match["wild"]))
