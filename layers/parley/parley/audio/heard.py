"""How much of a reply was heard: its beginning, up to the last word whose sound had ended.

The rule is the protocol's, and every client has it too (docs/protocol.md, "What was heard"). The
cases that server and clients share are in tests/heard.json.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from parley.protocol.messages import Word

SEARCHED_CHARS = 40
"""How far behind its expected place a word is searched for in the text. The synthesizer may have
spoken other words."""


class EstimatedWord(Word, frozen=True, array_like=True):
    """A word whose end is estimated: the synthesizer gave no time for it."""


class Heard(Struct, frozen=True, array_like=True):
    """The next part of a reply's text, when its sound has ended, and whether that is estimated."""

    text: str
    end_ms: int
    estimated: bool = False


def split_heard(said: str, words: Iterable[Word]) -> list[Heard]:
    """Return a text's parts up to each of its words, and when each has been heard.

    The first part is empty, and has always been heard. An empty list means that the times are
    unknown.

    Args:
        said: the reply as it was written.
        words: its words, in order. A word that is not found near its place is skipped.
    """
    parts, position = [Heard("", 0)], 0
    for word in words:
        place = position
        while said[place : place + 1].isspace():
            place += 1
        near = place + len(word.text) + SEARCHED_CHARS
        found = said.find(word.text, position, near)
        end = found + len(word.text) if found >= 0 else position
        parts.append(Heard(said[position:end], word.end_ms, isinstance(word, EstimatedWord)))
        position = end
    return parts


def heard_text(parts: Iterable[Heard], played_ms: float) -> str:
    """Return the beginning of the reply that was heard when `played_ms` had been played.

    It ends with the last word that had ended. A word that had not ended counts as nothing.
    """
    heard = ""
    for part in parts:
        if part.end_ms > played_ms:
            break
        heard += part.text
    return heard


def is_estimated(parts: Iterable[Heard], played_ms: float) -> bool:
    """Return whether it is an estimate what was heard: the end of the last part that was, or of the
    first that was not, is one."""
    last = Heard("", 0)
    for part in parts:
        if part.end_ms > played_ms:
            return last.estimated or part.estimated
        last = part
    return last.estimated
