"""What the message function hands to the turn function: one turn to run."""

from __future__ import annotations

from msgspec import Struct

from parley.principal import SessionRef
from parley.protocol import AudioFormat, Endpointing


class TurnRequest(Struct, frozen=True, omit_defaults=True):
    """One turn, as JSON in an asynchronous Lambda invocation.

    Attributes:
        endpoint: base URL of the `@connections` API of the connection's stage.
        received_at_ms: when API Gateway received the message, in ms since the epoch.
        text: what the user typed; None for a spoken turn.
        format: of the spoken turn's audio.
        attempt: which attempt at the turn the client asked for, if it said so.
    """

    session: SessionRef
    turn_id: str
    connection_id: str
    endpoint: str
    received_at_ms: int
    text: str | None = None
    format: AudioFormat = "pcm_16000"
    endpointing: Endpointing = "manual"
    attempt: int | None = None

    @property
    def spoken(self) -> bool:
        """Whether the user speaks this turn."""
        return self.text is None
