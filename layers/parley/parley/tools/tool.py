"""A tool as the deployment declares it, and the seam between a turn and what runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from parley.providers.llm import ToolOffer

Effect = Literal["read", "idempotent", "write"]
"""What a call does to the world: nothing; the same however often it runs with one key; something
that must happen once."""
Shown = Literal["name", "arguments", "all"]
"""What the client sees of a call: its name, also its arguments, or also its result."""
FailureReason = Literal[
    "timeout",
    "unavailable",
    "refused",
    "not_found",
    "too_large",
    "needs_a_form",
    "no_answer",
    "error",
]
"""Why a call failed: no answer in time; out of reach, throttled or broken; not permitted, or its
credentials are not taken; it is not there; its answer is too large; it asks the user for more than
a voice can give; the application did not answer; the tool itself says that it failed."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A declared tool.

    Attributes:
        offer: what the model knows of it.
        kind: what runs it; a key of `parley.tools.registry.KINDS`, or what a turn runs itself.
        target: where: a function's name or ARN, a URL, a built-in's name.
        effect: see `Effect`.
        say: what is said while it runs, by ISO 639 code; under an empty code for every other
            language. The first sentence fills the first silence, the second the next.
        timeout_s: how long a call may take.
        title: its name for a person.
        show: what the client sees of it.
        result: the fields of a JSON result that the model gets; empty for all.
        confirm: whether it runs only after the user has said yes to the same call.
        options: what only its kind knows.
        checked: the schema that arguments are checked against; None for the offer's.
    """

    offer: ToolOffer
    kind: str
    target: str = ""
    effect: Effect = "write"
    say: Mapping[str, Sequence[str]] = field(default_factory=dict)
    timeout_s: float = 10.0
    title: str = ""
    show: Shown = "name"
    result: Sequence[str] = ()
    confirm: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    checked: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """Return its name."""
        return self.offer.name

    def sentences(self, language: str) -> Sequence[str]:
        """Return what is said while it runs, in a language, as ISO 639 code."""
        return self.say.get(language) or self.say.get("", ())


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of a tool.

    Attributes:
        key: the idempotency key: the same in every attempt at the turn. It is also the client's
            `call_id`.
        arguments: checked against the tool's schema.
        timeout_s: how long it may take now.
        turn_id: of the turn.
        attempt: at the turn, from 1.
        session: names the session, always by the same keyed hash; empty if there is no key.
        language: ISO 639 code of the language spoken; empty if nobody knows.
        metadata: what the backend says of the session; never what a browser says.
    """

    key: str
    arguments: Mapping[str, Any]
    timeout_s: float
    turn_id: str = ""
    attempt: int = 1
    session: str = ""
    language: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CustomEvent:
    """An event of the deployment's own for the page."""

    name: str
    data: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool answers.

    Attributes:
        value: text, or a JSON value.
        events: for the page; see `Custom` in the protocol.
    """

    value: Any
    events: Sequence[CustomEvent] = ()


class ToolFailed(Exception):
    """A call gave no result.

    Attributes:
        reason: why.
        acted: whether it may have acted all the same: the request has been sent, and nothing has
            said that it was refused.
        told: what the tool itself says, for the model; empty for nothing.
        log_fields: the cause, for the log: no argument, no result.
    """

    def __init__(
        self,
        reason: FailureReason,
        *,
        acted: bool,
        told: str = "",
        log_fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason: FailureReason = reason
        self.acted = acted
        self.told = told
        self.log_fields = dict(log_fields or {})


class Tool(Protocol):
    """Runs calls of one declared tool."""

    async def call(self, invocation: Invocation) -> Answer:
        """Run it.

        A cancelled call lets go of what it waits for. Only reads are cancelled.

        Raises:
            ToolFailed: it gave no result.
        """
