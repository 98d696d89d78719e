"""When each word of a reply sounds, and so which words a listener heard.

The synthesizer times characters; this turns them into words on the reply's own
timeline. It knows nothing of how the times were obtained.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from parley.protocol import Word


@dataclass(frozen=True, slots=True)
class Alignment:
    """Characters and when they sound, in ms from the start of the audio they came with.

    Attributes:
        exact: the characters are those of the clauses, not of a version made for speaking.
    """

    chars: Sequence[str]
    starts_ms: Sequence[float]
    durations_ms: Sequence[float]
    exact: bool = True


class WordTimer:
    """Collects timed characters and gives back words, with times from the reply's start."""

    def __init__(self) -> None:
        self._text = ""
        self._start_ms = 0.0
        self._end_ms = 0.0
        self._timed = 0
        self._clauses_end: deque[int] = deque()
        self._expected = 0

    def expect(self, clause: str) -> None:
        """Text that is about to be spoken; its end ends a word, whatever the alignment says.

        A synthesizer may leave out the white space between two clauses.
        """
        self._expected += sum(not char.isspace() for char in clause)
        self._clauses_end.append(self._expected)

    def add(self, alignment: Alignment, offset_ms: float) -> list[Word]:
        """Characters of audio that starts `offset_ms` into the reply; the words they end."""
        words: list[Word] = []
        for char, start, duration in zip(
            alignment.chars, alignment.starts_ms, alignment.durations_ms, strict=False
        ):
            if char.isspace():
                words += self.flush()
                continue
            if not self._text:
                self._start_ms = offset_ms + start
            self._text += char
            self._end_ms = offset_ms + start + duration
            self._timed += 1
            if alignment.exact and self._at_end_of_clause():
                words += self.flush()
        return words

    def flush(self) -> list[Word]:
        """The word that nothing has ended yet, if any."""
        if not self._text:
            return []
        word = Word(self._text, round(self._start_ms), round(self._end_ms))
        self._text = ""
        return [word]

    def _at_end_of_clause(self) -> bool:
        while self._clauses_end and self._clauses_end[0] < self._timed:
            self._clauses_end.popleft()
        return bool(self._clauses_end) and self._clauses_end[0] == self._timed


def heard_text(words: Iterable[Word], played_ms: float) -> str:
    """The words whose audio had ended when `played_ms` had been played."""
    return " ".join(word.text for word in words if word.end_ms <= played_ms)
