"""Who replies in a session: its instructions, its tools, and what the backend says of the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent of one session.

    Attributes:
        instructions: who it is and how it talks; variables are filled in.
        greeting: what it says before the user does; empty for nothing.
        tools: the names of those that it may call; None for all.
        metadata: what the backend says of the session; tools get it, the model does not.
    """

    instructions: str
    greeting: str = ""
    tools: Sequence[str] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
