"""The proxy that `HTTPS_PROXY` names, for a function that reaches AWS in no other way.

httpx, websockets and botocore go through it too. Only endpoints over TLS are called through one.
"""

from __future__ import annotations

import base64
import os
import socket
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

MAX_ANSWER_BYTES = 16 * 1024


class Proxy(NamedTuple):
    """A proxy.

    Attributes:
        credentials: name and password as the URL has them, with a colon; empty for none.
    """

    host: str
    port: int
    credentials: str


class TunnelRefused(OSError):
    """The proxy opened no tunnel."""


def find_proxy(host: str) -> Proxy | None:
    """Return the proxy that leads to a host; None if nothing has to.

    Raises:
        ValueError: `HTTPS_PROXY` is no http:// URL.
    """
    if not any(name.lower() == "https_proxy" for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    url = getproxies().get("https", "")
    if not url or proxy_bypass(host):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("HTTPS_PROXY: expected an http:// URL.")
    credentials = parts.netloc.rpartition("@")[0]
    return Proxy(parts.hostname, parts.port or 80, credentials)


def open_tunnel(connection: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Have a proxy pass on what follows.

    Raises:
        OSError: it does not.
    """
    lines = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n"
    if proxy.credentials:
        plain = unquote(proxy.credentials).encode()
        lines += f"Proxy-Authorization: Basic {base64.b64encode(plain).decode()}\r\n"
    connection.sendall(f"{lines}\r\n".encode("latin-1"))
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = connection.recv(1)  # nothing of what comes after it
        answer += data
        if not data or len(answer) > MAX_ANSWER_BYTES:
            raise TunnelRefused
    if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
        raise TunnelRefused
