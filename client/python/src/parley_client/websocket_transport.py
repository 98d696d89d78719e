"""One WebSocket connection: opened with readable errors, closed with a reason.

It carries messages and events, and knows nothing of sessions and turns. The
reconnector opens one after the other.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import time
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)
from websockets.typing import Subprotocol

from parley_client.decoder import decode
from parley_client.destination import Destination
from parley_client.encoder import encode
from parley_client.errors import (
    BadInput,
    ConnectFailed,
    ConnectionLost,
    HandshakeRefused,
    Unauthorized,
)
from parley_client.events import ReceivedEvent
from parley_client.messages import ClientMessage
from parley_client.retry_after import retry_after_ms

MAX_EVENT_BYTES = 1_048_576
"""Eight times what API Gateway lets a server send in one message (128 KB)."""
SUBPROTOCOL = "parley"
"""Offered together with a token. The server answers this one, never the token."""
CLOSE_TIMEOUT_S = 2.0
"""How long to wait for the other side's close frame."""


class _Connect(connect):
    """Follows no redirect: it would show the token to another server."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class WebSocketTransport:
    """An open WebSocket that speaks in messages and events."""

    def __init__(self, socket: ClientConnection, url: str) -> None:
        self._socket = socket
        self.url = url

    @classmethod
    async def open(cls, destination: Destination, timeout_s: float) -> WebSocketTransport:
        """Connect.

        Raises:
            BadInput: that is no WebSocket URL, or no token.
            ConnectFailed: nothing answered, or not a WebSocket (`HandshakeRefused`), or the
                server wants another token (`Unauthorized`).
        """
        url, token = await destination.resolve(timeout_s)
        host = _host_of(url)
        shown = shown_url(url)
        try:
            websocket = await _Connect(
                url,
                # Not in the query string, where it would end up in logs.
                subprotocols=[Subprotocol(SUBPROTOCOL), Subprotocol(token)] if token else None,
                open_timeout=timeout_s,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=MAX_EVENT_BYTES,
                # Base64 of speech hardly shrinks, and API Gateway doesn't compress.
                compression=None,
                # API Gateway isn't documented to answer ping frames; the protocol's
                # own ping is the heartbeat.
                ping_interval=None,
                proxy=None if _is_local(host) else True,
            )
        except InvalidStatus as refused:
            raise _refusal(refused, shown, token) from None
        except (InvalidURI, InvalidProxy) as invalid:
            # As a text it repeats the whole URL.
            raise BadInput(f"{shown} cannot be connected to: {invalid.msg}.") from None
        except UnicodeError:
            raise BadInput(
                f"{shown!r} cannot be connected to: the parts of a host's name have 1 to 63 "
                "letters, and no part of a URL has half a character."
            ) from None
        except ProxyError as failed:
            raise ConnectFailed(f"The proxy in the way to {shown} refused: {failed}.") from None
        except ImportError:  # websockets has what a SOCKS proxy takes from elsewhere
            raise ConnectFailed(
                f"A SOCKS proxy is in the way to {shown}: pip install python-socks.",
                retryable=False,
            ) from None
        except (InvalidMessage, InvalidHandshake, EOFError) as failed:
            if isinstance(failed.__cause__ or failed, EOFError):
                raise ConnectFailed(
                    f"{shown} closed the connection before it had answered."
                ) from None
            raise ConnectFailed(
                f"What answers at {shown} is not a WebSocket server. Check the URL and its port.",
                retryable=False,
            ) from None
        except TimeoutError:
            raise ConnectFailed(f"{shown} didn't answer within {timeout_s:g} s.") from None
        except OSError as failed:
            raise ConnectFailed(_explain_os_error(shown, host, failed)) from None
        return cls(websocket, shown)

    async def send(self, message: ClientMessage) -> None:
        """Send one message.

        Raises:
            ConnectionLost: the connection has closed.
        """
        try:
            await self._socket.send(encode(message))
        except ConnectionClosed as closed:
            raise _lost(closed) from None

    async def receive(self) -> ReceivedEvent | None:
        """The next event; None for one that this client is too old to know.

        Raises:
            ConnectionLost: there will be none.
            ProtocolViolation: the server sent what is no event.
        """
        try:
            return decode(await self._socket.recv())
        except ConnectionClosed as closed:
            raise _lost(closed) from None

    def abandon(self) -> None:
        """Let go of it without a goodbye: the other end is thought to be gone."""
        self._socket.transport.abort()

    async def close(self) -> None:
        """Close it; harmless when it has closed already."""
        await self._socket.close()


def _host_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("ws", "wss") or not host:
        raise BadInput(
            f"{shown_url(url)!r} is not a WebSocket URL; one looks like "
            "ws://localhost:3001/dev or wss://abc123.execute-api.eu-west-1.amazonaws.com/prod."
        )
    return host


def shown_url(url: str) -> str:
    """The URL as it may be shown: without user, query and fragment, which can hold secrets."""
    try:
        parts = urlsplit(url)
        if parts.hostname and (parts.port is None or parts.port >= 0):
            host = parts.netloc.rpartition("@")[2]
            return f"{parts.scheme}://{host}{parts.path}"
    except ValueError:
        pass
    if "@" not in url:
        return re.split(r"[?#]", url, maxsplit=1)[0]
    # Where a password ends is not to be told from what is no URL.
    scheme = re.match(r"\w+://", url)
    return f"{scheme[0] if scheme else ''}…"


def _is_local(host: str) -> bool:
    """Whether a proxy that the environment names is of no use for this host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _refusal(refused: InvalidStatus, url: str, token: str | None) -> HandshakeRefused:
    status = refused.response.status_code
    if status == 401:
        return Unauthorized(_explain_token(url, token))
    # Something on the way may repeat the header; the first is as good as any.
    told = refused.response.headers.get_all("Retry-After")
    wait_ms = retry_after_ms(told[0] if told else None, time.time())
    return HandshakeRefused(_explain_status(url, status), status=status, retry_after_ms=wait_ms)


