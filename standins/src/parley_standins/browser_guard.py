"""Refuses what web pages send: no page talks to a stand-in, or reads what was said to it.

Every page that a developer visits may send requests to ports of the developer's machine. Through
a name of its own that resolves to 127.0.0.1 (DNS rebinding) it reads the answers as well. A
browser names the host that it was asked for (`Host`), and marks the request of a page with
`Origin` or with a `Sec-Fetch-Site` other than `none`. SDKs and command-line tools send `Host`
alone. A stand-in serves no page, so no page has a reason to ask it anything.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler


def refusal_of(headers: Mapping[str, str]) -> str | None:
    """Say why a request is refused; None if it is not.

    Args:
        headers: of the request, found whatever their case.
    """
    if not _is_of_this_machine(_name_in(headers.get("Host", ""))):
        return "Use localhost or an IP address to reach a stand-in."
    from_a_page = "Origin" in headers or headers.get("Sec-Fetch-Site", "none").lower() != "none"
    return "A web page may not use a stand-in." if from_a_page else None


@web.middleware
async def refuse_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 403 to what a page sends."""
    refused = refusal_of(request.headers)
    if refused:
        return web.json_response({"message": refused}, status=403)
    return await handler(request)


def _name_in(host: str) -> str:
    """Return the name in a `Host`, in lower case; empty if there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_of_this_machine(name: str) -> bool:
    """Return whether nobody else can make a name lead here.

    Another machine of the same network may answer for any other name without a dot (LLMNR,
    mDNS, a search domain of DHCP), and so have it lead to 127.0.0.1.
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
