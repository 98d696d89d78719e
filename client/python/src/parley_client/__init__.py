"""Talks to a Parley WebSocket API: typed and spoken turns, streamed replies.

from parley_client import Conversation

async with Conversation.connect("ws://localhost:3001/dev") as conversation:
    reply = await conversation.say("What is the tallest mountain?")
    print(reply.text)
"""

from parley_client.client_tools import Tool
from parley_client.conversation import Conversation, OnAgentTurn
from parley_client.errors import (
    AnswerTimeout,
    BadAudio,
    BadInput,
    ConnectFailed,
    ConnectionLost,
    ConversationClosed,
    Ending,
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
    AgentTurn,
    Audio,
    Choices,
    ClientCall,
    Custom,
    Error,
    Limit,
    Limits,
    Message,
    Metrics,
    ReplyText,
    Settings,
    Span,
    ToolUpdate,
    Transcript,
    TurnEnd,
    Voice,
    Word,
)
from parley_client.notices import Notice, SessionRenewed, State, StateChanged, ToolFailed
from parley_client.options import Reconnect, Timeouts
from parley_client.reply import Reply, Timings
from parley_client.turn import Turn

__all__ = [
    "AgentTurn",
    "AnswerTimeout",
    "Audio",
    "BadAudio",
    "BadInput",
    "Choices",
    "ClientCall",
    "ConnectFailed",
    "ConnectionLost",
    "Conversation",
    "ConversationClosed",
    "Custom",
    "Ending",
    "Error",
    "EventGap",
    "HandshakeRefused",
    "Limit",
    "Limits",
    "Message",
    "Metrics",
    "Notice",
    "OnAgentTurn",
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
    "Span",
    "State",
    "StateChanged",
    "Timeouts",
    "Timings",
    "Tool",
    "ToolFailed",
    "ToolUpdate",
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
