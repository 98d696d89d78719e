"""What ElevenLabs' speech sockets have in common."""

from __future__ import annotations

from typing import Any

from parley.providers.socket import SocketService


def _make_headers(key: str) -> dict[str, str]:
    return {"xi-api-key": key}


def _error_in(frame: dict[str, Any]) -> object:
    name = frame.get("error")
    return frame.get("message_type", name) if name else None


SOCKETS = SocketService(_make_headers, _error_in)
"""Of both stages."""
