"""Whether this deployment works: `GET /health`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

VERSION = "0.1.0"
"""Of Parley."""


class Health(Struct):
    """Answers `GET /health`."""

    status: Literal["ok", "failing"]
    version: str
