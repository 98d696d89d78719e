"""Which words of a text a piece of its phonemes belongs to.

hibari writes a text out before it reads it ("8:05" becomes "eight oh five"), so the words that it
says are others than those of the text. Words that both have are found again; what is between two of
them is said while these are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word as hibari says it.

    Attributes:
        text: as hibari has written it out.
        first, end: of its phonemes, without the marks behind it.
    """

    text: str
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word of the text, and when it sounds.

    Attributes:
        position: its first character.
        length: how many characters it has.
        start, end: in the unit of the times that were given.
    """

    position: int
    length: int
    start: float
    end: float


def place_words(
    text: str, spoken: Sequence[SpokenWord], times: Sequence[float]
) -> Iterator[PlacedWord]:
    """Yield the words of a text that sound, in order.

    Args:
        text: what was asked for.
        spoken: what is said of it.
        times: when each phoneme begins, and at last when the last one ends.
    """
    words = [_core(match) for match in _WORD.finditer(text)]
    matcher = SequenceMatcher(
        None,
        [_key(word.text) for word in spoken],
        [_key(text[first:end]) for first, end in words],
        autojunk=False,
    )
    for same, from_spoken, to_spoken, from_word, to_word in matcher.get_opcodes():
        if from_spoken == to_spoken or from_word == to_word:
            continue  # a sign that is not read, or a word that the text leaves out
        group = words[from_word:to_word]
        if same == "equal":
            for (first, end), word in zip(group, spoken[from_spoken:to_spoken], strict=True):
                yield PlacedWord(first, end - first, times[word.first], times[word.end])
        else:
            start, over = times[spoken[from_spoken].first], times[spoken[to_spoken - 1].end]
            yield from _shared(group, start, over)


def _shared(group: Sequence[tuple[int, int]], start: float, end: float) -> Iterator[PlacedWord]:
    """Share a time among words by their lengths."""
    characters = sum(over - first for first, over in group)
    before = 0
    for first, over in group:
        length = over - first
        begins = start + (end - start) * before / characters
        before += length
        yield PlacedWord(first, length, begins, start + (end - start) * before / characters)


def _core(match: re.Match[str]) -> tuple[int, int]:
    """Return where a word is without the marks around it; of marks alone, where they are."""
    first, end = match.span()
    marks = [at for at, sign in enumerate(match.group()) if sign.isalnum()]
    return (first + marks[0], first + marks[-1] + 1) if marks else (first, end)


def _key(word: str) -> str:
    return "".join(sign for sign in word.lower() if sign.isalnum()) or word
