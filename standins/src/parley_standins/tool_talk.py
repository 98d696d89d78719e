"""Tools in a conversation, whatever the protocol: what is offered, called and answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool that a request offers.

    Attributes:
        parameters: the JSON schema of its arguments, an object.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def properties(self) -> dict[str, dict[str, Any]]:
        """The schemas of its arguments, by name."""
        given = self.parameters.get("properties") or {}
        return {name: of if isinstance(of, dict) else {} for name, of in given.items()}

    @property
    def required(self) -> list[str]:
        """The arguments that it can't do without."""
        return list(self.parameters.get("required") or ())


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool; `id` is the protocol's, empty before it has one."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """What came of a call."""

    call: Call
    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether the reply calls tools: `tool` names the one that it has to call."""

    mode: Literal["auto", "none", "required"] = "auto"
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to reply: words, or calls."""

    text: str = ""
    calls: tuple[Call, ...] = ()
