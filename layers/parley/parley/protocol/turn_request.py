"""One turn to run, asked for by a connection's message or by an HTTP request."""

from __future__ import annotations

from msgspec import Struct

from parley.principal import SessionRef
from parley.protocol.messages import AudioFormat, Endpointing


class TurnRequest(Struct, frozen=True, omit_defaults=True):
    """One turn; as JSON in an asynchronous Lambda invocation, if a connection asked for it.

    Attributes:
        connection_id: empty for a turn that answers an HTTP request.
        endpoint: base URL of the `@connections` API of the connection's stage.
        received_at_ms: when API Gateway received the message, in ms since the epoch.
        text: what the user typed; None for a spoken turn.
        format: of the spoken turn's audio.
        audio: all of it, where it came whole; None if it comes through the inbox.
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
    audio: bytes | None = None

    @property
    def spoken(self) -> bool:
        """Whether the user speaks this turn."""
        return self.text is None

    @property
    def complete(self) -> bool:
        """Whether all that the user says came with the request."""
        return self.text is not None or self.audio is not None

    @property
    def connected(self) -> bool:
        """Whether its events go to a connection; if not, they are one answer."""
        return bool(self.connection_id)
