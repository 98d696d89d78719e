"""Results of tool calls in words. What did not work, or is not known, is said as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from parley_standins.spoken_numbers import in_words
from parley_standins.tool_talk import Call, CallAnswer
from parley_standins.tool_words import LANGUAGES, split_name, spoken_time

NOT_CONFIRMED = "user must agree first"
"""Is within the result of a call that waits for the user's yes."""

_FAILED = re.compile(
    r"^(?:This call (?:failed|did not|was refused)|There is no such tool|The app did not answer)"
)
_STATES = ("status", "state")
_NUMBERS = ("number", "booking", "reference", "id", "code", "confirmation")
_SAYS = re.compile(r"It says: (.+)$", re.S)


def needs_consent(answer: CallAnswer) -> bool:
    """Return whether a call waits for the user's yes."""
    return NOT_CONFIRMED in answer.text


def in_sentences(answers: Sequence[CallAnswer]) -> str:
    """Return what to say of the results of one round."""
    said = list(dict.fromkeys(_sentence(answer) for answer in answers))
    return " ".join(sentence for sentence in said if sentence)


def describe(call: Call) -> str:
    """Return what a call does, after "I": e.g. "book a table for two at eight"."""
    verb, *rest = _own_words(call) or ["do", "that"]
    phrase = f"{verb} a {' '.join(rest)}" if rest else verb
    given = {name: value for name, value in call.arguments.items() if name != "nonce"}
    others = [
        f"{' '.join(split_name(name))} {_spoken(value)}"
        for name, value in given.items()
        if name not in ("people", "time", "name")
    ]
    return " ".join([phrase, *_booked(given), *(["with", ", ".join(others)] if others else [])])


def _booked(given: Mapping[str, Any]) -> list[str]:
    words = []
    if "people" in given:
        words.append(f"for {_spoken(given['people'])}")
    if "time" in given:
        words.append(f"at {spoken_time(str(given['time']))}")
    if "name" in given:
        words.append(f"under {given['name']}")
    return words


def _spoken(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        # An id of digits is read as it is written.
        return in_words(value) if value < 100 else str(value)
    if isinstance(value, list):
        return ", ".join(_spoken(part) for part in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_spoken(part)}" for key, part in value.items())
    return "nothing" if value is None else str(value)


def _sentence(answer: CallAnswer) -> str:
    call, text = answer.call, answer.text.strip()
    thing = _thing(call)
    if needs_consent(answer):
        return f"Shall I {describe(call)}?"
    if "not known whether" in text:
        return f"I don't know whether {thing} went through."
    if "still runs" in text:
        return f"I'm still waiting for {thing}. I don't know yet how it ends."
    if "interrupted" in text and "call" in text:
        return f"You interrupted me, so I did not get to {thing}."
    if answer.is_error or _FAILED.match(text):
        cause = _SAYS.search(text)
        return f"I'm sorry, {thing} didn't work. {_ended(cause[1] if cause else text)}"
    if call.name in _BUILT_IN:
        return _BUILT_IN[call.name](call)
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return _told(call, value)


def _thing(call: Call) -> str:
    words = _own_words(call)
    if _is_booking(call):
        return "the booking"
    return f"the {' '.join(words)}" if words else "that"


def _is_booking(call: Call) -> bool:
    return _own_words(call)[:1] in (["book"], ["reserve"])


def _own_words(call: Call) -> list[str]:
    """Return the words of a tool's name, without an MCP server's before a verb."""
    words = split_name(call.name)
    return words[1:] if words[1:2] in (["book"], ["reserve"], ["cancel"]) else words


def _told(call: Call, value: object) -> str:
    if not isinstance(value, dict):
        return _ended(_spoken(value)) if value not in ("", None, "(no result)") else "That is done."
    fields = {name: part for name, part in value.items() if part is not None}
    sentences = []
    if _is_booking(call):
        what = " ".join(_own_words(call)[1:]) or "booking"
        booked = {**call.arguments, **fields}
        sentences.append(" ".join([f"Your {what}", *_booked(booked), "is booked."]))
        fields = {k: v for k, v in fields.items() if k not in ("people", "time", "name", *_STATES)}
    elif state := next((name for name in _STATES if name in fields), ""):
        subject = _subject(call, fields)
        sentences.append(f"{subject} is {_spoken(fields.pop(state))}.")
        fields = {k: v for k, v in fields.items() if str(v) not in subject.split()}
    fields.pop("nonce", None)
    return " ".join([*sentences, *(_field(name, part) for name, part in fields.items())])


def _subject(call: Call, fields: Mapping[str, Any]) -> str:
    for name in ("order", "order_id", "booking", "ticket", "invoice"):
        if value := call.arguments.get(name) or fields.get(name):
            return f"{split_name(name)[0].title()} {value}"
    return f"The {' '.join(split_name(call.name)) or 'answer'}"


def _field(name: str, value: object) -> str:
    if name in _NUMBERS:
        return f"The number is {value}."
    return f"The {' '.join(split_name(name))} is {_spoken(value)}."


def _ended(text: str) -> str:
    text = text.strip()
    return text if text[-1:] in ".!?" else f"{text}."


def _speaks(call: Call) -> str:
    code = call.arguments.get("language")
    name = next((word for word, known in LANGUAGES.items() if known == code), str(code))
    return f"All right, I speak {name.title()} now."


_BUILT_IN = {
    "end_session": lambda _: "Goodbye. It was nice talking to you.",
    "skip_turn": lambda _: "",
    "set_language": _speaks,
}
