"""What a channel tells, and asks of, the keeper of the turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from parley_client.errors import ParleyClientError, SessionLost
from parley_client.events import GatewayError, TurnEvent
from parley_client.messages import ClientMessage, Received


class Listener(Protocol):
    """Is told what comes, and asked what has become of the turns."""

    def on_turn_event(self, event: TurnEvent) -> None:
        """An event of a turn, or an error that answers no request."""

    def on_gateway_error(self, error: GatewayError) -> None:
        """API Gateway could not have some message handled."""

    def on_sent(self, message: ClientMessage, at_s: float) -> None:
        """A message was handed to a connection."""

    def on_ready(self) -> None:
        """Messages go out again."""

    def on_lost(self) -> None:
        """The connection is gone, and nothing will come for a while."""

    def on_session_lost(self, reason: SessionLost) -> None:
        """The session is gone; the next one will know nothing of its turns."""

    def on_closed(self, reason: ParleyClientError) -> None:
        """Nothing more will come."""

    def received(self) -> Received | None:
        """How far the latest turn has arrived."""

    def again(self, since_s: float) -> list[ClientMessage]:
        """What turns have said that may not have arrived."""

    def may_be_asked_after(self, turn_id: str) -> bool:
        """Whether a turn has begun, or should have by now."""

    def attempt_of(self, turn_id: str) -> int:
        """Which attempt at a turn is waited for."""

    def waiting(self) -> Mapping[str, float]:
        """Every unfinished turn, and since when it has been silent."""

    async def idle(self) -> None:
        """Wait until no turn is unfinished."""
