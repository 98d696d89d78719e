"""What a conversation reports about its connection. Plain data."""

from __future__ import annotations

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


Notice: TypeAlias = StateChanged | SessionRenewed
"""What `on_notice` is called with."""
OnNotice: TypeAlias = Callable[[Notice], None]
