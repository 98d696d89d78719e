"""A webhook's address: a URL with places that arguments fill."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

MAX_TARGET_CHARS = 8_000
_PLACE = re.compile(r"\{([A-Za-z0-9_-]+)\}")
_KEPT = "/%:@!$&'()*+,;=-._~"
"""What of a path or query is written as it is (RFC 3986)."""
_FOLDERS = frozenset({"", ".", ".."})
_PORTS = {"https": 443, "http": 80}


class BadArgument(Exception):
    """An argument cannot be in the address. The message is a sentence for the model."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a webhook is. Only the path and the query have places.

    Attributes:
        scheme: `https` or `http`.
        host: as ASCII.
        port: of the connection.
        authority: the value of the header `Host`.
    """

    scheme: str
    host: str
    port: int
    authority: str
    path: str
    query: str

    @property
    def places(self) -> frozenset[str]:
        """Return the names of the arguments that fill it."""
        return frozenset(_PLACE.findall(f"{self.path}?{self.query}"))

    def fill(self, arguments: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> str:
        """Return path and query for a call, every value percent-encoded.

        Args:
            more: is added to the query.

        Raises:
            BadArgument: a value is empty in the path, or has `.`, `..` or nothing between slashes
            there, or is too long.
        """
        path = "/".join(_fill_segment(each, arguments) for each in self.path.split("/"))
        query = _fill(self.query, arguments)
        added = urlencode(
            {name: _text(value) for name, value in (more or {}).items()}, errors="replace"
        )
        target = "?".join(filter(None, (path, "&".join(filter(None, (query, added))))))
        if len(target) > MAX_TARGET_CHARS:
            raise BadArgument("The arguments are too long for an address.")
        return target


def read_address(text: str) -> Address:
    """Return the address that a tool's `http` names.

    Raises:
        ValueError: it is none; the message says what is wrong.
    """
    url = urlsplit(text.strip())
    if url.scheme not in _PORTS or not url.hostname:
        raise ValueError("must be a URL such as https://example.com/orders/{order}")
    if "{" in url.netloc or "}" in url.netloc:
        raise ValueError("may have {name} only in its path and query")
    if "@" in url.netloc:
        raise ValueError("must not have a user name or password: use secret")
    try:
        host = url.hostname if ":" in url.hostname else url.hostname.encode("idna").decode()
        port = url.port or _PORTS[url.scheme]
    except ValueError:  # UnicodeError is one
        raise ValueError("has a host or port that is none") from None
    path, query = _quote(url.path or "/"), _quote(url.query, "?")
    bare = f"[{host}]" if ":" in host else host
    authority = bare if port == _PORTS[url.scheme] else f"{bare}:{port}"
    if re.search("[{}]", _PLACE.sub("", f"{path}{query}")):
        raise ValueError("has a brace that belongs to no {name}")
    return Address(url.scheme, host, port, authority, path, query)


def _quote(text: str, more: str = "") -> str:
    return quote(text, safe=f"{_KEPT}{{}}{more}")


def _fill_segment(segment: str, arguments: Mapping[str, Any]) -> str:
    filled = _fill(segment, arguments)
    # A server would leave the folder that the deployer has named, or list it. Some decode slashes
    # before they look for folders, and some take both kinds.
    if filled != segment and not _FOLDERS.isdisjoint(re.split(r"[/\\]", unquote(filled))):
        raise BadArgument("An argument is missing, or cannot be part of an address.")
    return filled


def _fill(text: str, arguments: Mapping[str, Any]) -> str:
    def value(place: re.Match[str]) -> str:
        return quote(_text(arguments.get(place[1])), safe="", errors="replace")

    return _PLACE.sub(value, text)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
