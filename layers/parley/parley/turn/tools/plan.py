"""Decides which calls of a round run, and what becomes of those that do not. Plain objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from parley.protocol.messages import Message
from parley.protocol.tool_rounds import CallResult, ToolCall, ToolCalls, ToolRound
from parley.tools.arguments import BadArguments, canonical, read_arguments
from parley.tools.results import fit_result
from parley.tools.sentences import NOT_CONFIRMED, TOO_MANY, bad_arguments, unknown_tool
from parley.tools.tool import ToolSpec

MAX_ROUNDS = 5
"""How often a model may ask for calls in one turn. Then it has to answer with what it has."""
MAX_CALLS_PER_ROUND = 8
MAX_CALLS_PER_TURN = 16
MAX_ARGUMENTS_CHARS = 8_000
"""Of one call."""
MAX_REQUEST_BYTES = 48_000
"""Of the arguments of a round, as UTF-8; as JSON in JSON they may double. With what was said
before, and eight results of 24 KB, a round fits into an item of DynamoDB's, of 400 KB."""
MAX_CALLED_NAME_CHARS = 128

TOO_LONG = '{"too_long": true}'
"""Stands for arguments that are longer."""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call of a round.

    Attributes:
        index: its place in the round, from 0.
        spec: the tool; None if there is none.
        arguments: checked.
        result: of a call that does not run; None for one that does.
        same_as: the call whose result it shares: reads that are equal run once.
    """

    index: int
    call: ToolCall
    spec: ToolSpec | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    result: CallResult | None = None
    same_as: int | None = None

    @property
    def runs(self) -> bool:
        """Whether it runs itself."""
        return self.result is None and self.same_as is None


def fit_request(request: ToolCalls) -> ToolCalls:
    """Return a request that can be recorded: no model means to ask for more."""
    calls: list[ToolCall] = []
    left = MAX_REQUEST_BYTES
    for each in request.calls[:MAX_CALLS_PER_TURN]:
        # Half a character can be neither recorded nor sent.
        arguments = each.arguments.encode(errors="replace")
        if len(each.arguments) > MAX_ARGUMENTS_CHARS or len(arguments) > left:
            arguments = TOO_LONG.encode()
        left -= len(arguments)
        name = each.name[:MAX_CALLED_NAME_CHARS].encode(errors="replace")
        calls.append(
            msgspec.structs.replace(each, name=name.decode(), arguments=arguments.decode())
        )
    return msgspec.structs.replace(request, calls=tuple(calls))


def plan_round(
    request: ToolCalls,
    specs: Mapping[str, ToolSpec],
    *,
    earlier: Sequence[ToolRound] = (),
    asked_before: Sequence[ToolRound] = (),
) -> list[PlannedCall]:
    """Return what is to be done for each call of a round.

    Args:
        specs: the turn's tools.
        earlier: the rounds that the turn has had.
        asked_before: the rounds of the turn before this one: what it asked the user to confirm may
            run now, as often as it was asked at once.
    """
    planned: list[PlannedCall] = []
    earlier_calls = sum(len(each.request.calls) for each in earlier)
    for index, call in enumerate(request.calls):
        if index >= MAX_CALLS_PER_ROUND or earlier_calls + index >= MAX_CALLS_PER_TURN:
            planned.append(PlannedCall(index, call, result=TOO_MANY))
        else:
            planned.append(_plan(index, call, specs, earlier, asked_before, planned))
    return planned


def _plan(
    index: int,
    call: ToolCall,
    specs: Mapping[str, ToolSpec],
    earlier: Sequence[ToolRound],
    asked_before: Sequence[ToolRound],
    planned: Sequence[PlannedCall],
) -> PlannedCall:
    spec = specs.get(call.name)
    if spec is None:
        return PlannedCall(index, call, result=fit_result(unknown_tool(specs)))
    if call.arguments == TOO_LONG:
        return PlannedCall(index, call, spec, result=bad_arguments("They are too long."))
    try:
        arguments = read_arguments(spec, call.arguments)
    except BadArguments as problem:
        return PlannedCall(index, call, spec, result=fit_result(bad_arguments(str(problem))))
    if spec.confirm:
        wanted = canonical(arguments)
        runs = sum(_equal(each, call.name, arguments) for each in planned)
        ran = sum(_count(each, spec, wanted, _has_run) for each in earlier)
        # Two that were asked at once are two; one yes is never good for more.
        if runs + ran >= _times_asked(spec, wanted, asked_before):
            return PlannedCall(index, call, spec, arguments, result=NOT_CONFIRMED)
    # Two equal writes are two: two tickets for one film are an honest wish.
    same = [p.index for p in planned if spec.effect == "read" and _equal(p, call.name, arguments)]
    return PlannedCall(index, call, spec, arguments, same_as=same[0] if same else None)


def _equal(planned: PlannedCall, name: str, arguments: Mapping[str, Any]) -> bool:
    return planned.runs and planned.call.name == name and planned.arguments == arguments


def _times_asked(spec: ToolSpec, wanted: str, rounds: Sequence[ToolRound]) -> int:
    """Return how many of the same call the user has been asked about at once."""
    return max((_count(each, spec, wanted, _was_asked) for each in rounds), default=0)


def _count(
    found: ToolRound, spec: ToolSpec, wanted: str, counts: Callable[[CallResult | None], bool]
) -> int:
    """Return how many of the same call are in a round, with a result that counts."""
    return sum(
        counts(result) and _is_same(spec, wanted, call)
        for call, result in zip(found.request.calls, found.results, strict=True)
    )


def _was_asked(result: CallResult | None) -> bool:
    return result == NOT_CONFIRMED


def _has_run(result: CallResult | None) -> bool:
    """Return whether a call may have acted: what has surely failed may be tried again."""
    return result is None or result.outcome in ("done", "unknown")


def _is_same(spec: ToolSpec, wanted: str, call: ToolCall) -> bool:
    try:
        return call.name == spec.name and canonical(read_arguments(spec, call.arguments)) == wanted
    except BadArguments:  # the tool took others then
        return False


def turn_before(
    messages: Sequence[Message], rounds: Mapping[str, Sequence[ToolRound]]
) -> Sequence[ToolRound]:
    """Return the rounds of the turn before, whose question the user now answers.

    There are none if nothing of its reply was heard after its calls: then nothing was asked.
    """
    if not messages or messages[-1].role != "assistant":
        return ()
    found = rounds.get(messages[-1].turn_id, ())
    return found if _question_was_heard(messages[-1], found) else ()


def _question_was_heard(reply: Message, rounds: Sequence[ToolRound]) -> bool:
    """Return whether anything was heard of what followed the last call of a reply.

    Whoever says yes before a question is at its end has heard enough of it.
    """
    if reply.heard is None:
        return True
    asked_from = max((span.end for span in reply.fillers), default=0)
    for each in rounds:
        said = each.text.strip()
        asked_from = max(asked_from, reply.text.find(said) + len(said))
    return len(reply.heard.rstrip()) > asked_from
