"""Cuts a streamed reply into pieces worth speaking.

The first pieces are clauses, so that the first sound is early; once enough has
been handed over to keep the listener busy, pieces are whole sentences, which
sound better. Abbreviations, initials, decimals, times and host names are not
boundaries. Plain text in, plain text out: no clock, no provider.
"""

from __future__ import annotations

import re

_SENTENCE_END = ".!?…。！？"
_CLAUSE_END = ",;:，、；："
_CLOSERS = "\"'”’)]»"
_NEEDS_NO_SPACE = "。！？，、；："

_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:dr|mr|mrs|ms|prof|st|sr|jr|gen|col|capt|lt|sgt|rev|hon|gov|sen|rep|pres"
    r"|mt|ft|vol|fig|approx|dept|est|inc|ltd|co|corp|bros|vs|cf|eds|pp)$",
    re.IGNORECASE,
)
"""Words whose full stop is not the end of a sentence, whatever follows."""
_DOTTED = re.compile(r"(?:^|[\s(\"'])(?:[A-Za-z]\.)*[A-Za-z]\.$")
"""An initial or a dotted abbreviation: `J.`, `e.g.`, `p.m.`, `U.S.`"""
_BOUNDARY = re.compile(
    rf"(?P<mark>[{re.escape(_SENTENCE_END + _CLAUSE_END)}]+|\n+|\s[-–—]+(?=\s)|—)"
    rf"(?P<closers>[{re.escape(_CLOSERS)}]*)"
)
_CONJUNCTION = re.compile(r"\s(?=(?:and|but|because|so|which|while|although|when|if)\s)")
_SPEAKABLE = re.compile(r"\w")


class ClauseSplitter:
    """Feed it the reply as it streams; it gives back pieces as soon as they are whole.

    The pieces, joined, are the text that went in (white space at their ends aside).

    Args:
        eager_chars: until this many characters were handed over, cut at clauses.
        long_clause_chars: later, a clause this long is cut too.
        max_chars: a piece never grows past this many characters.
        conjunction_chars: a first piece this long is cut before `and`, `because`, …
    """

    def __init__(
        self,
        *,
        eager_chars: int = 60,
        long_clause_chars: int = 90,
        max_chars: int = 240,
        conjunction_chars: int = 40,
    ) -> None:
        self._eager_chars = eager_chars
        self._long_clause_chars = long_clause_chars
        self._max_chars = max_chars
        self._conjunction_chars = conjunction_chars
        self._buffer = ""
        self._handed_over = 0

    def feed(self, delta: str) -> list[str]:
        """Take the next bit of the reply; return the pieces it completes."""
        self._buffer += delta
        pieces: list[str] = []
        while (cut := self._next_cut()) is not None:
            piece, self._buffer = self._buffer[:cut], self._buffer[cut:]
            self._hand_over(piece, pieces)
        return pieces

    def flush(self) -> list[str]:
        """The reply is complete: return what is left."""
        pieces: list[str] = []
        piece, self._buffer = self._buffer, ""
        self._hand_over(piece, pieces)
        return pieces

    def _hand_over(self, piece: str, pieces: list[str]) -> None:
        if _SPEAKABLE.search(piece):
            pieces.append(piece.strip())
            self._handed_over += len(piece)

    def _next_cut(self) -> int | None:
        for match in _BOUNDARY.finditer(self._buffer):
            if not _SPEAKABLE.search(self._buffer, 0, match.start()):
                continue
            if self._is_boundary(match):
                return match.end()
        return self._forced_cut()

    def _is_boundary(self, match: re.Match[str]) -> bool:
        mark, before, after = match["mark"], self._buffer[: match.start()], match.end()
        following = self._buffer[after : after + 1]
        if "\n" in mark:
            return True
        if mark[-1] in _SENTENCE_END:
            return _ends_sentence(before, mark, following)
        if following and not following.isspace() and mark[-1] not in _NEEDS_NO_SPACE + "—":
            return False
        if not following and before[-1:].isdigit():
            return False
        return self._handed_over < self._eager_chars or match.end() >= self._long_clause_chars

    def _forced_cut(self) -> int | None:
        if self._handed_over == 0 and len(self._buffer) > self._conjunction_chars:
            match = _CONJUNCTION.search(self._buffer, self._conjunction_chars)
            if match:
                return match.start()
        if len(self._buffer) > self._max_chars:
            space = self._buffer.rfind(" ", 0, self._max_chars)
            return space if space > 0 else self._max_chars
        return None


def _ends_sentence(before: str, mark: str, following: str) -> bool:
    if following and not following.isspace() and mark[-1] not in _NEEDS_NO_SPACE:
        return False
    if mark != ".":
        return True
    if before[-1:].isdigit() and not following:
        return False
    return not _DOTTED.search(before + ".") and not _ABBREVIATION.search(before)
