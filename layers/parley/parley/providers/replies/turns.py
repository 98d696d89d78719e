"""From a session's history to the turns that every model accepts.

The templates of many models (Mistral, Gemma and Phi under vLLM and llama.cpp), and Anthropic's
API, refuse anything but `user` and `assistant` in turns, a user first, none of them empty. A
session's history is not always so: a turn that failed, or was interrupted before its first word was
heard, left a question without a reply, the window may begin with a reply, and the agent may have
spoken unasked.

Tool calls and their results are one turn here: no vendor takes one without the other. They follow
what the user said. Strict templates refuse a user after them: an assistant's turn is between.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from parley.protocol.messages import Message
from parley.protocol.tool_rounds import CallResult, ToolCall, ToolRound
from parley.providers.llm import Prompt
from parley.text.blank import is_blank

INTERRUPTED_MARK = "… [the user interrupted here and heard no more]"
NOTHING_MORE_MARK = "[nothing more was said]"
"""Stands for the reply of a turn that called tools, and then said no more."""
UNASKED_MARK = "[The user said nothing. You spoke unasked.]"
"""Stands for the user before what the agent said unasked."""
CONTEXT_MARK = "[Not said by the user: {}]"
NO_RESULT = "(no result)"
"""Of a call whose result shows nothing: some vendors refuse an empty one."""
MAX_NAME_CHARS = 64
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class UserTurn:
    """What the user said, and what else is to be known."""

    text: str


@dataclass(frozen=True, slots=True)
class AssistantTurn:
    """What was heard of a reply."""

    text: str


@dataclass(frozen=True, slots=True)
class RoundTurn:
    """A round of tool calls with all of its results.

    Attributes:
        text: what was heard before it; empty for nothing.
        calls: each with an id of its own.
        results: of each call, in order; no text shows nothing.
        extra: what the model that is asked wants back.
    """

    text: str
    calls: Sequence[ToolCall]
    results: Sequence[CallResult]
    extra: Mapping[str, Any] = field(default_factory=dict)


Turn = UserTurn | AssistantTurn | RoundTurn


def build_turns(prompt: Prompt, model: str = "", *, with_tools: bool = True) -> list[Turn]:
    """Build the turns of a request, without the instructions.

    The first is the user's. A round follows the user or another round; the assistant follows either
    of them, and the user the assistant. The last is the user or a round.

    Args:
        prompt: its text shows something; `parley.text.blank.is_blank` tells.
        model: who is asked; nobody else's ids and `extra` are sent to it.
        with_tools: whether tools are offered. Otherwise rounds are notes: a model that has no tools
            knows no calls.
    """
    turns = _Turns(prompt.past_rounds, model)
    for message in prompt.history:
        turns.add(message)
    turns.hear(prompt.text, prompt.speaker.turn_id, prompt.rounds)
    turns.call_tools()
    return turns.turns if with_tools else _as_notes(turns.turns)


def whole_arguments(call: ToolCall) -> dict[str, Any]:
    """Return a call's arguments; none of a text that is no JSON object.

    The call's result says what was wrong with them. Some servers fail at a text that is not whole.
    """
    try:
        found = json.loads(call.arguments)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()  # half a character is none
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class _Turns:
    """Puts turns together, the oldest first."""

    def __init__(self, rounds: Mapping[str, Sequence[ToolRound]], model: str) -> None:
        self.turns: list[Turn] = []
        self._rounds = rounds
        self._model = model
        self._open: Sequence[ToolRound] = ()
        self._turn_id = ""
        self._notes: list[str] = []

    def add(self, message: Message) -> None:
        """Add a message of the history."""
        if message.role == "context":
            # It waits for what the user says next: no reply so far has known of it.
            if not is_blank(message.text):
                self._notes.append(CONTEXT_MARK.format(message.text))
        elif message.role == "user":
            if not is_blank(message.text):
                self.hear(message.text, message.turn_id, self._rounds.get(message.turn_id, ()))
        elif message.agent:
            if content := _content(message):
                self.hear(UNASKED_MARK)
                self._reply(content)
        else:
            self._answer(message)

    def hear(self, text: str, turn_id: str = "", rounds: Sequence[ToolRound] = ()) -> None:
        """Add what the user said; its rounds follow."""
        self._close_rounds()
        text = "\n".join([*self._notes, text])
        self._notes = []
        if self.turns and isinstance(last := self.turns[-1], UserTurn):
            self.turns[-1] = UserTurn(f"{last.text}\n{text}")
        else:
            self.turns.append(UserTurn(text))
        self._turn_id, self._open = turn_id, [each for each in rounds if each.request.calls]

    def call_tools(self, texts: Sequence[str] | None = None) -> bool:
        """Add the rounds that wait; return whether there were any.

        Args:
            texts: what was heard before each; None for all that was said.
        """
        rounds, self._open = self._open, ()
        for at, each in enumerate(rounds):
            text = each.text.strip() if texts is None else texts[at]
            self.turns.append(_round_turn(each, text, self._turn_id, self._model))
        return bool(rounds)

    def _answer(self, message: Message) -> None:
        if not self._open or message.turn_id != self._turn_id:
            self._close_rounds()
            if content := _content(message):
                self._reply(content)
            return
        cut = message.heard is not None
        texts, rest = _split(_heard(message), self._open, cut=cut)
        self.call_tools(texts)
        if cut:
            rest += INTERRUPTED_MARK
        self._reply(NOTHING_MORE_MARK if is_blank(rest) else rest)

    def _close_rounds(self) -> None:
        if self.call_tools():
            self._reply(NOTHING_MORE_MARK)

    def _reply(self, text: str) -> None:
        if not self.turns:  # whom it answered is not in the window
            return
        if isinstance(last := self.turns[-1], AssistantTurn):
            self.turns[-1] = AssistantTurn(f"{last.text}\n{text}")
        else:
            self.turns.append(AssistantTurn(text))


def _content(message: Message) -> str:
    """Return what has been heard of a reply, with a note where it was cut off; empty if nothing
    was: then there was nothing to interrupt."""
    heard = _heard(message)
    if is_blank(heard):
        return ""
    return heard if message.heard is None else heard + INTERRUPTED_MARK


def _heard(message: Message) -> str:
    """Return what has been heard of a reply, without what only filled a silence."""
    shown = message.text if message.heard is None else message.heard
    if not message.fillers:
        return shown
    kept, at = "", 0
    for span in sorted(message.fillers, key=lambda each: each.start):
        kept += shown[at : max(at, span.start)]
        at = max(at, span.end)
    return (kept + shown[at:]).strip()


def _split(text: str, rounds: Sequence[ToolRound], *, cut: bool) -> tuple[list[str], str]:
    """Return what was heard before each round, and after the last.

    Args:
        text: what was heard of the turn's reply.
        cut: whether the user interrupted it.
    """
    texts: list[str] = []
    for each in rounds:
        said, text = each.text.strip(), text.lstrip()
        if text.startswith(said):
            texts.append(said)
            text = text[len(said) :]
        elif cut and said.startswith(text.rstrip()):
            texts.append(text.rstrip())
            text = ""
        else:  # an earlier attempt at the turn has said it
            texts.append(said)
    return texts, text.lstrip()


def _round_turn(found: ToolRound, text: str, turn_id: str, model: str) -> RoundTurn:
    request = found.request
    is_own = request.model == model
    calls: list[ToolCall] = []
    for at, call in enumerate(request.calls):
        known = {each.id for each in calls}
        keeps_id = is_own and call.id and call.id not in known
        call_id = call.id if keeps_id else _make_id(turn_id, found.index, at)
        extra = call.extra if is_own else {}
        name = _sendable_name(call.name)
        calls.append(msgspec.structs.replace(call, name=name, id=call_id, extra=extra))
    results = [_result(found, at) for at in range(len(calls))]
    return RoundTurn(text, calls, results, request.extra if is_own else {})


def _sendable_name(name: str) -> str:
    """Return a name that endpoints take back: a model may have made up one that none takes.

    OpenAI and Anthropic refuse every request with another name in an old call.
    """
    return _NOT_IN_NAMES.sub("_", name)[:MAX_NAME_CHARS] or "_"


def _result(found: ToolRound, at: int) -> CallResult:
    result = found.results[at] if at < len(found.results) else None
    if result is None:
        return CallResult("unknown", NO_RESULT)
    return CallResult(result.outcome, NO_RESULT) if is_blank(result.text) else result


def _make_id(turn_id: str, round_index: int, call_index: int) -> str:
    """Make a call's id, in every request the same: of 9 letters and digits, as Mistral wants it.

    Another model's id may be none of this one's: Anthropic refuses the dots of Kimi's.
    """
    place = f"{turn_id}.{round_index}.{call_index}"
    return hashlib.sha256(place.encode()).hexdigest()[:9]


def _as_notes(turns: Iterable[Turn]) -> list[Turn]:
    """Return turns in which rounds are notes to what the user said."""
    noted: list[Turn] = []
    for turn in turns:
        if not isinstance(turn, RoundTurn):
            noted.append(turn)
        elif isinstance(last := noted[-1], UserTurn):
            noted[-1] = UserTurn("\n".join([last.text, *_notes_of(turn)]))
    return noted


def _notes_of(turn: RoundTurn) -> Iterable[str]:
    for call, result in zip(turn.calls, turn.results, strict=True):
        yield CONTEXT_MARK.format(f"{call.name} was called, and gave: {result.text}")
