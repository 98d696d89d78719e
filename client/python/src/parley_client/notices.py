"""What a conversation reports: about its connection, and its tools. Plain data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from parley_client.errors import ParleyClientError

State: TypeAlias = Literal["connecting", "ready", "reconnecting", "closed"]
"""Of a connection."""


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The connection's state has changed, or another attempt to come back begins."""

    state: State
    """The state from now on."""
    reason: ParleyClientError | None = None
    """What was lost, or why the conversation is over."""
    attempt: int = 0
    """Which attempt begins, while reconnecting."""
    retry_in_s: float = 0.0
    """How long until it begins."""


@dataclass(frozen=True, slots=True)
class SessionRenewed:
    """The server had lost the session, and a new one, without history, takes its place.

    Only with `Reconnect(new_session=True)`.
    """

    lost_session_id: str
    """The lost session."""
    session_id: str
    """The new one."""


@dataclass(frozen=True, slots=True)
class ToolFailed:
    """A function of `tools` failed, or its result could not be sent. The agent is told why."""

    turn_id: str
    """The turn that it was called in."""
    call_id: str
    """The call."""
    name: str
    """The tool."""
    error: Exception
    """What it raised."""


Notice: TypeAlias = StateChanged | SessionRenewed | ToolFailed
"""What `on_notice` is called with."""
OnNotice: TypeAlias = Callable[[Notice], None]


def report_failure(callback: str, error: Exception) -> None:
    """Tell the event loop's exception handler that a function of the application failed."""
    asyncio.get_running_loop().call_exception_handler(
        {"message": f"{callback} of a Parley conversation failed", "exception": error}
    )
