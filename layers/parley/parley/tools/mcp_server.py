"""A server that lists tools of its own, as the deployment declares it (Model Context Protocol)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from parley.tools.tool import Effect, Shown

McpAuth = Literal["none", "bearer", "sigv4"]
"""How it is told who asks: not at all, by a secret, or by the role of the function."""


@dataclass(frozen=True, slots=True)
class McpServer:
    """A server of tools. What is said of them holds for all.

    Attributes:
        name: its tools are called `NAME_tool`.
        url: where it answers; checked.
        auth: how it is told who asks.
        secret: the name of the bearer token in the tools' secret; empty without `bearer`.
        tools: the names of those that may be called, as it calls them; empty for all.
        effect: see `Effect`. What the server itself says of it is a stranger's word.
        say: see `ToolSpec.say`.
        timeout_s: how long a call may take.
        title: of its tools, for a person; empty for each tool's own.
        show: what the client sees of a call.
    """

    name: str
    url: str
    auth: McpAuth = "none"
    secret: str = ""
    tools: Sequence[str] = ()
    effect: Effect = "write"
    say: Mapping[str, Sequence[str]] = field(default_factory=dict)
    timeout_s: float = 10.0
    title: str = ""
    show: Shown = "name"
