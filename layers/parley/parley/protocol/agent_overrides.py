"""What an application's backend says of one session's agent: in a token, or when it opens one.

A client never sets any of it, save the name of an agent that it may choose.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from parley.protocol.messages import END, Identifier, ToolName

MAX_PROMPT_CHARS = 8_000
MAX_GREETING_CHARS = 1_000
MAX_VARIABLES = 32
MAX_VARIABLE_CHARS = 500
MAX_AGENTS = 32
MAX_TOOLS = 64
MAX_METADATA_BYTES = 2_048
"""Of the JSON of `metadata`."""

VariableName = Annotated[
    str, Meta(pattern="^[a-z][a-z0-9_]{0,63}" + END, description="a-z, then a-z, 0-9 and '_'")
]
VariableText = Annotated[str, Meta(max_length=MAX_VARIABLE_CHARS)]


class AgentOverrides(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What an application's backend says of a session's agent. Every field is optional."""

    agent: Identifier | UnsetType = UNSET
    """Which of the deployment's agents it is."""
    agents: Annotated[list[Identifier], Meta(max_length=MAX_AGENTS)] | UnsetType = UNSET
    """Those that the client may choose from. Only a token says so."""
    prompt: Annotated[str, Meta(max_length=MAX_PROMPT_CHARS)] | UnsetType = UNSET
    """The whole instructions, in place of the agent's."""
    variables: (
        Annotated[dict[VariableName, VariableText], Meta(max_length=MAX_VARIABLES)] | UnsetType
    ) = UNSET
    """What stands for `{{name}}` in the instructions and the greeting."""
    greeting: Annotated[str, Meta(max_length=MAX_GREETING_CHARS)] | UnsetType = UNSET
    """What the agent says first; empty for nothing."""
    tools: Annotated[list[ToolName], Meta(max_length=MAX_TOOLS)] | UnsetType = UNSET
    """The tools that it may call, of the deployment's."""
    metadata: dict[str, Any] | UnsetType = UNSET
    """What tools are told of the session, up to 2 KB of JSON. The model is not told it."""

    def __post_init__(self) -> None:
        """Refuse metadata that is too large."""
        if self.metadata is UNSET:
            return
        if len(msgspec.json.encode(self.metadata)) > MAX_METADATA_BYTES:
            raise ValueError(f"Expected `metadata` of at most {MAX_METADATA_BYTES:,} bytes of JSON")

    def merged_with(self, newer: AgentOverrides) -> AgentOverrides:
        """Return these overrides, overridden by everything that `newer` sets.

        Variables are overridden one by one.
        """
        if newer == NO_OVERRIDES:
            return self
        fields = {**_set_fields(self), **_set_fields(newer)}
        if self.variables is not UNSET and newer.variables is not UNSET:
            fields["variables"] = {**self.variables, **newer.variables}
        return AgentOverrides(**fields)


NO_OVERRIDES = AgentOverrides()


def _set_fields(overrides: AgentOverrides) -> dict[str, Any]:
    values = {name: getattr(overrides, name) for name in overrides.__struct_fields__}
    return {name: value for name, value in values.items() if value is not UNSET}
