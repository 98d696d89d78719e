"""A WebSocket to ElevenLabs: JSON frames in and out, failures as `ProviderError`.

What both of ElevenLabs' speech sockets have in common; what the frames mean is for
`elevenlabs_transcriber` and `elevenlabs_synthesizer`. The official SDK is not used
here: it has no asynchronous client for these sockets and doubles the cold start.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    WebSocketException,
)

from parley.errors import ErrorCode, FailureKind, ProviderError
from parley.providers import failure, kind_of_status, retry_after_ms

ApiKey = Callable[[], Awaitable[str]]

CONNECT_TIMEOUT_S = 3.0
MAX_FRAME_BYTES = 16 * 1024 * 1024
"""Frames with audio and alignment exceed the 1 MiB that websockets allows by default."""

_KIND_OF_ERROR: dict[str, FailureKind] = {
    "auth_error": "unauthorized",
    "invalid_api_key": "unauthorized",
    "missing_api_key": "unauthorized",
    "quota_exceeded": "refused",
    "unaccepted_terms": "refused",
    "insufficient_credits": "refused",
    "payment_required": "refused",
    "voice_not_found": "refused",
    "invalid_request": "refused",
    "input_error": "refused",
    "rate_limited": "rate_limited",
    "rate_limit_exceeded": "rate_limited",
    "concurrent_limit_exceeded": "rate_limited",
    "too_many_concurrent_requests": "rate_limited",
    "max_active_conversations": "rate_limited",
    "queue_overflow": "rate_limited",
    "resource_exhausted": "rate_limited",
    "system_busy": "unavailable",
}
"""ElevenLabs' error names; any other means that the service itself failed."""


class ElevenLabsSocket:
    """One open socket.

    Args:
        connection: the open WebSocket.
        code: the error code that its failures carry.
        service: what the service is called in messages, e.g. `Speech synthesis`.
    """

    def __init__(self, connection: ClientConnection, code: ErrorCode, service: str) -> None:
        self._connection = connection
        self._code: ErrorCode = code
        self._service = service

    @classmethod
    async def open(
        cls,
        base_url: str,
        path: str,
        query: dict[str, str],
        api_key: ApiKey,
        *,
        code: ErrorCode,
        service: str,
        ping_interval_s: float | None = None,
        ping_timeout_s: float | None = None,
    ) -> ElevenLabsSocket:
        """Connect.

        Args:
            ping_interval_s: how often it is asked whether the service is there; None: never.
            ping_timeout_s: how long that may stay without an answer.

        Raises:
            ProviderError: the handshake failed.
        """
        url = f"{_websocket_url(base_url)}{path}?{urlencode(query)}"
        try:
            connection = await connect(
                url,
                additional_headers={"xi-api-key": await api_key()},
                compression=None,
                max_size=MAX_FRAME_BYTES,
                open_timeout=CONNECT_TIMEOUT_S,
                close_timeout=0.5,
                ping_interval=ping_interval_s,
                ping_timeout=ping_timeout_s,
            )
        except InvalidStatus as refused:
            raise _refusal(refused, code, service) from None
        except (OSError, InvalidHandshake, WebSocketException):
            # A connect that stalls is one of them (TimeoutError is an OSError): nothing has been
            # asked yet, so another connection may still answer in time.
            raise failure(code, service, "unavailable") from None
        return cls(connection, code, service)

    async def send(self, frame: dict[str, Any]) -> None:
        """Send one frame.

        Raises:
            ProviderError: the connection is gone.
        """
        try:
            await self._connection.send(msgspec.json.encode(frame).decode())
        except ConnectionClosed:
            raise self.failure("unavailable") from None

    async def receive(self) -> dict[str, Any] | None:
        """The next frame; None when the service has closed the socket normally.

        Raises:
            ProviderError: the connection broke, or the frame is not a JSON object.
        """
        try:
            frame = msgspec.json.decode(await self._connection.recv())
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code == 1000:
                return None
            raise self.failure("unavailable") from None
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise self.failure("invalid") from None
        if not isinstance(frame, dict):
            raise self.failure("invalid")
        return frame

    async def close(self) -> None:
        """Close, without waiting for a service that does not answer."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._connection.close(), timeout=0.5)

    def failure(self, kind: FailureKind) -> ProviderError:
        """A failure of this kind, in words."""
        return failure(self._code, self._service, kind)

    def error_frame(self, name: str) -> ProviderError:
        """The failure that an error frame with this name means."""
        return self.failure(_KIND_OF_ERROR.get(name, "unavailable"))


def _refusal(refused: InvalidStatus, code: ErrorCode, service: str) -> ProviderError:
    status = refused.response.status_code
    return failure(
        code,
        service,
        kind_of_status(status),
        status=status,
        retry_after_ms=retry_after_ms(refused.response.headers.get("Retry-After")),
    )


def _websocket_url(base_url: str) -> str:
    return "ws" + base_url.rstrip("/").removeprefix("http")
