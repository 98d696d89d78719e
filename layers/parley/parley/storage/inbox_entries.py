"""The entries of a running turn's inbox."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChunkEntry:
    """One chunk of the utterance."""

    seq: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class EndEntry:
    """The utterance is over and had this many chunks.

    Attributes:
        received_at_ms: when API Gateway received `audio_end`, in ms since the epoch.
        pause: the pause since which nothing was said; None if nobody knows.
    """

    chunks: int
    received_at_ms: int
    pause: int | None = None


@dataclass(frozen=True, slots=True)
class PauseEntry:
    """Speech pauses, or goes on after that pause.

    Attributes:
        pause: counts the pauses of the utterance, from 1.
        chunks: all that was said before is in the chunks up to this one.
        is_over: whether speech goes on.
    """

    pause: int
    chunks: int = 0
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class InterruptEntry:
    """The user stopped the reply after `played_ms` of its audio.

    Attributes:
        played_ms: None if unknown, because a new turn stopped the old one.
        received_at_ms: when API Gateway received it, in ms since the epoch.
    """

    played_ms: float | None
    received_at_ms: int = 0

    def stops(self, attempt: int, asked_ms: int) -> bool:
        """Return whether the interruption is meant for this attempt at its turn.

        A later attempt is stopped by what came after it was asked for. The first is stopped by any
        interruption, because messages overtake each other.

        Args:
            attempt: the attempt, from 1.
            asked_ms: when API Gateway received the request for the attempt, in ms since the epoch.
        """
        return attempt == 1 or self.received_at_ms >= asked_ms


@dataclass(frozen=True, slots=True)
class AckEntry:
    """The client has every event of an attempt at the turn, up to `seq`."""

    attempt: int
    seq: int


@dataclass(frozen=True, slots=True)
class ResumeEntry:
    """The session has moved to another connection.

    Attributes:
        endpoint: base URL of the connection's `@connections`.
        attempt: the attempt at the turn that the client has events of.
        seq: every event up to this one has arrived.
        resumed_at_ms: when the session moved, in ms since the epoch.
    """

    connection_id: str
    endpoint: str
    attempt: int
    seq: int
    resumed_at_ms: int


@dataclass(frozen=True, slots=True)
class BegunEntry:
    """This attempt at the turn has begun. Nobody waits for earlier ones."""

    attempt: int


@dataclass(frozen=True, slots=True)
class ToolResultEntry:
    """What the client's function for a call returned.

    Attributes:
        error: why it failed; None if it did not.
    """

    call_id: str
    result: str
    error: str | None = None


InboxEntry = (
    ChunkEntry | PauseEntry | EndEntry | InterruptEntry | AckEntry | ResumeEntry | BegunEntry
)
