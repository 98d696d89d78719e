"""How long a conversation waits, and how it comes back. Plain data, times in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the client waits, in seconds.

    Raises:
        ValueError: a figure is out of range; the sentence names it.
    """

    connect_s: float = 15.0
    """For the handshake, and again for `ready`: room for a cold start."""
    request_s: float = 15.0
    """For the answer to `config`, `ping` and `end`."""
    answer_s: float | None = 60.0
    """Between two events of a turn once the utterance has ended, while there is a
    connection; None waits for ever."""
    gap_s: float = 3.0
    """For an event that later ones have overtaken. Then the client comes back by a new connection,
    once, so that the server sends it again."""
    ask_s: float = 2.0
    """For an event of an unfinished turn, before the server is asked whether it still runs."""
    begin_s: float = 10.0
    """For a turn's first event. Until then the client asks after the connection, not the turn: the
    question ends a turn that has not begun, and its function may have to start first."""
    silence_s: float = 6.0
    """For anything at all while something is due; then the connection counts as dead."""

    def __post_init__(self) -> None:
        for name in ("connect_s", "request_s", "answer_s", "gap_s", "ask_s", "begin_s"):
            value: float | None = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"Timeouts.{name} must be above 0.")
        if self.silence_s <= self.ask_s:
            raise ValueError(
                "Timeouts.silence_s must be above ask_s: a silent server is asked before its "
                "connection is given up."
            )


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How a conversation survives the loss of its connection.

    Raises:
        ValueError: a figure is out of range; the sentence names it.
    """

    attempts: int = 5
    """How many times in a row to try; 0 never tries."""
    base_s: float = 0.25
    """Ceiling of the first delay; it doubles with each attempt."""
    cap_s: float = 10.0
    """The ceiling never exceeds this."""
    stable_s: float = 5.0
    """A connection that lasted this long proves that the trouble is over; only
    then are attempts counted from the start again."""
    new_session: bool = False
    """When the server no longer has the session: open a new one (`SessionRenewed`
    says so) instead of closing with `SessionLost`."""
    rotate_after_s: float | None = 6_600.0
    """Age at which a connection is replaced: API Gateway ends it after 2 hours.
    None never does."""
    rotate_patience_s: float = 300.0
    """How long that may wait for the end of the running turns."""
    queue_messages: int = 1_000
    """How many messages wait while there is no connection."""
    queue_bytes: int = 8_388_608
    """How large they may be together."""

    def __post_init__(self) -> None:
        for name in ("attempts", "stable_s", "rotate_patience_s", "queue_messages", "queue_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"Reconnect.{name} must not be negative.")
        if not 0 < self.base_s <= self.cap_s:
            raise ValueError("Reconnect.base_s must be above 0 and at most cap_s.")
        if self.rotate_after_s is not None and self.rotate_after_s <= 0:
            raise ValueError("Reconnect.rotate_after_s must be above 0, or None.")