def _explain_token(url: str, token: str | None) -> str:
    if token is None:
        return f"{url} wants a token (HTTP 401). Give `token` to `connect`."
    return f"{url} does not take the token (HTTP 401). It may have expired, or be another's."


def _explain_status(url: str, status: int) -> str:
    if 300 <= status < 400:
        return (
            f"{url} redirects to another address (HTTP {status}), which is not followed. "
            "Connect to that address itself."
        )
    if status == 403:
        # API Gateway answers an unknown stage with 403 too
        return (
            f"{url} refused the connection (HTTP {status}). Check the stage at the end of the "
            "URL, and whether it lets this page or user in."
        )
    if status == 404:
        return f"There is nothing at {url} (HTTP 404). Check the path of the URL."
    if status == 429:
        return f"{url} takes no more connections for now (HTTP 429). Try again later."
    if status >= 500:
        return f"{url} failed while connecting (HTTP {status}). Try again; its log says why."
    return f"{url} answered HTTP {status} instead of opening a WebSocket. Check the URL."


def _explain_os_error(url: str, host: str, failed: OSError) -> str:
    if isinstance(failed, ConnectionRefusedError) or "Multiple exceptions" in str(failed):
        return f"Nothing answers at {url} (connection refused). Is it running there?"
    if isinstance(failed, socket.gaierror):
        return f"There is no host named {host}. Check the URL."
    if isinstance(failed, ssl.SSLError):
        why = getattr(failed, "verify_message", "") or failed.reason or failed
        return f"{url} could not be reached securely: {why}."
    return f"{url} could not be reached: {failed.strerror or failed}."


_CLOSE_REASONS = {
    1001: "API Gateway closes after 10 idle minutes, and after 2 hours",
    1006: "it broke off without a goodbye",
    1009: "a message was too large",
    1011: "the server failed",
}


def _lost(closed: ConnectionClosed) -> ConnectionLost:
    received = closed.rcvd or closed.sent
    code = received.code if received else 1006
    why = (received.reason if received else "") or _CLOSE_REASONS.get(code, "")
    return ConnectionLost(
        f"The connection was closed ({code}{': ' + why if why else ''}).", close_code=code
    )
