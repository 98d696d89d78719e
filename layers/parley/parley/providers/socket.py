"""A WebSocket to a speech service: JSON frames in, failures as `ProviderError`.

What the sockets of all services have in common; what the frames mean is for their transcribers and
synthesizers. The vendors' own SDKs are not used: they double a cold start, or more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import Headers
from websockets.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)

from parley.aio.authorities import usual_authorities
from parley.errors import FailureKind, ProviderError
from parley.providers.context import ApiKey
from parley.providers.diagnosis import Diagnosis, Endpoint

Query = Mapping[str, str] | Sequence[tuple[str, str]]
CONNECT_TIMEOUT_S = 3.0
MAX_FRAME_BYTES = 16 * 1024 * 1024
"""Frames with audio and alignment exceed the 1 MiB that websockets allows by default."""


TellError = Callable[[dict[str, Any]], object]
"""Returns what names the error in a frame: its name, or an object that has some. None for a frame
that is no error."""


@dataclass(frozen=True, slots=True)
class SocketService:
    """What the sockets of one vendor have in common.

    Attributes:
        make_headers: makes those of the handshake from the key.
        tell_error: finds the error in a frame.
    """

    make_headers: Callable[[str], Mapping[str, str]]
    tell_error: TellError


class ProviderSocket:
    """One open socket.

    Args:
        connection: the open WebSocket.
        diagnosis: makes its failures.
        tell_error: finds the error in a frame.
    """

    def __init__(
        self, connection: ClientConnection, diagnosis: Diagnosis, tell_error: TellError
    ) -> None:
        self._connection = connection
        self._diagnosis = diagnosis
        self._tell_error = tell_error

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        path: str,
        query: Query,
        service: SocketService,
        api_key: ApiKey,
        said: Sequence[str] = (),
        *,
        ping_interval_s: float | None = None,
        ping_timeout_s: float | None = None,
    ) -> ProviderSocket:
        """Connect.

        Args:
            path: behind the endpoint's base URL.
            api_key: gives the key, which must not be in a log, whatever the service sends back.
            said: what must not be in a log if the service sends it back; may grow.
            ping_interval_s: how often it is asked whether the service is there; None: never.
            ping_timeout_s: how long that may stay without an answer.

        Raises:
            ProviderError: the handshake failed.
        """
        key = await api_key()
        diagnosis = Diagnosis(endpoint, key, said)
        url = f"{_websocket_url(endpoint.base_url)}{path}?{urlencode(query)}"
        try:
            connection = await connect(
                url,
                ssl=await usual_authorities().read_in_thread() if url.startswith("wss:") else None,
                additional_headers=service.make_headers(key),
                compression=None,
                max_size=MAX_FRAME_BYTES,
                open_timeout=CONNECT_TIMEOUT_S,
                close_timeout=0.5,
                ping_interval=ping_interval_s,
                ping_timeout=ping_timeout_s,
            )
        except InvalidStatus as refused:
            answer = refused.response
            found = _first_values(answer.headers)
            raise diagnosis.diagnose_status(answer.status_code, found, answer.body) from None
        except InvalidURI:
            raise diagnosis.make_error("invalid_url", "refused") from None
        except InvalidMessage:
            raise diagnosis.make_error("no_protocol", "unavailable") from None
        except (OSError, InvalidHandshake, WebSocketException) as error:
            # A connect that stalls is one of them (TimeoutError is an OSError): nothing has been
            # asked yet, so another connection may still answer in time.
            raise diagnosis.diagnose_exception(error) from None
        except (LookupError, ValueError):  # it redirects to two places, or to what is no URL
            raise diagnosis.make_error("no_protocol", "unavailable") from None
        if connection.response is not None:
            diagnosis.note_request_id(_first_values(connection.response.headers))
        return cls(connection, diagnosis, service.tell_error)

    async def send(self, frame: dict[str, Any]) -> None:
        """Send one JSON frame.

        Raises:
            ProviderError: the connection is gone.
        """
        await self.send_raw(msgspec.json.encode(frame).decode())

    async def send_raw(self, frame: str | bytes) -> None:
        """Send one frame as it is: text, or bytes in a binary frame.

        Raises:
            ProviderError: the connection is gone.
        """
        try:
            await self._connection.send(frame)
        except ConnectionClosed as closed:
            raise await self._told_before(closed) from None

    async def receive(self) -> dict[str, Any] | None:
        """Receive the next frame; None when the service has closed the socket normally.

        Raises:
            ProviderError: the connection broke, or the frame is not a JSON object.
        """
        try:
            frame = msgspec.json.decode(await self._connection.recv())
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code == 1000:
                return None
            raise self._lost(closed) from None
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise self.make_failure("invalid") from None
        if not isinstance(frame, dict):
            raise self.make_failure("invalid")
        return frame

    async def close(self) -> None:
        """Close, without waiting for a service that does not answer."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._connection.close(), timeout=0.5)

    def make_failure(self, kind: FailureKind) -> ProviderError:
        """Make the failure of a service that closes too early, or sends what makes no sense."""
        reason = "closed" if kind == "unavailable" else "no_protocol"
        return self._diagnosis.make_error(reason, kind)

    def make_silence_error(self) -> ProviderError:
        """Make the failure of a service that says nothing, and may do so to another call."""
        return self._diagnosis.make_error("timeout", "unavailable")

    def make_frame_error(self, error: object) -> ProviderError:
        """Make the failure that an error frame means.

        Args:
            error: its name, or an object that has some.
        """
        return self._diagnosis.diagnose_error(error)

    async def _told_before(self, closed: ConnectionClosed) -> ProviderError:
        """Make the failure of a send that found the connection closed.

        The service may have said why, in a frame that nobody has read yet.
        """
        try:
            while (frame := await self.receive()) is not None:
                if (error := self._tell_error(frame)) is not None:
                    return self.make_frame_error(error)
        except ConcurrencyError:  # somebody reads, and finds it
            pass
        except ProviderError as error:
            return error
        return self._lost(closed)

    def _lost(self, closed: ConnectionClosed) -> ProviderError:
        """Make the failure of a connection that has ended; a close frame may name its error."""
        close = closed.rcvd
        if close is None:
            return self._diagnosis.make_error("connection_lost", "unavailable")
        return self._diagnosis.diagnose_close(close.code, close.reason)


async def prepare_sockets(endpoint: Endpoint) -> None:
    """Do what the sockets of a service need and can keep, without opening one. Never raise."""
    with contextlib.suppress(OSError, ValueError):
        url = urlsplit(endpoint.base_url)
        if url.scheme == "https":
            await usual_authorities().read_in_thread()
        port = url.port or (443 if url.scheme == "https" else 80)
        await asyncio.get_running_loop().getaddrinfo(url.hostname, port)


def _first_values(headers: Headers) -> dict[str, str]:
    """Return headers by their names in lower case; of one that comes twice, the first.

    The library's own mapping raises for such a one, and a proxy adds its id to the origin's.
    """
    return {name.lower(): value for name, value in reversed(list(headers.raw_items()))}


def _websocket_url(base_url: str) -> str:
    return "ws" + base_url.rstrip("/").removeprefix("http")
