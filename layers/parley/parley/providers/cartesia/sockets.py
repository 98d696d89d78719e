"""What Cartesia's sockets have in common."""

from __future__ import annotations

from typing import Any

from parley.providers.cartesia.config import make_headers
from parley.providers.socket import SocketService


def error_in(frame: dict[str, Any]) -> object:
    """Return what names the error in a frame; None for a frame that is no error."""
    return frame if frame.get("type") == "error" else None


SOCKETS = SocketService(make_headers, error_in)
"""Of both stages."""
