"""A limit as a client is told of it: what an error and the protocol both name."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

LimitScope = Literal["subject", "tenant", "connection"]
"""Whom a limit is for: one user, all users of a tenant together, or one connection."""


class Limit(Struct, frozen=True):
    """A limit that was met: its name, how high it is in the unit of its name, and whose it is."""

    name: str
    value: int
    scope: LimitScope
