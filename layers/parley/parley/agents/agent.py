"""Who replies in a session: its instructions, its tools, and what the backend says of the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parley.protocol.messages import NO_SETTINGS, Settings


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent of one session.

    Attributes:
        instructions: who it is and how it talks; variables are filled in.
        greeting: what it says before the user does; empty for nothing.
        tools: the names of those that it may call; None for all.
        metadata: what the backend says of the session; tools get it, the model does not.
        name: of the file that describes it; empty for the deployment's own agent.
        settings: its own, between the deployment's and the client's.
        silence_prompts: what it asks a silent user, by language; `""` is for all others.
    """

    instructions: str
    greeting: str = ""
    tools: Sequence[str] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    settings: Settings = NO_SETTINGS
    silence_prompts: Mapping[str, str] = field(default_factory=dict)
