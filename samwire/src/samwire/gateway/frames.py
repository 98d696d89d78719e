"""Sees the size of every WebSocket frame that a client sends.

API Gateway limits frames, not only messages, and the server's own reader has put frames
together before one can look. So their headers are read on the way to it (RFC 6455, 5.2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

FRAME_BYTES = 32 * 1024
"""API Gateway's limit of one frame. Browsers cannot choose their frames, and published
samples exceed it, so by default a larger message is remarked on and let through."""

_LENGTH_16, _LENGTH_64 = 126, 127
_MASK_BYTES = 4


class FrameMeter:
    """Finds frames in a client's bytes."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._skip = 0

    def largest(self, data: bytes) -> int:
        """Return the largest payload, in bytes, among the frames whose header is complete now."""
        largest = position = 0
        while position < len(data):
            if self._skip:
                skipped = min(self._skip, len(data) - position)
                self._skip -= skipped
                position += skipped
                continue
            self._header.append(data[position])
            position += 1
            length = self._length()
            if length is not None:
                self._header.clear()
                self._skip = length
                largest = max(largest, length)
        return largest

    def _length(self) -> int | None:
        """Return the payload's length; None while the header is not complete."""
        header = self._header
        if len(header) < 2:
            return None
        masked, short = header[1] & 0x80, header[1] & 0x7F
        extra = {_LENGTH_16: 2, _LENGTH_64: 8}.get(short, 0)
        if len(header) < 2 + extra + (_MASK_BYTES if masked else 0):
            return None
        return int.from_bytes(header[2 : 2 + extra]) if extra else short


class MeteredProtocol(asyncio.Protocol):
    """Stands before the server's protocol and calls `too_large` for a frame that is.

    Everything else is the protocol's own.
    """

    def __init__(self, protocol: Any, too_large: Callable[[], None]) -> None:
        self._protocol = protocol
        self._meter = FrameMeter()
        self._too_large = too_large
        self._told = False

    def data_received(self, data: bytes) -> None:
        """Look at what came, and pass it on."""
        if not self._told and self._meter.largest(data) > FRAME_BYTES:
            self._told = True
            self._too_large()
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return bool(self._protocol.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._protocol.resume_writing()
