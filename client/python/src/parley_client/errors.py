"""What can go wrong in a conversation, each with a code and a sentence for a person.

    ParleyClientError           code, retryable, and a sentence
    ├── BadInput                what was to be sent cannot be sent (also a ValueError)
    │   └── BadAudio            not PCM, or not of a kind the protocol carries
    ├── ConnectFailed           nothing could be opened at the URL
    │   └── HandshakeRefused    an HTTP answer instead of a WebSocket
    │       └── Unauthorized    it wants a token, or another one
    ├── ConnectionLost          the connection closed
    ├── ReconnectFailed         it was lost, and every attempt to come back failed
    ├── QueueFull               too much was said while there was no connection
    ├── ConversationClosed      used after its end
    ├── SessionReplaced         another connection has taken the session over
    ├── ServerError             the server's own `error`
    │   ├── SessionLost         the server no longer has the session
    │   └── TurnFailed          the turn failed; has the partial reply
    ├── EventGap                events of a turn never came
    ├── AnswerTimeout           no answer in time
    └── ProtocolViolation       what came is not Parley's protocol

A server's error keeps the server's code; the codes of the others are the
client's own, given in each class. `retryable` decides whether a lost connection
is come back from:

    close code                          come back?
    1000, 1001, 1005, 1006, 1011 to 1014    yes: idle, 2 hours, a restart, the network
    1002, 1003, 1007, 1008, 1009, 1010      no: the same would happen again
    3000, 3003                              no: not allowed
    all others                              yes

    HTTP status of the handshake
    408, 425, 429, 5xx                      yes
    401, 403                                once, at once, if token or URL is a function
    all others                              no: URL, stage or origin are wrong

Never before `retry_after_ms`, where the server says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from parley_client.messages import Error
from parley_client.reply import Reply

RETRYABLE_STATUSES = frozenset({408, 425, 429})
"""HTTP statuses below 500 that may change by asking again."""
FINAL_CLOSE_CODES = frozenset({1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003})
"""WebSocket close codes after which a new connection would end in the same way."""

Ending: TypeAlias = Literal["agent", "silence", "too_long"]
"""Who ended a conversation that the application did not end: the agent, with its last reply; the
deployment, since the user was silent for too long, or since the session has lasted too long."""


class ParleyClientError(Exception):
    """Base of everything this package raises on purpose.

    Attributes:
        code: one word for a program.
        message: a sentence for a person: what happened and what to do.
        retryable: whether the same thing, tried again, may work.
        retry_after_ms: how long to wait before trying again, if the server has said so.
    """

    code = "client_error"
    retryable = False
    retry_after_ms: int | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadInput(ParleyClientError, ValueError):
    """What was to be sent breaks a limit or a rule of the protocol."""

    code = "bad_input"


class BadAudio(BadInput):
    """Audio that the protocol cannot carry."""

    code = "bad_audio"


class ConnectFailed(ParleyClientError):
    """No connection could be opened."""

    code = "connect_failed"

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class HandshakeRefused(ConnectFailed):
    """The server answered the handshake with an HTTP status instead of 101.

    Attributes:
        status: that HTTP status.
    """

    code = "handshake_refused"

    def __init__(self, message: str, *, status: int, retry_after_ms: int | None = None) -> None:
        super().__init__(message, retryable=status in RETRYABLE_STATUSES or status >= 500)
        self.status = status
        self.retry_after_ms = retry_after_ms


class Unauthorized(HandshakeRefused):
    """The server wants a token, or another than it was given (HTTP 401)."""

    code = "unauthorized"

    def __init__(self, message: str) -> None:
        super().__init__(message, status=401)


class ConnectionLost(ParleyClientError):
    """The connection closed.

    Attributes:
        close_code: the WebSocket close code; 1006 where there was none.
    """

    code = "connection_lost"

    def __init__(self, message: str, *, close_code: int) -> None:
        super().__init__(message)
        self.close_code = close_code
        self.retryable = close_code not in FINAL_CLOSE_CODES


class ReconnectFailed(ParleyClientError):
    """The connection was lost, and every attempt to come back failed.

    Attributes:
        attempts: how many there were.
        last: why the last one failed.
    """

    code = "reconnect_failed"
    retryable = True

    def __init__(self, attempts: int, last: ParleyClientError) -> None:
        noun = "attempt" if attempts == 1 else "attempts"
        super().__init__(
            f"The connection was lost, and {attempts} {noun} to come back failed. {last.message}"
        )
        self.attempts = attempts
        self.last = last


class QueueFull(ParleyClientError):
    """Too much has been said while there is no connection; this was not taken."""

    code = "queue_full"
    retryable = True


class ConversationClosed(ParleyClientError):
    """The conversation has ended; a new one is needed.

    Attributes:
        ending: why it was hung up; None if the application ended it.
    """

    code = "conversation_closed"

    def __init__(self, message: str, *, ending: Ending | None = None) -> None:
        super().__init__(message)
        self.ending = ending


class SessionReplaced(ParleyClientError):
    """Another connection has taken the session over; this one must not come back."""

    code = "session_replaced"


class ServerError(ParleyClientError):
    """An `error` the server sent.

    Attributes:
        field: path of the offending field, e.g. ``config.settings.speed``.
        turn_id: the turn it belongs to, if any.
        missing: numbers of the audio chunks that never came (``audio_gap``).
        limit: that was met (``rate_limited``, ``quota_exceeded``, ``too_large``).
    """

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.code = error.code
        self.retryable = error.retryable
        self.field = error.field
        self.turn_id = error.turn_id
        self.retry_after_ms = error.retry_after_ms
        self.missing = error.missing
        self.limit = error.limit


class SessionLost(ServerError):
    """The server no longer has the session, or does not accept its resume token.

    `code` is `session_not_found` or `resume_denied`. The conversation is over; a
    new one starts without its history.
    """

    CODES = frozenset({"session_not_found", "resume_denied"})


class TurnFailed(ServerError):
    """The turn ended with the reason `failed`, or was refused before it began.

    When `retryable`, `Turn.retry` may help.

    Attributes:
        reply: what had come of the reply until then.
    """

    def __init__(self, error: Error, reply: Reply) -> None:
        super().__init__(error)
        self.reply = reply


class EventGap(ParleyClientError):
    """Events of a turn are missing and did not come in time.

    Attributes:
        turn_id: the turn.
        missing: the sequence numbers that are known to be missing.
    """

    code = "event_gap"
    retryable = True

    def __init__(self, turn_id: str, missing: Sequence[int]) -> None:
        shown = ", ".join(str(seq) for seq in missing[:8]) + (", …" if len(missing) > 8 else "")
        noun = "Event" if len(missing) == 1 else "Events"
        super().__init__(f"{noun} {shown} of the reply never came. Ask again.")
        self.turn_id = turn_id
        self.missing = tuple(missing)


class AnswerTimeout(ParleyClientError):
    """The server took longer than the client waits."""

    code = "answer_timeout"
    retryable = True


class ProtocolViolation(ParleyClientError):
    """The other side does not speak this protocol."""

    code = "protocol_violation"
