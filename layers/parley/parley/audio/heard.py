"""How much of a reply was heard: from its beginning up to the last word whose sound had ended.

The rule is the protocol's, and every client has it too (docs/protocol.md, "What was heard"); the
cases that all of them keep to are in tests/heard.json.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from parley.protocol.messages import Word

SEARCHED_CHARS = 40
"""How far behind its place a word is looked for in the text: it may have been spoken in other
words."""


class Heard(Struct, frozen=True, array_like=True):
    """The next of a reply's text, from its beginning, and when it has been heard."""

    text: str
    end_ms: int


def heard_parts(said: str, words: Iterable[Word]) -> list[Heard]:
    """Return a text's parts up to each of its words, and when each has been heard.

    They begin with nothing, which has always been heard: no parts at all mean that nobody knows.

    Args:
        said: the reply as it was written.
        words: its words, in order; a word that is not found near its place is passed over.
    """
    parts, position = [Heard("", 0)], 0
    for word in words:
        place = position
        while said[place : place + 1].isspace():
            place += 1
        near = place + len(word.text) + SEARCHED_CHARS
        found = said.find(word.text, position, near)
        end = found + len(word.text) if found >= 0 else position
        parts.append(Heard(said[position:end], word.end_ms))
        position = end
    return parts


def heard_text(parts: Iterable[Heard], played_ms: float) -> str:
    """Return what had been heard when `played_ms` had been played: up to the last word that had
    ended, from the reply's beginning. A word that had not ended counts as nothing."""
    heard = ""
    for part in parts:
        if part.end_ms > played_ms:
            break
        heard += part.text
    return heard
