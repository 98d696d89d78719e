"""A limit as the client is told of it, in errors and in the protocol."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

LimitScope = Literal["subject", "tenant", "connection"]
"""Whom a limit holds for: one user, all users of a tenant together, or one connection."""


class Limit(Struct, frozen=True):
    """A limit that was met: its name, its value in the unit of the name, and whom it holds for."""

    name: str
    value: int
    scope: LimitScope
