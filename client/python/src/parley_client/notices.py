"""What a conversation tells about its connection, to whom it may interest. Plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from parley_client.errors import ParleyClientError

State: TypeAlias = Literal["connecting", "ready", "reconnecting", "closed"]


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The connection's state is another, or another attempt to come back begins.

    `attempt` and `retry_in_s` (how long until it begins) are set while reconnecting;
    `reason` says what was lost, or why all is over.
    """

    state: State
    reason: ParleyClientError | None = None
    attempt: int = 0
    retry_in_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SessionRenewed:
    """The server had lost the session `lost_session_id`; `session_id` is a new one,
    without history. Only with `Reconnect(new_session=True)`."""

    lost_session_id: str
    session_id: str


Notice: TypeAlias = StateChanged | SessionRenewed
OnNotice: TypeAlias = Callable[[Notice], None]
