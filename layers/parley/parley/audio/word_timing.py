"""When each word of a reply sounds, and so how much of it a listener has heard.

The synthesizer times the characters that it was given. This module turns them into words of the
reply as it was written, on the reply's own timeline. In scripts without spaces a word is a
character.

The words, one after another, are the written text without its white space. What is not spoken (the
mark of a heading, a block of code) is a word that ends with the next one that sounds: until then
nothing of it has been heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parley.audio.heard import SEARCHED_CHARS
from parley.protocol.messages import Word
from parley.text.scripts import unit_ends
from parley.text.spoken_text import SpokenText

_MISSED_CHARS = 8
"""How many characters the synthesizer may skip and still be matched."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Characters and when they sound, in ms from the start of the audio that they came with.

    Attributes:
        exact: whether the characters are those of the clauses, not of a version made for speaking.
    """

    chars: Sequence[str]
    starts_ms: Sequence[float]
    durations_ms: Sequence[float]
    exact: bool = True


class WordTimer:
    """Collects timed characters, and returns words with times from the reply's start.

    Args:
        spoken: what is spoken of the reply.

    Attributes:
        timed: whether the synthesizer has sent any times.
    """

    def __init__(self, spoken: SpokenText) -> None:
        self._spoken = spoken
        self._expected_to = 0
        self._chars: list[str] = []
        self._places: list[int] = []
        """For each character that will be spoken, its place in the spoken text."""
        self._is_last: list[bool] = []
        """For each character, whether it is the last of a word."""
        self._next = 0
        self._word_from: int | None = None
        """The first character of the word that has begun; None between words."""
        self._written_to = 0
        self._start_ms = self._end_ms = 0.0
        self._marks: list[Word] = []
        """Words without a letter (a dash, an emoji). They end with the word behind them."""
        self._unfound = ""
        self._is_exact = True
        self.timed = False

    def expect(self, clause: str) -> None:
        """Note a clause that is about to be spoken. Its end ends a word in any case.

        A synthesizer may omit the white space between two clauses.
        """
        begin = self._spoken.text.find(clause, self._expected_to)
        assert begin >= 0, "clauses are cut from the spoken text"
        self._expected_to = begin + len(clause)
        ends = set(unit_ends(clause))
        for index, char in enumerate(clause):
            if not char.isspace():
                self._chars.append(char)
                self._places.append(begin + index)
                self._is_last.append(index + 1 in ends)

    def add(self, alignment: Alignment, offset_ms: float) -> list[Word]:
        """Take characters of audio that starts `offset_ms` into the reply. Return words that end.

        A word is known when its last character is. A word whose audio breaks off is never known.
        """
        words: list[Word] = []
        for text, start, duration in zip(
            alignment.chars, alignment.starts_ms, alignment.durations_ms, strict=False
        ):
            self.timed, self._is_exact = True, alignment.exact
            times_ms = offset_ms + start, offset_ms + start + duration
            for char in text or " ":
                words += (self._char if alignment.exact else self._other_char)(char, *times_ms)
        return words

    def finish(self) -> list[Word]:
        """Return what is left when everything has been spoken: marks, and what made no sound."""
        words: list[Word] = []
        if not self.timed:
            return words
        words += self._find_other()
        if self._word_from is not None:
            last = self._is_last.index(True, max(self._next - 1, self._word_from))
            if self._is_exact and self._is_to_come(last + 1):
                return words
            self._next = last + 1
            words += self._end_word(last)
        if self._is_exact and self._is_to_come(len(self._chars)):
            return words
        return (
            words
            + self._marks
            + self._unspoken(len(self._spoken.written), self._end_ms, self._end_ms)
        )

    def _is_to_come(self, end: int) -> bool:
        """Return whether some character before `end` that sounds has no time yet."""
        return any(map(str.isalnum, self._chars[self._next : end]))

    # --- one character, one word ------------------------------------------------------

    def _char(self, char: str, start_ms: float, end_ms: float) -> list[Word]:
        if char.isspace():
            return self._find_other() if self._unfound else []
        try:
            found = self._chars.index(char, self._next, self._next + _MISSED_CHARS)
        except ValueError:
            return []  # not in the text: the times around it are enough
        words: list[Word] = []
        skipped = range(self._next, found)
        if self._word_from is not None and (ended := [n for n in skipped if self._is_last[n]]):
            words += self._end_word(ended[0])
        if self._word_from is None:
            self._word_from, self._start_ms = self._first_of_word(found), start_ms
        self._end_ms = end_ms
        self._next = found + 1
        return words + (self._end_word(found) if self._is_last[found] else [])

    def _first_of_word(self, index: int) -> int:
        while index > 0 and not self._is_last[index - 1]:
            index -= 1
        return index

    def _end_word(self, last: int) -> list[Word]:
        assert self._word_from is not None, "it has begun"
        begun, self._word_from = self._word_from, None
        first = self._places[begun]
        head = self._spoken.written[self._written_to : self._spoken.start(first)]
        begin = self._written_to + len(head)
        while begin > self._written_to and not self._spoken.written[begin - 1].isspace():
            begin -= 1  # marks in front of a word belong to it
        words = self._unspoken(begin, self._start_ms, self._end_ms)
        end = self._spoken.end(self._places[last])
        text = self._spoken.written[begin:end].strip()
        self._written_to = max(end, begin)
        words += [Word(text, round(self._start_ms), round(self._end_ms))] if text else []
        if not any(map(str.isalnum, self._chars[begun : last + 1])):
            self._marks += words
            return []
        ended = [Word(mark.text, mark.start_ms, round(self._end_ms)) for mark in self._marks]
        self._marks = []
        return ended + words

    def _unspoken(self, end: int, start_ms: float, end_ms: float) -> list[Word]:
        text = self._spoken.written[self._written_to : end].strip()
        self._written_to = max(end, self._written_to)
        return [Word(text, round(start_ms), round(end_ms))] if text else []

    # --- a version made for speaking ----------------------------------------------------

    def _other_char(self, char: str, start_ms: float, end_ms: float) -> list[Word]:
        """Take a character of an alignment in other words: match where both versions agree."""
        if char.isspace():
            return self._find_other()
        if not self._unfound and self._word_from is None:
            self._start_ms = start_ms
        self._unfound += char
        self._end_ms = end_ms
        return []

    def _find_other(self) -> list[Word]:
        """Find the last word of the other version in the text. What was not found belongs to it."""
        word, self._unfound = self._unfound, ""
        if not word:
            return []
        stop = min(self._next + SEARCHED_CHARS + len(word), len(self._chars))
        text = "".join(self._chars[self._next : stop])
        at = text.find(word)
        if self._word_from is None:
            self._word_from = self._next if self._next < len(self._chars) else None
        if at < 0 or self._word_from is None or not self._is_last[self._next + at + len(word) - 1]:
            return []
        self._next += at + len(word)
        return self._end_word(self._next - 1)
