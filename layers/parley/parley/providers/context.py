"""What a provider is built from: the deployment's variables, its keys, and what is shared."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parley.protocol.messages import Settings

if TYPE_CHECKING:
    import httpx  # half of a small function's import time

ApiKey = Callable[[], Awaitable[str]]
"""Gives a key when one is needed; a rotated one after some minutes."""


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What a provider is built from.

    Attributes:
        variables: the function's environment variables; those of a provider are its own to read.
        read_key: reads a key of the deployment's secret by its name; empty if it is not there.
        http_client: shared by all providers of an environment, so that connections stay open.
        defaults: the settings of a session that chooses none.
        timeout_s: how long a provider may stay silent before its call has failed.
        log: gets what costs time or money; takes an event name and fields.
    """

    variables: Mapping[str, str]
    read_key: Callable[[str], Awaitable[str]]
    http_client: httpx.AsyncClient
    defaults: Settings
    timeout_s: float
    log: Callable[[str, dict[str, Any]], None]

    def text(self, name: str, default: str) -> str:
        """Return a variable; `default` for one that is not set or empty."""
        return self.variables.get(name, "").strip() or default

    def key(self, name: str) -> ApiKey:
        """Return what gives the key of that name."""
        return functools.partial(self.read_key, name)
