"""Talks to a Parley WebSocket API: typed and spoken turns, streamed replies.

from parley_client import Conversation

async with Conversation.connect("ws://localhost:3001/dev") as conversation:
    reply = await conversation.say("What is the tallest mountain?")
    print(reply.text)
"""

from parley_client.conversation import Conversation
from parley_client.errors import (
    AnswerTimeout,
    BadAudio,
    BadInput,
    ConnectFailed,
    ConnectionLost,
    ConversationClosed,
    EventGap,
    HandshakeRefused,
    ParleyClientError,
    ProtocolViolation,
    QueueFull,
    ReconnectFailed,
    ServerError,
    SessionLost,
    SessionReplaced,
    TurnFailed,
    Unauthorized,
)
from parley_client.events import Restarted, TurnEvent, UnknownEvent
from parley_client.heard import heard_text
from parley_client.messages import (
    Audio,
    Choices,
    Error,
    Limit,
    Limits,
    Message,
    Metrics,
    ReplyText,
    Settings,
    Transcript,
    TurnEnd,
    Voice,
    Word,
)
from parley_client.notices import Notice, SessionRenewed, State, StateChanged
from parley_client.options import Reconnect, Timeouts
from parley_client.reply import Reply, Timings
from parley_client.turn import Turn

__all__ = [
    "AnswerTimeout",
    "Audio",
    "BadAudio",
    "BadInput",
    "Choices",
    "ConnectFailed",
    "ConnectionLost",
    "Conversation",
    "ConversationClosed",
    "Error",
    "EventGap",
    "HandshakeRefused",
    "Limit",
    "Limits",
    "Message",
    "Metrics",
    "Notice",
    "ParleyClientError",
    "ProtocolViolation",
    "QueueFull",
    "Reconnect",
    "ReconnectFailed",
    "Reply",
    "ReplyText",
    "Restarted",
    "ServerError",
    "SessionLost",
    "SessionRenewed",
    "SessionReplaced",
    "Settings",
    "State",
    "StateChanged",
    "Timeouts",
    "Timings",
    "Transcript",
    "Turn",
    "TurnEnd",
    "TurnEvent",
    "TurnFailed",
    "Unauthorized",
    "UnknownEvent",
    "Voice",
    "Word",
    "heard_text",
]
