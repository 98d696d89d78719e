"""Cuts a streamed reply into pieces for speech.

The first pieces are clauses, so that the first sound is early. Once the listener has enough to
hear, pieces are whole sentences, which sound better. The marks are those of every script that has
some. Abbreviations, initials, ordinals, decimals, times, names with dots and the numbers of lists
are not boundaries. The input and the output are plain text, without a clock or a provider.

The end of the last token may continue in the next: `Node` `.` `js`, `?` `!`, `3` `,` `000`. So
these wait for one more token, or for the reply's end: a full stop or question mark that is a token
of its own, an ellipsis, a quote that closes after a mark, and every mark after a digit or within an
open quote or bracket. These do not wait while the listener waits: commas, colons, exclamation
marks, the marks of other scripts, and a full stop in one token with an ordinary word.

The text that follows shows more: no sentence has ended before a small letter or a comma.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from parley.text.abbreviations import (
    MAX_ORDINAL_DIGITS,
    ORDINAL_LANGUAGES,
    begins_sentence,
    is_abbreviation,
    precedes_number,
    two_letters,
)
from parley.text.scripts import CLAUSE_END, CLOSERS, SENTENCE_END, cluster_start, is_unspaced

MAX_CHARS = 240
"""The longest piece."""

_FULL_STOP = "."
_GOES_ON = "…‥\u055c\u055e"
"""Marks after which another mark, or the rest of the word, often follows."""
_ONLY_BEFORE_SPACE = frozenset(".!?,;:…‥\u037e\u0387\u055c\u055d\u055e")
"""Marks that end nothing within a word: `3.5`, `a:b`. The Armenian ones stand on a vowel."""
_CLOSERS_OF_SOME = {"“": "„”", "‘": "‚’", "«": "»", "‹": "›", "»": "«"}
"""Quotes that close in some languages and open in others. Each closes what one of its partners has
opened."""
_OPENING, _CLOSING = "([{（［「『【《〈｢", ")]}）］」』】》〉｣"
_BETWEEN_DIGITS = frozenset(".,:，：．、،")
"""Marks that may stand within a number: `3.5`, `1,000`, `10:30`. The next token decides."""

_ANY_CLOSER = re.escape(CLOSERS + "".join(_CLOSERS_OF_SOME))
_MARKS = re.escape(SENTENCE_END + CLAUSE_END)
_SPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Thai, Lao, Burmese, Khmer: a space is what a comma is elsewhere."""
_BOUNDARY = re.compile(
    rf"(?P<mark>\.(?:[ \u00a0]\.)+|[{_MARKS}]+|\n+|\s[-–—]+(?=\s)|—"
    rf"|(?<=[{_SPACED}])[ \u200b]+(?=[{_SPACED}]))"
    rf"(?P<closers>(?:[{_ANY_CLOSER}]|[ \u00a0\u202f]»|\[\d{{1,3}}\])*)"
)
_CONJUNCTION = re.compile(r"\s(?=(?:and|but|because|so|which|while|although|when|if)\s)")
_SPEAKABLE = re.compile(r"\w")
_LAST_WORD = re.compile(r"(?:^|[\s(\[{\"'“„«‚‘])([^\s(\[{\"'“„«‚‘]+)$")
_DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.)*[^\W\d_]")
"""An initial or a dotted abbreviation without its last stop: `J`, `e.g`, `p.m`, `U.S`, `Ph.D`."""
_ROMAN = r"(?=[XVI])X{0,3}(?:IX|IV|V?I{0,3})"
_URDU_INITIALS = r"(?:[^\W\d_]۔)*[^\W\d_]"
_NEXT_WORD = r"\s*([^\W\d_]+)"
_LAST_CASED = 0x590
"""Latin, Greek, Cyrillic and Armenian are below it. A sentence begins with a capital in them."""
_BRACKETS = frozenset(")]}")
_SETTLED_CHARS = 16
"""Text this far behind a mark no longer changes what the mark is."""
_ITEM = re.compile(
    r"\s*[(\[]?(?:(\d{1,3})|[^\W\d_]|[一二三四五六七八九十]{1,3}|x{0,3}(?:ix|iv|v?i{0,3})|X{0,3}(?:IX|IV|V?I{0,3}))"
)
"""The number of a list's item, at the start of a piece."""
_SPACED_MIN_CHARS = 12
"""A shorter phrase between spaces is a word or a number, not a clause."""

Verdict = Literal["cut", "go on", "wait"]


