"""Kept connections to one endpoint of AWS. Safe to use from threads.

Written for what a turn does fifty times: one request with its whole body, one answer. For a post
`http.client` takes 1.7 times as long, and h11 2.3 times (docs/decisions.md).
"""

from __future__ import annotations

import encodings.idna  # noqa: F401  # the first name that is looked up would import it: 3 ms
import os
import select
import socket
import ssl
import threading
import weakref
from collections.abc import Sequence
from urllib.parse import urlsplit

from parley.aio.authorities import find_authorities
from parley.aws.failures import (
    CannotConnect,
    ConnectionLost,
    ConnectTimedOut,
    ReadTimedOut,
)
from parley.aws.http1 import Answer, AnswerParser, MalformedAnswer
from parley.aws.proxy import find_proxy, open_tunnel

MAX_KEPT = 20
"""How many connections to one endpoint are kept: more calls at once open more."""
_RECEIVE_BYTES = 64 * 1024


def tls_context() -> ssl.SSLContext:
    """Return the TLS settings of all connections to AWS: certificates and names are checked.

    `AWS_CA_BUNDLE` names other authorities, or else `REQUESTS_CA_BUNDLE`, as for botocore.
    """
    bundle = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or ""
    return find_authorities(bundle, is_strict=not bundle).read()


class ConnectionPool:
    """Sends requests to one endpoint, over connections that are kept.

    Args:
        url: of the endpoint; only its scheme, host and port count.
        connect_timeout_s: how long a connection may take to open, its TLS included.
        read_timeout_s: how long the endpoint may be silent.
    """

    def __init__(self, url: str, connect_timeout_s: float, read_timeout_s: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is no http:// or https:// URL.")
        self._host = parts.hostname
        self._tls = tls_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._proxy = find_proxy(self._host) if self._tls else None
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._kept: list[socket.socket] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _close, self._kept)

    def exchange(self, request: Sequence[bytes]) -> Answer:
        """Send a request and return its answer.

        A kept connection that the endpoint has closed meanwhile is not what the caller has asked
        about: the request is sent once more, over a new one.

        Args:
            request: head and body.

        Raises:
            CallFailed: there is no answer.
        """
        kept = self._take()
        if kept is not None:
            try:
                return self._exchange(kept, request)
            except _ClosedBeforeAnswer:
                pass
        return self._exchange(self._connect(), request)

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._lock:
            _close(self._kept)

    def _take(self) -> socket.socket | None:
        """Return a kept connection that is open, as far as can be told; None if there is none."""
        while True:
            with self._lock:
                if not self._kept:
                    return None
                connection = self._kept.pop()
            if _is_open(connection):
                return connection
            connection.close()

    def _connect(self) -> socket.socket:
        proxy = self._proxy
        address = (proxy.host, proxy.port) if proxy is not None else (self._host, self._port)
        try:
            connection = socket.create_connection(address, self._connect_timeout_s)
        except TimeoutError:
            raise ConnectTimedOut from None
        except OSError as error:
            raise CannotConnect(type(error).__name__) from None
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if proxy is not None:
                open_tunnel(connection, proxy, self._host, self._port)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_hostname=self._host)
            connection.settimeout(self._read_timeout_s)
        except TimeoutError:
            connection.close()
            raise ConnectTimedOut from None
        except OSError as error:  # of `ssl` too
            connection.close()
            raise CannotConnect(type(error).__name__) from None
        return connection

    def _exchange(self, connection: socket.socket, request: Sequence[bytes]) -> Answer:
        parser, answer = AnswerParser(), None
        try:
            connection.sendall(b"".join(request))
            while answer is None:
                data = connection.recv(_RECEIVE_BYTES)
                if not data and not parser.begun:
                    raise _ClosedBeforeAnswer
                answer = parser.feed(data) if data else parser.end()
        except TimeoutError:
            raise ReadTimedOut from None
        except MalformedAnswer:
            raise ConnectionLost("malformed answer") from None
        except OSError as error:
            if parser.begun:
                raise ConnectionLost(type(error).__name__) from None
            raise _ClosedBeforeAnswer(type(error).__name__) from None
        finally:
            if answer is None or not answer.reusable:
                connection.close()
        if answer.reusable:
            self._keep(connection)
        return answer

    def _keep(self, connection: socket.socket) -> None:
        with self._lock:
            if len(self._kept) < MAX_KEPT:
                self._kept.append(connection)
                return
        connection.close()


def _close(kept: list[socket.socket]) -> None:
    while kept:
        kept.pop().close()


class _ClosedBeforeAnswer(ConnectionLost):
    """The connection was closed, or broke, before the first byte of an answer."""


def _is_open(connection: socket.socket) -> bool:
    """Return whether nothing has come over a connection that nothing was asked over."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    if not poll.poll(0):
        return True
    if not isinstance(connection, ssl.SSLSocket):
        return False
    # TLS 1.3 sends tickets whenever it likes. They are read without a byte for us.
    timeout = connection.gettimeout()
    try:
        connection.setblocking(False)
        connection.recv(1)
    except ssl.SSLWantReadError:
        connection.settimeout(timeout)
        return True
    except OSError:
        return False
    return False
