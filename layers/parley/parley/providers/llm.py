"""What thinks of the reply: the seam, and one module per kind of provider."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from parley.protocol.messages import Message


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a reply is asked for with.

    Attributes:
        instructions: who the assistant is and how it talks.
        history: the conversation so far, oldest first.
        text: what the user says now.
    """

    instructions: str
    history: Sequence[Message]
    text: str


class Responder(Protocol):
    """Thinks of a reply."""

    async def warm_up(self) -> None:
        """Open a connection before it is needed; never raises."""

    def reply(self, prompt: Prompt, asked: Callable[[], None]) -> AsyncGenerator[str, None]:
        """The reply, bit by bit. An empty bit says that the model thinks, and has no words yet.

        Args:
            asked: called once the request is on its way, before the first bit of the reply,
                and also when it could not be sent.

        Raises:
            ProviderError: `reply_failed`.
        """

    @property
    def connection_reused(self) -> bool | None:
        """Whether the last reply came over a connection that was already open."""
