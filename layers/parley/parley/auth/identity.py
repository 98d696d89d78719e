"""The identity that a token proves."""

from __future__ import annotations

from dataclasses import dataclass

from parley.principal import Principal
from parley.protocol.agent_overrides import NO_OVERRIDES, AgentOverrides
from parley.protocol.messages import NO_SETTINGS, Settings


@dataclass(frozen=True, slots=True)
class Identity:
    """The user whom a token names.

    Attributes:
        settings: those that the token sets for the user's sessions.
        agent: what the token says of the agent of the user's sessions.
        is_backend: whether the request comes from the application's backend, for this user.
    """

    principal: Principal
    settings: Settings = NO_SETTINGS
    agent: AgentOverrides = NO_OVERRIDES
    is_backend: bool = False
