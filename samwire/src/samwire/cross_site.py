"""Keeps other sites' pages away from what runs on a developer's machine.

Every page that a developer visits may send requests to ports of the developer's machine; some
are sent without asking ("simple" requests of CORS, links, forms and frames), and through a name
of its own that resolves to 127.0.0.1 (DNS rebinding) a page reads the answers as well. Browsers
name the host that they were asked for (`Host`), the page that asks (`Origin`) and how near that
page is (`Sec-Fetch-Site`, "Fetch Metadata Request Headers"); SDKs and command-line tools send
the first alone.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_NAMES = ("Host", "Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest")
_NEAR = ("", "none", "same-origin")
"""A `Sec-Fetch-Site` of no page (an address that was typed, a program) or of the same origin."""


class Surface(StrEnum):
    """What a request is for."""

    PRIVATE = "private"
    """For the developer and the functions alone."""
    PAGE = "page"
    """A file of a folder that is served: another site may link to it, and no more."""
    API = "api"
    """An API of the template: which origins it takes is for the template to say, as on AWS."""


@dataclass(frozen=True, slots=True)
class CrossSiteRules:
    """What other sites are allowed besides what they always are.

    Attributes:
        hosts: other names, in lower case, that the stack is reached by.
        navigation: whether links of other sites may lead to an API, as after a sign-in elsewhere.
    """

    hosts: frozenset[str] = frozenset()
    navigation: bool = False


_CLOSED = CrossSiteRules()


def find_cross_site_refusal(
    headers: Mapping[str, str],
    surface: Surface = Surface.PRIVATE,
    rules: CrossSiteRules = _CLOSED,
    method: str = "GET",
    scheme: str = "http",
) -> str | None:
    """Say why a request comes from a page of another site; None if it does not.

    Args:
        headers: of the request, found whatever their case.
        scheme: of the listener that the request has come to.
    """
    host = headers.get("Host", "")
    name = _name(host)
    if not (name in rules.hosts or _is_of_this_machine(name)):
        return (
            "Use localhost or an IP address to reach the local stack, or name the host with "
            "--allow-host."
        )
    origin = headers.get("Origin")
    if origin is not None:
        # In front of a host that was named, such as a tunnel's, TLS may end.
        schemes = ("http", "https") if name in rules.hosts else (scheme,)
        if surface is Surface.API or origin.lower() in [f"{s}://{host.lower()}" for s in schemes]:
            return None
        return f"A page of {origin} may not use the local stack."
    site = headers.get("Sec-Fetch-Site", "").lower()
    if site in _NEAR or (surface is Surface.API and site == "same-site"):
        return None
    is_link = (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")) == (
        "navigate",
        "document",
    )
    if is_link and surface is Surface.PAGE and method in ("GET", "HEAD"):
        return None
    if is_link and surface is Surface.API:
        if rules.navigation:
            return None
        return (
            "A link or form of another site may not lead to the local API; --allow-navigation "
            "lets it."
        )
    return "A page of another site may not use the local stack. Enter the address yourself."


class CrossSiteGuard:
    """A WSGI application that only this machine's own programs use.

    It stands for services that hold secrets and what was said, and moto's server lets every
    origin read its answers.

    Args:
        is_given: whether a request, by its environ, is one that every page may make: one that
            it was given a presigned URL for, as on AWS.
    """

    def __init__(self, app: Wsgi, is_given: Callable[[Mapping[str, Any]], bool]) -> None:
        self._app = app
        self._is_given = is_given

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        refused = find_cross_site_refusal(
            _headers(environ), scheme=environ.get("wsgi.url_scheme", "http")
        )
        if refused is None or self._is_given(environ):
            return self._app(environ, start_response)
        body = json.dumps({"message": refused}).encode()
        given = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("403 Forbidden", given)
        return [body]


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    keys = {name: "HTTP_" + name.upper().replace("-", "_") for name in _NAMES}
    return {name: environ[key] for name, key in keys.items() if key in environ}


def _name(host: str) -> str:
    """Return the name in a `Host`, in lower case; empty if there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_of_this_machine(name: str) -> bool:
    """Return whether nobody else can make it lead here: an address, `localhost`, the machine's own
    name.

    Any other name without a dot may be answered by whoever is in the same network (LLMNR, mDNS, a
    search domain of DHCP), and so be made to lead to 127.0.0.1.
    """
    if name in ("localhost", "host.docker.internal", socket.gethostname().lower()):
        return bool(name)
    if name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
