"""Arguments of tools in the user's words: numbers, times, ids, names, languages.

Simple rules by the name and the schema of a parameter, for English. A word that none of them finds
is not made up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parley_standins.spoken_numbers import first_numbers, in_words, is_number, parse

LANGUAGES = {
    "english": "en",
    "german": "de",
    "french": "fr",
    "spanish": "es",
    "italian": "it",
    "dutch": "nl",
    "portuguese": "pt",
    "polish": "pl",
    "japanese": "ja",
}
_ID = re.compile(r"\b([A-Za-z]{1,4}-?\d{1,12})\b")
_SOUNDS_LIKE = {"to": "two", "too": "two", "for": "four"}
"""What a recogniser makes of a digit."""
_NUMBERED = re.compile(r"(?<![\w:-])#?(\d{3,})(?![\w:])")
_NUMBER = r"(?:\d{1,3}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_PEOPLE = (
    rf"\b({_NUMBER}) (?:people|persons|person|guests|seats|of us)\b",
    rf"\b(?:table|party|seats?|room) (?:for|of) ({_NUMBER})\b",
    rf"\bfor ({_NUMBER})\b(?! ?(?::|o'?clock|am|pm|thirty|fifteen))",
)
_HOUR = r"(\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_MINUTES = {"": 0, "fifteen": 15, "thirty": 30, "forty-five": 45, "forty five": 45}
_CLOCK = re.compile(r"\b(\d{1,2})[:.](\d{2})\b")
_PAST = re.compile(rf"\b(half past|quarter past|quarter to) {_HOUR}\b")
_AT = re.compile(
    rf"\b(?:at|around|by) {_HOUR}\b(?: (fifteen|thirty|forty[- ]five))?"
    r"(?! ?(?:people|persons|guests|seats))"
)
_O_CLOCK = re.compile(rf"\b{_HOUR} ?(?:o'?clock|[ap]\.?m\b)()")
_NAMED = re.compile(r"\b(?:under (?:the name )?|(?:the|my) name(?:'s| is| of)? )(?:of )?([\w'-]+)")
_TOKEN = re.compile(r"\b(?:nonce|token)[ :=]+([\w.-]*\w)", re.I)
_QUOTED = re.compile(r"[\"“]([^\"”]+)[\"”]|(?:: | (?:that|which) says |\bsaying )(.+)$", re.I)


def split_name(name: str) -> list[str]:
    """Return the words of a name: `book_table` and `bookTable` are "book", "table"."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word.lower() for word in re.split(r"[\W_]+", spaced) if word]


def find_values(name: str, schema: Mapping[str, Any], said: str) -> list[Any]:
    """Return the values of a parameter that the words have, in order; several only of ids."""
    choices = schema.get("enum")
    if isinstance(choices, list):
        return [value for value in choices if _names(said, value)][:1]
    kind = schema.get("type", "string")
    words = set(split_name(name))
    if not words & _TOKENS:
        said = _TOKEN.sub("", said)  # what looks like an id is none
    for names, find in _FINDERS:
        if words & names:
            return [value for found in find(said) if (value := _typed(found, kind)) is not None]
    if kind in ("integer", "number"):
        return [_typed(number, kind) for number in first_numbers(said.lower())][:1]
    if words & _TEXTS and (match := _QUOTED.search(said)):
        return [(match[1] or match[2]).strip()]
    return []


def _names(said: str, value: object) -> bool:
    heard = said.lower()
    spoken = [word for word, code in LANGUAGES.items() if code == value]
    return any(
        re.search(rf"\b{re.escape(str(form).lower())}\b", heard) for form in (value, *spoken)
    )


def _typed(value: Any, kind: object) -> Any:
    if kind in ("integer", "number"):
        number = float(value) if re.fullmatch(r"\d+(?:\.\d+)?", str(value)) else None
        return int(number) if number is not None and number == int(number) else number
    return str(int(value)) if isinstance(value, float) and value == int(value) else str(value)


def ids_in(said: str) -> list[str]:
    """Return the ids in words, e.g. A-123; spelled ones too: "order a one two three"."""
    found = [match.upper() for match in _ID.findall(said)] + _NUMBERED.findall(said)
    return found or _spelled(said)


