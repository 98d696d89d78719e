"""Which tools to call for the user's words: rules by the names and parameters that are offered.

`call NAME with {json}` calls any offered tool with these arguments. Several such parts are parallel
calls, and `then` between them makes rounds of them. Pure, as `chatbot`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from parley_standins.chatbot import Message, reply_to
from parley_standins.tool_answers import in_sentences, needs_consent
from parley_standins.tool_talk import Call, CallAnswer, Choice, Decision, Offer
from parley_standins.tool_words import IDS, find_values, split_name

NEEDS = "I need to know"
"""Begins the question for what a call lacks."""

_EXPLICIT = re.compile(r"\bcall ([A-Za-z0-9_-]{1,64})(?: with (?=\{)|(?=\W|$))")
_YES = re.compile(r"^(?:yes|yeah|yep|sure|okay|ok|please do|do it|go ahead|confirm)\b", re.I)
_NO = re.compile(r"^(?:no|nope|don't|do not|stop|never mind)\b", re.I)
_BUILT_IN = {
    "end_session": re.compile(r"\b(?:good ?bye|bye|hang up|end the (?:call|conversation))\b", re.I),
    "skip_turn": re.compile(
        r"\b(?:hold on|(?:wait|just|one|give me) (?:a )?(?:moment|second|minute))\b", re.I
    ),
    "set_language": re.compile(r"\b(?:speak|talk|switch to|answer|continue)\b", re.I),
}
_FILLERS = frozenset({"get", "the", "a", "an", "of", "to", "for", "my", "status", "info", "find"})
_ACTIONS = frozenset({"cancel", "delete", "change", "refund", "book", "create", "update", "place"})
_HANDS_OVER = re.compile(r"\b(?:talk|speak|transfer|connect|put)\b", re.I)


def decide(
    messages: Sequence[Message], offers: Sequence[Offer], choice: Choice, now: datetime
) -> Decision:
    """Return the reply to a conversation: calls of what is offered, or words.

    Args:
        messages: all of it, the oldest first.
        now: the user's time.
    """
    at = max((i for i, m in enumerate(messages) if m.role == "user"), default=-1)
    rounds = sum(bool(m.calls) for m in messages[at + 1 :])
    answers = _last_answers(messages[at + 1 :])
    if choice.mode != "none":
        found = _wanted(messages, at, offers, rounds)
        if choice.mode == "required" and not rounds:
            named = [c for c in found.calls if choice.tool in ("", c.name)]
            return Decision(calls=tuple(named) or (force(messages, offers, choice.tool),))
        if (found.calls and not any(map(needs_consent, answers))) or (found.text and not rounds):
            return found
    if answers:
        return Decision(in_sentences(answers))
    said = [m for m in messages if m.role != "tool" and (m.content or not m.calls)]
    return Decision(reply_to(said, now))


def _last_answers(messages: Sequence[Message]) -> list[CallAnswer]:
    """Return the answers to the last round of calls."""
    last = max((i for i, m in enumerate(messages) if m.calls), default=None)
    if last is None:
        return []
    return [answer for message in messages[last:] for answer in message.answers]


def _wanted(messages: Sequence[Message], at: int, offers: Sequence[Offer], rounds: int) -> Decision:
    """Return the calls of the next round; words if something is missing for them."""
    said = _last_line(messages[at].content) if at >= 0 else ""
    steps = re.split(r",?\s*\bthen\b\s*(?=call )", said)
    explicit = [_explicit(step, offers) for step in steps]
    if any(explicit):
        return Decision(calls=tuple(explicit[rounds]) if rounds < len(steps) else ())
    if rounds:
        return Decision()
    waiting = [answer.call for answer in _answers_before(messages, at) if needs_consent(answer)]
    if waiting and _YES.match(said):
        known = {offer.name for offer in offers}
        again = [Call(call.name, call.arguments) for call in waiting if call.name in known]
        return Decision(calls=tuple(again))
    if waiting and _NO.match(said):
        return Decision("All right, I won't.")
    if built_in := _built_in(said, offers):
        return Decision(calls=(built_in,))
    name = _known_name(messages[: at + 1])
    found = _by_rules(said, offers, name)
    if found.calls or not _is_asked(messages, at):
        return found
    earlier = " ".join(_answered(messages, at))
    more = _by_rules(f"{earlier} {said}", offers, name)
    # Who answers nothing of the question speaks of something else.
    return found if more.text == messages[at - 1].content else more


def _is_asked(messages: Sequence[Message], at: int) -> bool:
    """Return whether the user was asked for what a call lacks."""
    return at > 1 and messages[at - 1].content.startswith(NEEDS)


def _answered(messages: Sequence[Message], at: int) -> list[str]:
    """Return what the user has said so far of what is still lacking, oldest first."""
    users = [i for i, m in enumerate(messages[:at]) if m.role == "user"]
    said: list[str] = []
    for i in reversed(users):
        said.insert(0, _last_line(messages[i].content))
        if not _is_asked(messages, i):
            break
    return said


def _last_line(text: str) -> str:
    """Return the last line that says something: earlier ones were said in turns that failed."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "").strip()


