"""Language models: the seam between a turn and its responder."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from parley.protocol.messages import Message
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


@dataclass(frozen=True, slots=True)
class Prompt:
    """The input of a reply.

    Attributes:
        instructions: who the assistant is and how it talks.
        history: the conversation so far, oldest first.
        text: what the user says now.
        language: ISO 639 code of the language spoken; empty if nobody knows.
        speaker: who says it.
    """

    instructions: str
    history: Sequence[Message]
    text: str
    language: str = ""
    speaker: Speaker = NOBODY


class Responder(Protocol):
    """Writes replies."""

    @property
    def rules(self) -> CallRules:
        """How it may be called."""

    async def warm_up(self) -> None:
        """Open a connection before it is needed. Never raise."""

    def reply(self, prompt: Prompt, asked: Callable[[], None]) -> AsyncGenerator[str, None]:
        """Yield the reply, piece by piece. An empty piece says that the model has no words yet.

        Args:
            asked: called once the request is on its way, before the first piece of the reply,
                and also when it could not be sent.

        Raises:
            ProviderError: `reply_failed`.
        """

    @property
    def connection_reused(self) -> bool | None:
        """Whether the last reply came over a connection that was already open."""
