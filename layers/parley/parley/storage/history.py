"""A session's history: its messages, and the rounds of tool calls between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from parley.protocol.messages import Message
from parley.protocol.tool_rounds import ToolRound
from parley.storage.item_codec import is_round, message_from, read_text, round_from


@dataclass(slots=True)
class History:
    """What has been said in a session, and what was done for it.

    Attributes:
        messages: oldest first.
        rounds: the rounds of tool calls of each turn, oldest first, by turn id.
    """

    messages: list[Message] = field(default_factory=list)
    rounds: dict[str, list[ToolRound]] = field(default_factory=dict)


def history_from(items: Iterable[Mapping[str, Any]], messages: int) -> History:
    """Return the history that items store, oldest first, with the last `messages` messages.

    Rounds of turns that have no message in it are left out.
    """
    history = History()
    for item in items:
        found = dict(item)
        if is_round(found):
            turn_id = read_text(found, "sk").split("#")[2]
            history.rounds.setdefault(turn_id, []).append(round_from(found))
        else:
            history.messages.append(message_from(found))
    return cut_history(history, messages)


def cut_history(history: History, messages: int) -> History:
    """Return the last `messages` messages of a history, and the rounds of their turns."""
    kept = history.messages[-messages:] if messages else []
    turns = {message.turn_id for message in kept}
    rounds = {turn: found for turn, found in history.rounds.items() if turn in turns}
    return History(kept, rounds)