def _answers_before(messages: Sequence[Message], at: int) -> list[CallAnswer]:
    """Return the answers to the last round of the turn before."""
    before = max((i for i, m in enumerate(messages[:at]) if m.role == "user"), default=-1)
    return _last_answers(messages[before + 1 : at])


def _explicit(said: str, offers: Sequence[Offer]) -> list[Call]:
    known = {offer.name for offer in offers}
    calls: list[Call] = []
    for match in _EXPLICIT.finditer(said):
        if match[1] not in known:
            continue
        arguments: Any = {}
        if match[0].endswith(" with "):
            try:
                arguments, _ = json.JSONDecoder().raw_decode(said, match.end())
            except ValueError:
                continue
        calls.append(Call(match[1], arguments))
    return calls


def _built_in(said: str, offers: Sequence[Offer]) -> Call | None:
    for offer in offers:
        pattern = _BUILT_IN.get(offer.name)
        if pattern is None or not pattern.search(said):
            continue
        if offer.name != "set_language":
            return Call(offer.name, {})
        if codes := find_values("language", {"type": "string"}, said):
            return Call(offer.name, {"language": codes[0]})
    return None


def _by_rules(said: str, offers: Sequence[Offer], name: str) -> Decision:
    heard = set(split_name(said))
    fitting = [
        (_score(offer, heard), offer)
        for offer in offers
        if offer.name not in _BUILT_IN and _is_meant(offer, said, heard)
    ]
    if not fitting:
        return Decision()
    best = max(fitting, key=lambda pair: pair[0])[1]
    found = {
        of: values
        for of, schema in best.properties.items()
        if (values := find_values(of, schema, said))
    }
    if name and "name" in best.properties and "name" not in found:
        found["name"] = [name]
    missing = [of for of in best.required if of not in found]
    if missing:
        return Decision(
            f"{NEEDS} the {' and the '.join(' '.join(split_name(m)) for m in missing)}."
        )
    several = next((of for of in found if set(split_name(of)) & IDS and len(found[of]) > 1), "")
    first = {of: values[0] for of, values in found.items()}
    return Decision(
        calls=tuple(
            Call(best.name, {**first, several: value} if several else first)
            for value in dict.fromkeys(found[several] if several else [None])
        )
    )


def _is_meant(offer: Offer, said: str, heard: set[str]) -> bool:
    """Return whether the words name the tool, or an argument of it that is an id."""
    named = [word for word in split_name(offer.name) if word not in _FILLERS]
    stems = {*heard, *(word.removesuffix("s") for word in heard)}
    # A tool of an MCP server has its name before its own, e.g. `shop_book_table`.
    own = named[1:] if len(named) > 2 else named
    if len(own) > 1 and all(word in stems for word in own):
        return True
    if re.search(r"transfer|hand", offer.name) and _HANDS_OVER.search(said):
        return any(find_values(of, s, said) for of, s in offer.properties.items() if "enum" in s)
    return any(
        set(split_name(of)) & IDS & stems and find_values(of, schema, said)
        for of, schema in offer.properties.items()
    )


def _score(offer: Offer, heard: set[str]) -> float:
    named = split_name(offer.name)
    described = set(split_name(offer.description)) - _FILLERS
    return (
        sum(word in heard for word in named)
        - sum(word in _ACTIONS and word not in heard for word in named)
        + 0.1 * len(described & heard)
    )


def force(messages: Sequence[Message], offers: Sequence[Offer], tool: str = "") -> Call:
    """Return a call of the tool that has to be called, with as much as the words have."""
    said = next((m.content for m in reversed(messages) if m.role == "user"), "")
    offer = next((o for o in offers if o.name == tool), offers[0])
    found: dict[str, Any] = {}
    for of, schema in offer.properties.items():
        if values := find_values(of, schema, said):
            found[of] = values[0]
        elif of in offer.required:
            found[of] = _EMPTY.get(schema.get("type", "string"), "")
    return Call(offer.name, found)


_EMPTY: dict[str, Any] = {"integer": 1, "number": 1, "boolean": False, "array": [], "object": {}}


def _known_name(messages: Sequence[Message]) -> str:
    """Return the name that the user has told; empty if none."""
    for message in reversed(messages):
        if message.role == "user" and (match := _TOLD.search(message.content)):
            return match[1].title()
    return ""


_TOLD = re.compile(r"\bmy name(?:'s| is) ([\w'-]+)", re.I)
