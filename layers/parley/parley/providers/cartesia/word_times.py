"""From Cartesia's word times to the times of the clauses' characters.

Cartesia times words, in seconds from the start of a context; an `Alignment` has characters, in ms
from the start of the audio that they come with. The words are those of the transcript with their
punctuation, in scripts without spaces single characters. Some come back in another spelling, and
some clauses have no times at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from parley.audio.word_timing import Alignment
from parley.text.scripts import is_unspaced

_SEARCHED_CHARS = 24
"""How much of the text may have had no times before a word."""


class WordTimes:
    """The times of one context."""

    def __init__(self) -> None:
        self._text = ""
        """What has no times yet, without white space."""
        self._heads: list[bool] = []
        """For each of its characters, whether a word may begin with it."""
        self._submitted: list[int] = []
        """How many of those characters were submitted together, in order."""
        self._chars: list[str] = []
        self._starts_ms: list[float] = []
        self._ends_ms: list[float] = []

    def submit(self, text: str) -> None:
        """Note text that is spoken next."""
        shown = [index for index, char in enumerate(text) if not char.isspace()]
        self._text += "".join(text[index] for index in shown)
        self._heads += [_is_head(text, index) for index in shown]
        self._submitted.append(len(shown))

    def end_submission(self) -> None:
        """Note that the first text that was submitted has been spoken: what of it has no times
        gets none."""
        if self._submitted:
            self._skip(self._submitted.pop(0), counts=False)

    def add(self, words: Sequence[str], starts_s: Sequence[float], ends_s: Sequence[float]) -> None:
        """Take the times of words. Those that are not in the text are passed over."""
        for word, start_s, end_s in zip(words, starts_s, ends_s, strict=False):
            start_ms, end_ms = start_s * 1000, max(start_s, end_s) * 1000
            before, found = self._find("".join(word.split()))
            if not found:
                continue
            # What the voice leaves out between two words has passed when the next one begins.
            self._add(self._text[:before], start_ms, start_ms)
            self._add(self._text[before : before + found], start_ms, end_ms)
            self._skip(before + found)

    def take(self, spoken_ms: float) -> Alignment | None:
        """Return the times that have come since the last audio; None if there are none.

        Args:
            spoken_ms: how much audio of the context came before the audio that they go with.
        """
        if not self._chars:
            return None
        durations = [e - s for s, e in zip(self._starts_ms, self._ends_ms, strict=True)]
        starts = [start - spoken_ms for start in self._starts_ms]
        alignment = Alignment(self._chars, starts, durations)
        self._chars, self._starts_ms, self._ends_ms = [], [], []
        return alignment

    def _find(self, word: str) -> tuple[int, int]:
        """Return where a word begins in the text, and how long it is there; 0 if it is nowhere."""
        searched = self._text[: _SEARCHED_CHARS + len(word)]
        letters = "".join(filter(str.isalnum, word))
        for spelling in filter(None, (word, letters)):
            at = searched.find(spelling)
            while at > 0 and not self._heads[at]:
                at = searched.find(spelling, at + 1)
            if at >= 0:
                return at, len(spelling)
        return 0, 0

    def _add(self, chars: str, start_ms: float, end_ms: float) -> None:
        each_ms = (end_ms - start_ms) / max(len(chars), 1)
        for index, char in enumerate(chars):
            self._chars.append(char)
            self._starts_ms.append(start_ms + index * each_ms)
            self._ends_ms.append(start_ms + (index + 1) * each_ms)

    def _skip(self, count: int, *, counts: bool = True) -> None:
        self._text = self._text[count:]
        del self._heads[:count]
        for index, length in enumerate(self._submitted if counts else ()):
            taken = min(length, count)
            self._submitted[index] -= taken
            count -= taken


def _is_head(text: str, index: int) -> bool:
    before = text[index - 1 : index]
    return not before.isalnum() or is_unspaced(text[index]) or is_unspaced(before)
