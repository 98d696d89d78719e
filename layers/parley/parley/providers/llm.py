"""Language models: the seam between a turn and its responder."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from parley.protocol.messages import Message
from parley.protocol.tool_rounds import ToolCalls, ToolRound
from parley.providers.rules import CallRules


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who says what, for an endpoint that knows its users.

    Attributes:
        session: names the session, always by the same keyed hash: the id itself is half a
            credential.
        turn_id: of the turn.
        subject: the user, as the token names it; empty if nobody is known.
        tenant: the user's tenant; empty if there is none.
        pseudonym: names the user, always by the same keyed hash, to whoever is not to know who it
            is; empty if nobody is known, or no key is.
    """

    session: str = ""
    turn_id: str = ""
    subject: str = ""
    tenant: str = ""
    pseudonym: str = ""


NOBODY = Speaker()


@dataclass(slots=True)
class Tokens:
    """What an answer says of tokens; None as long as it says nothing."""

    input: int | None = None
    output: int | None = None


def _count_nothing(_tokens: Tokens) -> None:
    """Take note of tokens where nobody counts them."""


@dataclass(frozen=True, slots=True)
class ToolOffer:
    """A tool that the model may call.

    Attributes:
        name: 1 to 64 of A-Z, a-z, 0-9, '_' and '-'.
        description: what it does, and when to use it.
        schema: JSON Schema of its arguments, an object's.
    """

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """The input of a reply.

    Attributes:
        instructions: who the assistant is and how it talks.
        history: the conversation so far, oldest first.
        text: what the user says now.
        language: ISO 639 code of the language spoken; empty if nobody knows.
        speaker: who says it.
        tools: what the model may call, always in the same order: vendors keep the beginning of a
            request, and bill it less.
        may_call: whether it may call any of them now. They are sent all the same: an earlier call
            makes no sense without.
        rounds: the rounds of this turn, oldest first: they follow `text`.
        past_rounds: those of earlier turns, by turn id; they follow the turn's user message.
        note_tokens: told what the answer says of tokens, also if it is not read to its end.
    """

    instructions: str
    history: Sequence[Message]
    text: str
    language: str = ""
    speaker: Speaker = NOBODY
    tools: Sequence[ToolOffer] = ()
    may_call: bool = True
    rounds: Sequence[ToolRound] = ()
    past_rounds: Mapping[str, Sequence[ToolRound]] = field(default_factory=dict)
    note_tokens: Callable[[Tokens], None] = field(default=_count_nothing, compare=False)


ReplyPiece = str | ToolCalls
"""A piece of a reply's text, or the calls that it ends with."""


class Responder(Protocol):
    """Writes replies."""

    @property
    def rules(self) -> CallRules:
        """How it may be called."""

    async def warm_up(self) -> None:
        """Open a connection before it is needed. Never raise."""

    def reply(self, prompt: Prompt, asked: Callable[[], None]) -> AsyncGenerator[ReplyPiece, None]:
        """Yield the reply, piece by piece. An empty piece says that the model has no words yet.

        If the model wants tools called, the last piece says which. It comes only once the answer
        is whole: of an answer that was cut off, nothing may be run.

        Args:
            asked: called once the request is on its way, before the first piece of the reply,
                and also when it could not be sent.

        Raises:
            ProviderError: `reply_failed`.
        """

    @property
    def connection_reused(self) -> bool | None:
        """Whether the last reply came over a connection that was already open."""
