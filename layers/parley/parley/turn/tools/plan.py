"""Decides which calls of a round run, and what becomes of those that do not. Plain objects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from parley.protocol.messages import Message
from parley.protocol.tool_rounds import CallResult, ToolCall, ToolCalls, ToolRound
from parley.tools.arguments import BadArguments, canonical, read_arguments
from parley.tools.sentences import NOT_CONFIRMED, TOO_MANY, bad_arguments, unknown_tool
from parley.tools.tool import ToolSpec

MAX_ROUNDS = 5
"""How often a model may ask for calls in one turn. Then it has to answer with what it has."""
MAX_CALLS_PER_ROUND = 8
MAX_CALLS_PER_TURN = 16
MAX_ARGUMENTS_CHARS = 8_000
"""Of one call. With results as long, a round of eight calls fits into an item of DynamoDB's, of
400 KB."""


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
    calls = [
        each if len(each.arguments) <= MAX_ARGUMENTS_CHARS else _without_arguments(each)
        for each in request.calls[:MAX_CALLS_PER_TURN]
    ]
    return msgspec.structs.replace(request, calls=tuple(calls))


def _without_arguments(call: ToolCall) -> ToolCall:
    return msgspec.structs.replace(call, arguments=TOO_LONG)


def plan_round(
    request: ToolCalls,
    specs: Mapping[str, ToolSpec],
    *,
    earlier_calls: int,
    asked_before: Sequence[ToolRound] = (),
) -> list[PlannedCall]:
    """Return what is to be done for each call of a round.

    Args:
        specs: the turn's tools.
        earlier_calls: how many calls the turn has had.
        asked_before: the rounds of the turn before this one: what it asked the user to confirm may
            run now.
    """
    planned: list[PlannedCall] = []
    for index, call in enumerate(request.calls):
        if index >= MAX_CALLS_PER_ROUND or earlier_calls + index >= MAX_CALLS_PER_TURN:
            planned.append(PlannedCall(index, call, result=TOO_MANY))
        else:
            planned.append(_plan(index, call, specs, asked_before, planned))
    return planned


def _plan(
    index: int,
    call: ToolCall,
    specs: Mapping[str, ToolSpec],
    asked_before: Sequence[ToolRound],
    planned: Sequence[PlannedCall],
) -> PlannedCall:
    spec = specs.get(call.name)
    if spec is None:
        return PlannedCall(index, call, result=unknown_tool(specs))
    if call.arguments == TOO_LONG:
        return PlannedCall(index, call, spec, result=bad_arguments("They are too long."))
    try:
        arguments = read_arguments(spec, call.arguments)
    except BadArguments as problem:
        return PlannedCall(index, call, spec, result=bad_arguments(str(problem)))
    if spec.confirm and not _was_asked(call.name, arguments, asked_before):
        return PlannedCall(index, call, spec, arguments, result=NOT_CONFIRMED)
    # Two equal writes are two: two tickets for one film are an honest wish.
    same = [p.index for p in planned if spec.effect == "read" and _equal(p, call.name, arguments)]
    return PlannedCall(index, call, spec, arguments, same_as=same[0] if same else None)


def _equal(planned: PlannedCall, name: str, arguments: Mapping[str, Any]) -> bool:
    return planned.runs and planned.call.name == name and planned.arguments == arguments


def _was_asked(name: str, arguments: Mapping[str, Any], rounds: Sequence[ToolRound]) -> bool:
    """Return whether the user has been asked about the same call in the turn before."""
    wanted = canonical(arguments)
    for each in rounds:
        for call, result in zip(each.request.calls, each.results, strict=True):
            if result == NOT_CONFIRMED and call.name == name and _same(call.arguments, wanted):
                return True
    return False


def _same(text: str, wanted: str) -> bool:
    try:
        return canonical(json.loads(text or "{}")) == wanted
    except (ValueError, RecursionError):
        return False


def turn_before(
    messages: Sequence[Message], rounds: Mapping[str, Sequence[ToolRound]]
) -> Sequence[ToolRound]:
    """Return the rounds of the turn before, whose question the user now answers.

    There are none if its reply was not heard: then nothing was asked.
    """
    if not messages or messages[-1].role != "assistant" or messages[-1].heard == "":
        return ()
    return rounds.get(messages[-1].turn_id, ())
