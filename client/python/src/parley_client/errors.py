"""What can go wrong in a conversation, each with a code and a sentence for a person.

    ParleyClientError           code, retryable, and a sentence
    ├── BadInput                what was to be sent cannot be sent (also a ValueError)
    │   └── BadAudio            not PCM, or not of a kind the protocol carries
    ├── ConnectFailed           nothing could be opened at the URL
    │   └── HandshakeRefused    an HTTP answer instead of a WebSocket
    ├── ConnectionLost          the connection closed while something was going on
    ├── ConversationClosed      used after its end
    ├── ServerError             the server's own `error`
    │   └── TurnFailed          the turn ended with `failed`; has the partial reply
    ├── EventGap                events of a turn never came
    ├── AnswerTimeout           no answer in time
    └── ProtocolViolation       what came is not Parley's protocol

A server's error keeps the server's code; the codes of the others are the
client's own, given in each class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parley_client.messages import Error
    from parley_client.reply import Reply


class ParleyClientError(Exception):
    """Base of everything this package raises on purpose.

    Attributes:
        code: one word for a program.
        message: a sentence for a person: what happened and what to do.
        retryable: whether the same thing, tried again, may work.
    """

    code = "client_error"
    retryable = False

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

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message, retryable=status == 429 or status >= 500)
        self.status = status


class ConnectionLost(ParleyClientError):
    """The connection closed, and with it what was under way.

    Attributes:
        close_code: the WebSocket close code; 1006 where there was none.
    """

    code = "connection_lost"
    retryable = True

    def __init__(self, message: str, *, close_code: int) -> None:
        super().__init__(message)
        self.close_code = close_code


class ConversationClosed(ParleyClientError):
    """The conversation has ended; a new one is needed."""

    code = "conversation_closed"


class ServerError(ParleyClientError):
    """An `error` the server sent.

    Attributes:
        field: path of the offending field, e.g. ``config.settings.speed``.
        turn_id: the turn it belongs to, if any.
        retry_after_ms: how long to wait before trying again, if known.
        missing: numbers of the audio chunks that never came (``audio_gap``).
    """

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.code = error.code
        self.retryable = error.retryable
        self.field = error.field
        self.turn_id = error.turn_id
        self.retry_after_ms = error.retry_after_ms
        self.missing = error.missing


class TurnFailed(ServerError):
    """The turn ended with the reason `failed`.

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