def _spelled(said: str) -> list[str]:
    words = re.sub(r"[^\w\s]", " ", said.lower()).split()
    found: list[str] = []
    for at, word in enumerate(words[:-1]):
        if word not in ("order", "orders", "number"):
            continue
        letter = words[at + 1] if len(words[at + 1]) == 1 and words[at + 1].isalpha() else ""
        digits = _digits(words[at + 1 + len(letter) :])
        if digits:
            found.append(f"{letter.upper()}-{digits}" if letter else digits)
    return found


def _digits(words: Sequence[str]) -> str:
    """Return the digits that words begin with; between digits, "to" was two."""
    digits = ""
    for spoken, following in zip(words, [*words[1:], ""], strict=True):
        if digits and is_number(following):
            spoken = _SOUNDS_LIKE.get(spoken, spoken)
        if not is_number(spoken):
            break
        digits += f"{parse([spoken]) or 0:.0f}"
    return digits


def people_in(said: str) -> list[float]:
    """Return how many people the words tell of."""
    for pattern in _PEOPLE:
        if match := re.search(pattern, said.lower()):
            return first_numbers(match[1])[:1]
    return []


def times_in(said: str) -> list[str]:
    """Return the time of day in words as HH:MM.

    An hour up to eleven is one of the afternoon or evening, unless the words say otherwise.
    """
    heard = said.lower()
    if match := _PAST.search(heard):
        minutes = {"half past": 30, "quarter past": 15, "quarter to": -15}[match[1]]
        return [_clock(_hour(match[2]) * 60 + minutes, heard)]
    if match := _CLOCK.search(heard):
        return [_clock(int(match[1]) * 60 + int(match[2]), heard)]
    if match := _O_CLOCK.search(heard):
        return [_clock(_hour(match[1]) * 60, heard)]
    if match := _AT.search(heard):
        return [_clock(_hour(match[1]) * 60 + _MINUTES[match[2] or ""], heard)]
    return []


def _hour(word: str) -> int:
    return int(first_numbers(word)[0])


def _clock(minutes: int, heard: str) -> str:
    is_morning = re.search(r"\d ?a\.?m\b| a\.?m\b|morning", heard)
    if minutes < 12 * 60 and not is_morning:
        minutes += 12 * 60
    return f"{minutes // 60 % 24:02}:{minutes % 60:02}"


def spoken_time(clock: str) -> str:
    """Return a time of day as it is said; what is no HH:MM as it is.

    >>> spoken_time("19:30")
    'half past seven'
    """
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", clock)
    if not match:
        return clock
    hour, minutes = int(match[1]), int(match[2])
    said = in_words((hour - 1) % 12 + 1)
    if minutes == 30:
        return f"half past {said}"
    return f"{said} {in_words(minutes)}" if minutes else said


def _names_in(said: str) -> list[str]:
    match = _NAMED.search(said)
    return [match[1].title()] if match else []


def _languages_in(said: str) -> list[str]:
    return [code for word, code in LANGUAGES.items() if re.search(rf"\b{word}\b", said.lower())][:1]


def _places_in(said: str) -> list[str]:
    match = re.search(r"\bin ([A-Z][\w-]+(?: [A-Z][\w-]+)?)", said)
    return [match[1]] if match else []


_TOKENS = frozenset({"nonce", "token"})
_TEXTS = frozenset({"text", "note", "message", "subject", "query", "question", "title", "item"})
IDS = frozenset({"order", "orders", "booking", "invoice", "ticket", "reference", "id", "code"})
_FINDERS: tuple[tuple[frozenset[str], Callable[[str], list[Any]]], ...] = (
    (_TOKENS, _TOKEN.findall),
    (IDS, ids_in),
    (frozenset({"people", "persons", "guests", "party", "seats", "size"}), people_in),
    (frozenset({"time", "when", "hour", "at"}), times_in),
    (frozenset({"language", "lang"}), _languages_in),
    (frozenset({"name", "customer"}), _names_in),
    (frozenset({"city", "place", "location", "town"}), _places_in),
)
"""How a parameter is found, by the words of its name; the first that fits."""
