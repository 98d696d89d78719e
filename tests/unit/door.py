"""The message function's insides, over an in-memory table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from parley.agents.catalog import AgentCatalog
from parley.config import DEFAULT_SETTINGS
from parley.errors import ConnectionGone
from parley.ids import token_hash
from parley.limits.request_rates import RequestRates
from parley.limits.rules import NO_LIMITS, LimitRules
from parley.principal import ANONYMOUS, Principal
from parley.protocol.agent_overrides import NO_OVERRIDES, AgentOverrides
from parley.protocol.messages import (
    NO_SETTINGS,
    AnyServerEvent,
    Error,
    Ready,
    ServerEvent,
    Settings,
    Stage,
)
from parley.protocol.turn_request import TurnRequest
from parley.sessions.settings_policy import SettingsPolicy
from parley.websocket.arrival import Envelope
from parley.websocket.message_handler import MessageHandler
from tests.unit.memory import MemoryStore


class Door:
    """The message function's insides, and one client on connection `c`."""

    def __init__(
        self,
        store: MemoryStore | None = None,
        limits: LimitRules = NO_LIMITS,
        requests: RequestRates | None = None,
        policy: SettingsPolicy = SettingsPolicy(DEFAULT_SETTINGS),  # noqa: B008 - is frozen
        stand_ins: Sequence[Stage] = (),
        agents: AgentCatalog | None = None,
        **more: Any,
    ) -> None:
        self.store = store or MemoryStore()
        self.posts: list[tuple[str, str, ServerEvent]] = []
        self.closed: list[tuple[str, str]] = []
        self.turns: list[TurnRequest] = []
        self.gone = False
        self.now_ms = 1_700_000_000_000
        """When API Gateway receives what is sent."""
        self.age_s = 0
        """How long the connections have been open."""
        self.connected: set[str] = set()
        self.messages = MessageHandler(
            self.store,
            self.store,
            self,
            self.turns.append,
            policy=policy,
            stand_ins=stand_ins,
            history_messages=40,
            limits=limits,
            requests=requests,
            agents=agents,
            **more,
        )

    def post(self, endpoint: str, connection_id: str, frame: bytes) -> None:
        if self.gone or (endpoint, connection_id) in self.closed:
            raise ConnectionGone
        assert len(frame) < 128 * 1024
        event = msgspec.json.decode(frame, type=AnyServerEvent)
        self.posts.append((endpoint, connection_id, event))

    def close(self, endpoint: str, connection_id: str) -> None:
        self.closed.append((endpoint, connection_id))

    def connect(
        self,
        connection: str,
        principal: Principal = ANONYMOUS,
        signed: Settings = NO_SETTINGS,
        agent: AgentOverrides = NO_OVERRIDES,
    ) -> None:
        """Open a connection."""
        self.connected.add(connection)
        self.store.connections.add(connection, principal, signed=signed, signed_agent=agent)

    def to(self, connection: str) -> list[ServerEvent]:
        """Everything that was posted to a connection."""
        return [event for _, to, event in self.posts if to == connection]

    def envelope(self, connection: str) -> Envelope:
        """Where the next message of a connection comes from."""
        connected_at_ms = self.now_ms - 1000 * self.age_s
        return Envelope(connection, "https://x/dev", self.now_ms, connected_at_ms=connected_at_ms)

    def hash_of(self, token: str) -> str:
        """Return what the table has of a resume token."""
        return token_hash(token)

    def send(self, kind: str, connection: str = "c", **fields: Any) -> Any:
        """Send a message; the answer, if there is one."""
        if connection not in self.connected:  # as the connect function has done
            self.connect(connection)
        before = len(self.posts)
        error = self.messages.handle(
            self.envelope(connection), json.dumps({"type": kind, **fields})
        )
        answers = [event for _, to, event in self.posts[before:] if to == connection]
        answer = answers[0] if answers else None
        assert error is None or self.gone or any(isinstance(a, Error) for a in answers)
        return answer

    def ready(self, connection: str = "c", **fields: Any) -> Ready:
        """Send `init`; what it is answered with."""
        answer = self.send("init", connection, protocol=1, **fields)
        assert isinstance(answer, Ready)
        return answer

    def refused(self, kind: str, connection: str = "c", **fields: Any) -> Error:
        """Send a message that is refused; the error."""
        answer = self.send(kind, connection, **fields)
        assert isinstance(answer, Error)
        return answer