class SentenceSplitter:
    """Takes the reply as it streams, and returns pieces as soon as they are complete.

    The pieces, joined, are the input, without white space at their ends.

    Args:
        language: ISO 639 code of the reply's language, if known. In some languages `3.` is an
            ordinal.
        eager_chars: cut at clauses until this many characters have been returned.
        long_clause_chars: after that, cut a clause of this length too.
        max_chars: the longest piece.
        conjunction_chars: cut a first piece of this length before `and`, `because`, …
    """

    def __init__(
        self,
        language: str = "",
        *,
        eager_chars: int = 60,
        long_clause_chars: int = 90,
        max_chars: int = MAX_CHARS,
        conjunction_chars: int = 40,
    ) -> None:
        self._language = two_letters(language)
        self._eager_chars = eager_chars
        self._long_clause_chars = long_clause_chars
        self._max_chars = max_chars
        self._conjunction_chars = conjunction_chars
        self._buffer = self._delta = ""
        self._paragraph = ""
        """The text since the last line break that has been returned. Its quotes may still be
        open."""
        self._item = 0
        """The number of the list's last item; 0 for none."""
        self._handed_over = 0
        self._has_capitals = self._complete = False
        self._settled = 0
        """The buffer has no boundary up to here, whatever follows."""

    def feed(self, delta: str) -> list[str]:
        """Take the next part of the reply. Return the pieces that it completes."""
        self._buffer += delta
        self._delta = delta
        self._has_capitals = self._has_capitals or delta != delta.lower()
        return self._cut_off(complete=False)

    def flush(self) -> list[str]:
        """Return what is left: the reply is complete."""
        pieces = self._cut_off(complete=True)
        piece, self._buffer = self._buffer, ""
        self._hand_over(piece, pieces)
        return pieces

    def _cut_off(self, *, complete: bool) -> list[str]:
        pieces: list[str] = []
        self._complete = complete
        while (cut := self._next_cut(complete=complete)) is not None:
            piece, self._buffer = self._buffer[:cut], self._buffer[cut:]
            self._settled = 0
            self._hand_over(piece, pieces)
        return pieces

    def _hand_over(self, piece: str, pieces: list[str]) -> None:
        line_break = piece.rfind("\n")
        self._paragraph = self._paragraph + piece if line_break < 0 else piece[line_break + 1 :]
        if _SPEAKABLE.search(piece):
            pieces.append(piece.strip())
            self._handed_over += len(piece)

    def _next_cut(self, *, complete: bool) -> int | None:
        for match in _BOUNDARY.finditer(self._buffer, self._settled):
            if match.end() > self._max_chars:
                break
            if not _SPEAKABLE.search(self._buffer, 0, match.start()):
                continue
            end = match.end() - len(match["closers"]) + self._closing(match)
            verdict = self._judge(match, end)
            if verdict == "cut" or (verdict == "wait" and complete and end < len(self._buffer)):
                return end
            if verdict == "wait":
                break
            if match.end() + _SETTLED_CHARS < len(self._buffer):
                self._settled = match.end()
        return self._forced_cut()

    def _closing(self, match: re.Match[str]) -> int:
        """Return how many of the quotes and brackets after a mark belong to what it ends."""
        closers, before = match["closers"], self._paragraph + self._buffer[: match.start()]
        for count, char in enumerate(closers):
            following = self._buffer[match.end() - len(closers) + count + 1 :][:1]
            if char == '"' and following.isalnum() and before.count('"') % 2 == 0:
                return count
            opening = _CLOSERS_OF_SOME.get(char)
            if opening and not sum(map(before.count, opening)) > before.count(char):
                return count if not closers[:count].isspace() else 0
        return len(closers)

    def _judge(self, match: re.Match[str], end: int) -> Verdict:
        mark, before = match["mark"], self._buffer[: match.start()]
        following = self._buffer[end : end + 1]
        if "\n" in mark:
            return "cut"
        if mark.isspace() or mark == "\u200b":
            return self._as_clause(end) if len(before.strip()) >= _SPACED_MIN_CHARS else "go on"
        if mark in _BETWEEN_DIGITS and before[-1:].isdigit() and following.isdigit():
            return "go on"
        if mark in "、।۔" and (item := _ITEM.fullmatch(before)) and (mark == "、" or item[1]):
            return "go on" if following else "wait"
        if not following:
            return self._at_the_end(mark, before, match["closers"])
        if not self._ends_word(mark, following):
            return "go on"
        if mark[-1] in SENTENCE_END or (mark[-1] == ";" and self._language == "el"):
            return self._as_sentence(mark, before, end)
        if mark == "," and before[-1:].isspace():
            return "go on"
        return self._as_clause(end)

    def _at_the_end(self, mark: str, before: str, closers: str) -> Verdict:
        """Judge a mark with nothing behind it yet: more of it may follow."""
        waits = mark[-1] in _GOES_ON or (before[-1:].isdigit() and mark[-1] in _BETWEEN_DIGITS)
        if mark[-1] in ".?" and not closers:
            waits = waits or not self._came_with_a_word(mark, before)
        if mark[-1] in ".?!":  # `Yahoo! is`, `“Is it?” he said`, `!` `!`
            waits = waits or not _BRACKETS.issuperset(closers)
            waits = waits or self._handed_over >= self._eager_chars
        if waits or (not closers and self._is_within_quotes(before)):
            return "wait"
        if mark[-1] in SENTENCE_END:
            return self._as_sentence(mark, before, len(self._buffer))
        if mark == "," and before[-1:].isspace():
            return "go on"
        return self._as_clause(len(self._buffer))

    def _came_with_a_word(self, mark: str, before: str) -> bool:
        """Return whether the last token is a mark with an ordinary word in front, not part of a
        name."""
        word = _LAST_WORD.search(before)
        ordinary = word is not None and word[1].isalpha() and word[1].islower()
        ordinary = ordinary and not _precedes_numbers(before)
        return ordinary and len(self._delta) > len(mark)

    def _is_within_quotes(self, before: str) -> bool:
        text = self._paragraph + before
        count = text.count
        if count('"') % 2 or any(
            count(opening) > count(closing)
            for opening, closing in zip(_OPENING, _CLOSING, strict=True)
        ):
            return True
        if text.isascii():
            return False
        low = "„" in text  # „so“, where others write “so”
        if count("„") > count("“") + count("”") if low else count("“") > count("”"):
            return True
        return count("«") != count("»") or count("‹") != count("›")

    def _ends_word(self, mark: str, following: str) -> bool:
        if following.isspace() or mark[-1] == "—" or mark[-1] not in _ONLY_BEFORE_SPACE:
            return True
        return is_unspaced(following) or unicodedata.category(following) == "So"  # an emoji

    def _as_clause(self, end: int) -> Verdict:
        eager = self._handed_over < self._eager_chars
        return "cut" if eager or end >= self._long_clause_chars else "go on"

    def _as_sentence(self, mark: str, before: str, end: int) -> Verdict:
        rest = self._buffer[end:]
        following = rest.lstrip()[:1]
        open_end = bool(rest) and not following and "\n" not in rest
        if open_end and mark[-1] == _FULL_STOP and self._delta.isspace():
            return "wait"  # `. . .` with its spaces as tokens
        if self._goes_on(mark, before, rest):
            return "go on"
        if mark != _FULL_STOP:
            return "cut"
        if before[-1:].isspace():
            return "go on"  # `.NET`, ` .5`: a stop after white space ends nothing
        tells = before[-1:].islower() and not _precedes_numbers(before)
        if open_end and not tells:
            return "wait"  # the next word tells an ordinal from a number
        if following == "." and "\n" not in rest:
            return "wait" if not rest.strip(" \u00a0.") else "go on"
        if self._is_abbreviation(before, following):
            return "go on"
        return self._behind_number(before, rest)

    def _goes_on(self, mark: str, before: str, rest: str) -> bool:
        """Return whether the text after a mark continues the sentence: a comma, a small letter."""
        following = rest.lstrip()[:1]
        if mark == "។":
            return rest.startswith("ល។")  # "and so on", in Khmer
        if mark == "۔":
            word = _LAST_WORD.search(before)
            return word is not None and re.fullmatch(_URDU_INITIALS, word[1]) is not None
        if not following:
            return False
        if following in ",،":
            return True
        if mark != _FULL_STOP and mark[-1] not in "?!":
            return False
        # Some replies have no capitals: then a small letter shows nothing.
        return self._has_capitals and following.islower() and ord(following) < _LAST_CASED

    def _is_abbreviation(self, before: str, following: str) -> bool:
        match = _LAST_WORD.search(before)
        if match is None:
            return False
        if _DOTTED.fullmatch(match[1]):
            return True
        if following.isdigit() and _precedes_numbers(before):
            return True
        return is_abbreviation(match[1], self._language)

    def _behind_number(self, before: str, rest: str) -> Verdict:
        """Judge a full stop after a number: the number may be an ordinal, or a list item's."""
        if item := _ITEM.fullmatch(before):
            self._item = int(item[1] or 0)
            return "go on"
        word = _LAST_WORD.search(before)
        number = word[1] if word is not None else ""
        if number.isdecimal() and len(number) <= MAX_ORDINAL_DIGITS:
            if rest.lstrip()[:1].islower() or 0 < self._item == int(number) - 1:
                return "go on"
        elif not re.fullmatch(_ROMAN, number):
            return "cut"
        return self._behind_ordinal(number, rest) if self._language in ORDINAL_LANGUAGES else "cut"

    def _behind_ordinal(self, number: str, rest: str) -> Verdict:
        """Judge a full stop where a number with a full stop may be an ordinal."""
        word = re.match(_NEXT_WORD, rest)
        if word is None or not word[1][0].isupper():
            return "go on"
        decided = begins_sentence(word[1], self._language)
        if decided is None:  # a capital begins a sentence; after a Roman number, a name
            return "cut" if number.isdecimal() else "go on"
        if word.end() == len(rest) and not self._complete:
            return "wait"
        return "cut" if decided else "go on"

    def _forced_cut(self) -> int | None:
        if self._handed_over == 0 and len(self._buffer) > self._conjunction_chars:
            match = _CONJUNCTION.search(self._buffer, self._conjunction_chars)
            if match and match.start() <= self._max_chars:
                return match.start()
        if len(self._buffer) <= self._max_chars:
            return None
        space = self._buffer.rfind(" ", 0, self._max_chars)
        return (
            space if space > 0 else cluster_start(self._buffer, self._max_chars) or self._max_chars
        )


def _precedes_numbers(before: str) -> bool:
    match = _LAST_WORD.search(before)
    return match is not None and precedes_number(match[1])
