"""What a plan of faults may say, and reading one.

{"seed": 7, "faults": [{"kind": "fail_post", "status": 410, "rate": 0.05, "times": 3}]}
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

Rate = Annotated[float, msgspec.Meta(ge=0, le=1)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0)]


class BadPlan(ValueError):
    """A plan that cannot be read; a sentence that says what is wrong with it."""


class Fault(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"
):
    """What all kinds share.

    Attributes:
        rate: the part of the occasions at which it happens.
        times: after which it happens no more; None for no end.
        skip: how many occasions it lets pass first.
    """

    rate: Rate = 1.0
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0


class DropConnection(Fault, frozen=True, kw_only=True, tag="drop_connection"):
    """A connection is lost without a close frame, upon a message or a post.

    The message is still handled. The post is answered with 200 and does not arrive.
    """

    on: Literal["message", "post"] = "message"


class Late(Fault, frozen=True, kw_only=True, tag="late"):
    """A fault that takes time: `delay_ms`, and up to `jitter_ms` more, drawn each time."""

    delay_ms: Milliseconds
    jitter_ms: Milliseconds = 0.0


class DelayMessage(Late, frozen=True, kw_only=True, tag="delay_message"):
    """A client's message is handled later; others may overtake it."""


class DuplicateMessage(Fault, frozen=True, kw_only=True, tag="duplicate_message"):
    """A client's message is handled twice."""


class ReorderMessage(Fault, frozen=True, kw_only=True, tag="reorder_message"):
    """A client's message is handled after the one that follows it, or after `hold_ms`."""

    hold_ms: Milliseconds = 1000.0


class FailPost(Fault, frozen=True, kw_only=True, tag="fail_post"):
    """A post to a connection is refused."""

    status: Literal[403, 410, 429, 500] = 500


class DelayPost(Late, frozen=True, kw_only=True, tag="delay_post"):
    """A post to a connection takes longer."""


class OfFunction(Fault, frozen=True, kw_only=True, tag="of_function"):
    """A fault of a function.

    Attributes:
        function: logical id or name; None for all.
    """

    function: str | None = None


class KillFunction(OfFunction, frozen=True, kw_only=True, tag="kill_function"):
    """The environment is killed so long after an invocation began, unless that has ended.

    After `after_ms`, and up to `jitter_ms` more.
    """

    after_ms: Milliseconds = 0.0
    jitter_ms: Milliseconds = 0.0


class ThrottleFunction(OfFunction, frozen=True, kw_only=True, tag="throttle_function"):
    """An invocation meets 429; an asynchronous one is tried again."""


class DelayEvent(OfFunction, frozen=True, kw_only=True, tag="delay_event"):
    """An asynchronous invocation stays in the queue for longer."""

    delay_ms: Milliseconds
    jitter_ms: Milliseconds = 0.0


class DuplicateEvent(OfFunction, frozen=True, kw_only=True, tag="duplicate_event"):
    """An asynchronous invocation runs twice, as Lambda says that it may."""


AnyFault = (
    DropConnection
    | DelayMessage
    | DuplicateMessage
    | ReorderMessage
    | FailPost
    | DelayPost
    | KillFunction
    | ThrottleFunction
    | DelayEvent
    | DuplicateEvent
)


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Faults, and the seed of their chances."""

    seed: int = 0
    faults: list[AnyFault] = []


def read_plan(text: str | bytes) -> Plan:
    """Read a plan's JSON.

    Raises:
        BadPlan: it is none.
    """
    try:
        return msgspec.json.decode(text, type=Plan)
    except msgspec.DecodeError as problem:
        raise BadPlan(f"The faults cannot be read: {problem}.") from None


def plan_of_option(text: str) -> Plan:
    """Return what `--faults` means: JSON, or the name of a file that holds it.

    Raises:
        BadPlan: it cannot be read.
    """
    if text.lstrip().startswith("{"):
        return read_plan(text)
    try:
        return read_plan(Path(text).read_bytes())
    except OSError as problem:
        raise BadPlan(f"--faults: {text} cannot be read: {problem.strerror}.") from None
