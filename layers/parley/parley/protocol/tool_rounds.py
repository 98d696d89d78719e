"""Rounds of tool calls: what a model asked for, and what came of it.

A round is what one request to a model ends with when it wants tools called. It is recorded before
anything of it runs (`parley.storage.rounds`), and is in every later request of the session.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

CallOutcome = Literal["done", "failed", "cancelled", "unknown"]
"""What became of a call: it has a result, it failed, it was not run or not waited for, or nobody
knows whether it acted."""


class ToolCall(Struct, frozen=True, omit_defaults=True):
    """A call that a model asks for.

    Attributes:
        name: of the tool, as the model wrote it.
        arguments: a JSON object as text; what the model wrote if it is no whole one.
        id: the model's own id of the call; goes back to it as it was, and means nothing else.
        extra: what else the model's endpoint wants back with the call.
    """

    name: str
    arguments: str = "{}"
    id: str = ""
    extra: dict[str, Any] = {}


class ToolCalls(Struct, frozen=True, omit_defaults=True):
    """The calls of one round, as a responder yields them: last, and only of a whole answer.

    Attributes:
        calls: in the model's order.
        extra: what the endpoint wants back with the message that has the calls, e.g. thoughts.
            Never shown and never spoken.
        model: whose `extra` it is: another model is not sent it.
    """

    calls: tuple[ToolCall, ...]
    extra: dict[str, Any] = {}
    model: str = ""


class CallResult(Struct, frozen=True):
    """What became of a call, and what the model is told of it."""

    outcome: CallOutcome
    text: str


class ToolRound(Struct, frozen=True, omit_defaults=True):
    """A recorded round.

    Attributes:
        index: counts the rounds of a turn from 0.
        request: what the model asked for.
        text: what it said before it asked.
        results: of each call, in order; None where there is none yet.
        recorded_at_ms: when it was recorded, in ms since the epoch.
        user_text: what the user had said, of the turn's first round: a second transcription may
            differ from what was acted on.
    """

    index: int
    request: ToolCalls
    text: str = ""
    results: tuple[CallResult | None, ...] = ()
    recorded_at_ms: int = 0
    user_text: str = ""

    @property
    def is_open(self) -> bool:
        """Whether a result is still missing."""
        return None in self.results


def call_key(session_id: str, turn_id: str, round_index: int, call_index: int) -> str:
    """Return a call's idempotency key.

    It depends neither on the attempt nor on the model's ids, which a model repeats or leaves out.
    At most 64 + 64 + 6 characters of A-Z, a-z, 0-9, '_', '-' and '.'.
    """
    return f"{session_id}.{turn_id}.{round_index}.{call_index}"
