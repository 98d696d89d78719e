"""What the server may send, by what it is for; and the events that no server sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from parley_client.messages import (
    AgentTurn,
    Audio,
    ClientCall,
    ConfigUpdated,
    Custom,
    Error,
    Pong,
    Ready,
    ReplyText,
    ServerEvent,
    SessionEnded,
    ToolUpdate,
    Transcript,
    TurnEnd,
)

GATEWAY_ERROR = "gateway_error"
"""Code of an `Error` that API Gateway itself sent, not Parley."""


@dataclass(frozen=True, slots=True)
class GatewayError(Error):
    """API Gateway could not have a message handled, and does not say which.

    Attributes:
        request_id: of the request that failed.
    """

    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Restarted:
    """The turn runs again: what came of it before this event is void.

    The client makes it, for an application that iterates over the turn meanwhile.
    """

    type: ClassVar[Literal["restarted"]] = "restarted"
    turn_id: str
    attempt: int
    seq: int = 0


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a turn that this client is too old to know."""

    turn_id: str
    seq: int
    type: str
    fields: Mapping[str, Any]
    attempt: int = 1


TurnEvent: TypeAlias = (
    AgentTurn
    | Transcript
    | ReplyText
    | Audio
    | ToolUpdate
    | ClientCall
    | Custom
    | TurnEnd
    | Error
    | UnknownEvent
)
"""What a server sends of a turn. Iterating over a turn gives these, and `Restarted`."""
Answer: TypeAlias = Ready | ConfigUpdated | Pong | SessionEnded
"""What answers one message of the client."""
ReceivedEvent: TypeAlias = ServerEvent | UnknownEvent
"""Whatever a server sends."""


def message_type_of(error: Error) -> str | None:
    """Return the type of the message that an error answers, if the error says so."""
    return (error.field or "").partition(".")[0] or None
