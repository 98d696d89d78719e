"""Opens sessions, the same for a connection and for an HTTP request."""

from __future__ import annotations

from collections.abc import Sequence

from parley.ids import new_resume_token, token_hash
from parley.principal import SessionRef
from parley.protocol.agent_overrides import NO_OVERRIDES, AgentOverrides
from parley.protocol.messages import Settings
from parley.storage.item_codec import Session
from parley.storage.sessions import SessionStore


def open_session(
    sessions: SessionStore,
    ref: SessionRef,
    settings: Settings,
    signed: Settings,
    *,
    connection_id: str = "",
    endpoint: str = "",
    connected_at_ms: int = 0,
    woken_at_ms: int = 0,
    client_tools: Sequence[str] = (),
    agent: str = "",
    signed_agent: AgentOverrides = NO_OVERRIDES,
    backend_agent: AgentOverrides = NO_OVERRIDES,
) -> tuple[Session, str]:
    """Write a new session; return it and its resume token.

    Args:
        settings: what the client chose.
        signed: the settings of the token that asks for the session.
        connection_id: the connection that the session is on; empty for none.
        endpoint: base URL of the connection's `@connections` API.
        connected_at_ms: when the connection was opened, in ms since the epoch.
        woken_at_ms: when the turn function is being woken for it, in ms since the epoch; 0 if it is
            not.
        client_tools: the tools that the client has functions for.
        agent: the agent that the client chose; empty if it chose none.
        signed_agent: what the token says of the agent.
        backend_agent: what the backend says of it.
    """
    token = new_resume_token()
    session = Session(
        ref=ref,
        token_hash=token_hash(token),
        connection_id=connection_id,
        settings=settings,
        status="active",
        endpoint=endpoint,
        connected_at_ms=connected_at_ms,
        woken_at_ms=woken_at_ms,
        signed=signed,
        client_tools=client_tools,
        agent=agent,
        signed_agent=signed_agent,
        backend_agent=backend_agent,
    )
    sessions.put_session(session)
    return session, token
