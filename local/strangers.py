"""Keeps other sites' pages away from what is for the developer of this machine alone.

Every page that a developer visits may send requests to ports of the developer's machine; some
are sent without asking ("simple" requests of CORS), and through a name of its own that
resolves to 127.0.0.1 (DNS rebinding) a page reads the answers as well. Browsers name the host
that they were asked for and the page that asks; SDKs and command-line tools send no `Origin`.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def stranger(headers: Mapping[str, str]) -> str | None:
    """Why a request comes from a page of another site; None if it does not.

    Args:
        headers: of the request, found whatever their case.
    """
    host = headers.get("Host", "")
    if not _is_of_this_machine(host):
        return "Use localhost or an IP address to reach the local stack."
    origin = headers.get("Origin")
    if origin is not None:
        if urlsplit(origin).netloc == host:
            return None
        return f"A page of {origin} may not use the local stack."
    foreign = headers.get("Sec-Fetch-Site", "none") in ("cross-site", "same-site")
    if foreign and headers.get("Sec-Fetch-Mode") != "navigate":  # a link to it is fine
        return "A page of another site may not use the local stack."
    return None


class StrangersKeptOut:
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
        refused = stranger(_headers(environ))
        if refused is None or self._is_given(environ):
            return self._app(environ, start_response)
        body = json.dumps({"message": refused}).encode()
        given = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("403 Forbidden", given)
        return [body]


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    names = ("Host", "Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode")
    keys = {name: "HTTP_" + name.upper().replace("-", "_") for name in names}
    return {name: environ[key] for name, key in keys.items() if key in environ}


def _is_of_this_machine(host: str) -> bool:
    """Whether no public name leads to it: an address, `localhost`, or a name without a dot,
    as containers of one network have them."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if "." not in name or name.endswith(".localhost") or name == "host.docker.internal":
        return bool(name)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
