"""What the kinds of tools are built with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What the tools of a deployment have in common.

    Attributes:
        stack: name of the stack.
        read_secret: reads a secret of the tools' by its name; empty if there is none.
        private_hosts: hosts, or `host:port`, that may be private and without TLS.
        timeout_s: how long a call may take that says nothing else.
        log: writes an event and its fields into the log.
    """

    stack: str
    read_secret: Callable[[str], Awaitable[str]]
    private_hosts: frozenset[str]
    timeout_s: float
    log: Callable[[str, dict[str, Any]], None]
