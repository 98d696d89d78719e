"""When each word of a reply sounds, and so how much of it a listener has heard.

The synthesizer times the characters that it was given. This module turns them into words of the
reply as it was written, on the reply's own timeline. In scripts without spaces a word is a
character.

Where the synthesizer gives no times, they are estimated: the words of a clause are spread over its
audio by their length. An estimate is always told apart from a time that the synthesizer gave.

The words, one after another, are the written text without its white space. What is not spoken (the
mark of a heading, a block of code) is a word that ends with the next one that sounds: until then
nothing of it has been heard.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from parley.audio.heard import SEARCHED_CHARS, EstimatedWord
from parley.protocol.messages import Word
from parley.text.scripts import unit_ends
from parley.text.spoken_text import SpokenText

_MISSED_CHARS = 8
"""How many characters the synthesizer may skip and still be matched."""
_LEAST_NEEDLE, _NEEDLE = 4, 16
"""How many characters must, and at most do, fit where times begin again after audio without."""
MS_PER_CHAR = 80.0
"""How long a character sounds, white space not counted, of a voice that has shown no pace of its
own. 150 words a minute, as audiobooks are read (Audible's ACX: 150 to 160), with five characters in
an English word. A voice that is quicker has said more than is estimated, not less."""
_WIDE_CHARS = 2.4
"""How many times as long a Han, kana or Hangul character sounds: it is a syllable, and five are
spoken in a second (Pellegrino et al., Language 87, 2011: 5.2 of Mandarin, 6.2 of English)."""


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


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the clauses another voice goes on: in which, counted from 0, and at which
    character."""

    clause: int
    char: int


class WordTimer:
    """Collects timed characters and audio, and returns words with times from the reply's start.

    Args:
        spoken: what is spoken of the reply.

    Attributes:
        timed: whether the time of anything is known, or estimated.
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
        self._clauses: list[tuple[int, int]] = []
        """Of each clause, its first character, and its place in the spoken text."""
        self._clause = 0
        """The clause that sounds, as far as the synthesizer says when one ends."""
        self._audio_ms = 0.0
        self._clause_from_ms = 0.0
        self._untimed_from_ms: float | None = None
        """Where audio began whose characters have no times; None if all have."""
        self._has_untimed = False
        self._paced_chars = self._paced_ms = 0.0
        """Characters whose times are known, and how long they sound."""
        self.timed = False

    def start_at(self, audio_ms: float) -> None:
        """Note where in the reply's audio these words begin, before any audio of theirs.

        Other words may have been spoken before them.
        """
        self._start_ms = self._end_ms = self._audio_ms = self._clause_from_ms = audio_ms

    def expect(self, clause: str) -> None:
        """Note a clause that is about to be spoken. Its end ends a word in any case.

        A synthesizer may omit the white space between two clauses.
        """
        begin = self._spoken.text.find(clause, self._expected_to)
        assert begin >= 0, "clauses are cut from the spoken text"
        self._expected_to = begin + len(clause)
        self._clauses.append((len(self._chars), begin))
        ends = set(unit_ends(clause))
        for index, char in enumerate(clause):
            if not char.isspace():
                self._chars.append(char)
                self._places.append(begin + index)
                self._is_last.append(index + 1 in ends)

    def add(
        self, alignment: Alignment | None, offset_ms: float, duration_ms: float = 0.0
    ) -> list[Word]:
        """Take audio that starts `offset_ms` into the reply, and its characters if it has any.
        Return words that end.

        A word is known when its last character is. A word whose audio breaks off is never known.
        """
        words: list[Word] = []
        self._audio_ms = max(self._audio_ms, offset_ms + duration_ms)
        skipped = 0 if alignment is None or not alignment.chars else self._find_again(alignment)
        if alignment is None or not alignment.chars or skipped is None:
            if duration_ms and self._untimed_from_ms is None:
                self._untimed_from_ms = offset_ms
            self._has_untimed = self._has_untimed or bool(duration_ms)
            return words
        if self._untimed_from_ms is not None and skipped:
            until_ms = offset_ms + alignment.starts_ms[0]
            words += self._spread(self._next + skipped, self._untimed_from_ms, until_ms)
        self._untimed_from_ms = None
        before, self._is_exact = self._next, alignment.exact
        for text, start, duration in zip(
            alignment.chars, alignment.starts_ms, alignment.durations_ms, strict=False
        ):
            self.timed = True
            times_ms = offset_ms + start, offset_ms + start + duration
            for char in text or " ":
                words += (self._char if alignment.exact else self._other_char)(char, *times_ms)
        self._note_pace(before, self._next, self._end_ms - offset_ms)
        return words

    def end_clause(self) -> list[Word]:
        """Note that the audio of a clause is over. Return words that end with it, as an estimate
        where they have no times."""
        words: list[Word] = []
        end = self._clause_end(self._clause)
        if self._is_exact or self._untimed_from_ms is not None:
            if self._is_to_come(end):
                words = self._spread(end, self._uncovered_from_ms(), self._audio_ms)
            self._untimed_from_ms = None
        self._clause = min(self._clause + 1, len(self._clauses))
        self._clause_from_ms = self._audio_ms
        return words

    def finish(self) -> list[Word]:
        """Return what is left when everything has been spoken: words without times, marks, and what
        made no sound."""
        words: list[Word] = []
        if self._has_untimed and (self._is_exact or self._untimed_from_ms is not None):
            words += self._find_other()
            if self._is_to_come(len(self._chars)):
                words += self._spread(len(self._chars), self._uncovered_from_ms(), self._audio_ms)
            self._untimed_from_ms = None
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

    def estimate_stopped(self, *, broke_off: bool = False) -> list[Word]:
        """Return the words of audio without times, of a voice that was stopped before it said how
        long they are. Call it once, at the end.

        Args:
            broke_off: whether the voice did so itself. Then the word in which it did has not been
                said; otherwise that one would have ended later.
        """
        words: list[Word] = []
        if self._untimed_from_ms is not None:
            words = self._advance(whole_word=not broke_off)
        self._untimed_from_ms = None
        return words

    def break_off(self) -> tuple[list[Word], Place]:
        """Note that the voice has broken off, and another one is to go on.

        Returns:
            The words that have been spoken besides those that were returned before; and where the
            other voice goes on: at the first word that has not been spoken to its end.
        """
        words = self._find_other()
        if self._untimed_from_ms is not None:
            words += self._advance()
        if self._word_from is not None:
            last = self._is_last.index(True, max(self._next - 1, self._word_from))
            if self._next > self._word_from and not self._is_to_come(last + 1):
                self._next = last + 1  # all of it but a mark has sounded
                words += self._end_word(last)
            else:
                self._next, self._word_from = self._word_from, None
        self._unfound, self._is_exact = "", True
        self._untimed_from_ms = None
        self._paced_chars = self._paced_ms = 0.0  # the other voice has its own
        self._end_ms = max(self._end_ms, self._audio_ms)
        place = self._go_on()
        self._clause, self._clause_from_ms = place.clause, self._audio_ms
        return words, place

    def _go_on(self) -> Place:
        """Go to the next character that sounds, and return where it is; behind all clauses if there
        is none."""
        clauses = range(len(self._clauses))
        for clause in clauses:
            first, end = self._clauses[clause][0], self._clause_end(clause)
            begin = max(first, self._next)
            if any(map(str.isalnum, self._chars[begin:end])):
                self._next = begin
                return Place(clause, self._places[begin] - self._clauses[clause][1])
        return Place(len(clauses), 0)

    def _clause_end(self, clause: int) -> int:
        later = self._clauses[clause + 1 : clause + 2]
        return later[0][0] if later else len(self._chars)

    # --- estimates ----------------------------------------------------------------------

    def _uncovered_from_ms(self) -> float:
        """Return where the audio begins whose characters are not known."""
        if self._untimed_from_ms is not None:
            return self._untimed_from_ms
        return min(max(self._end_ms, self._clause_from_ms), self._audio_ms)

    def _find_again(self, alignment: Alignment) -> int | None:
        """Return how many characters have sounded in audio without times when they begin again;
        None if that cannot be told, so that these times tell nothing either."""
        if self._untimed_from_ms is None or not alignment.exact:
            return 0
        needle = "".join("".join(alignment.chars).split())[:_NEEDLE]
        at = "".join(self._chars[self._next :]).find(needle)
        return at if at == 0 or (at > 0 and len(needle) >= _LEAST_NEEDLE) else None

    def _spread(self, end: int, begin_ms: float, end_ms: float) -> list[Word]:
        """Return the words up to a character, spread over so much audio by their length."""
        weights = [_weight(char) for char in self._chars[self._next : end]]
        whole = sum(weights)
        self._note_pace(self._next, end, end_ms - begin_ms)
        words: list[Word] = []
        so_far = 0.0
        for weight in weights:
            start = begin_ms + (end_ms - begin_ms) * so_far / whole
            so_far += weight
            words += self._take(self._next, start, begin_ms + (end_ms - begin_ms) * so_far / whole)
        self.timed = self.timed or bool(weights)
        return [EstimatedWord(word.text, word.start_ms, word.end_ms) for word in words]

    def _advance(self, *, whole_word: bool = False) -> list[Word]:
        """Return the words that sound in the audio without times, at the pace of this voice.

        Args:
            whole_word: whether the last one may end behind the audio.
        """
        begin_ms = self._uncovered_from_ms()
        ms_per_char = self._paced_ms / self._paced_chars if self._paced_ms else MS_PER_CHAR
        end, at_ms = self._next, begin_ms
        while end < len(self._chars):
            length_ms = _weight(self._chars[end]) * ms_per_char
            # The sum of many lengths misses the end of the audio by a rounding error.
            sounds = at_ms + length_ms <= self._audio_ms + 0.5
            within_word = end > 0 and not self._is_last[end - 1]
            if not sounds and not (whole_word and (at_ms < self._audio_ms or within_word)):
                break
            at_ms, end = at_ms + length_ms, end + 1
        return self._spread(end, begin_ms, at_ms)

    def _note_pace(self, begin: int, end: int, length_ms: float) -> None:
        if end > begin and length_ms > 0:
            self._paced_chars += sum(map(_weight, self._chars[begin:end]))
            self._paced_ms += length_ms

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
        return self._take(found, start_ms, end_ms)

    def _take(self, found: int, start_ms: float, end_ms: float) -> list[Word]:
        """Note when a character sounds. Return the words that end."""
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


def _weight(char: str) -> float:
    """Return how long a character sounds, in letters."""
    # Below these code points none is wide.
    if char < "\u1100" or unicodedata.east_asian_width(char) not in "WF":
        return 1.0
    return _WIDE_CHARS if char.isalnum() else 1.0
