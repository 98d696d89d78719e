"""When what was said could be heard: kept with each message, for transcripts with times.

A reply's words have their times one by one; a message keeps them by the line, which is what
a caption needs and a tenth of the size.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from parley.audio.heard import heard_parts
from parley.protocol.messages import Word
from parley.text.scripts import CLOSERS, SENTENCE_END

LINE_CHARS = 84
"""Two lines of 42 characters, what captions usually show at a time; of wide ones (Han, kana,
Hangul) half as many."""
LINE_MS = 7_000
"""How long a caption usually stays, at most."""
_ENDS_A_LINE = SENTENCE_END + ";:；：\u061b"
_BEHIND_MARKS = CLOSERS + "»“*_~`"


class Cue(msgspec.Struct, frozen=True, array_like=True):
    """A line of a message.

    Attributes:
        start_ms, end_ms: from the start of the message's sound.
        end_char: where it ends in the message's text; it begins where the one before ends.
    """

    start_ms: int
    end_ms: int
    end_char: int


@dataclass(frozen=True, slots=True)
class Sound:
    """When a message could be heard.

    Attributes:
        at_ms: when it began, in ms since the epoch; of what was typed, when it was sent.
        duration_ms: 0 if it made no sound.
        heard_ms: how much of it was heard, if that is known and less than all.
    """

    at_ms: int
    duration_ms: int = 0
    cues: Sequence[Cue] = ()
    heard_ms: int | None = None


def cues_of(said: str, words: Iterable[Word]) -> list[Cue]:
    """The lines of a text whose words have times; text after the last of them made no sound."""
    cues: list[Cue] = []
    words = list(words)
    position = width = 0
    start_ms: int | None = None
    end_ms = 0
    for word, part in zip(words, heard_parts(said, words)[1:], strict=True):
        position += len(part.text)
        width += len(part.text) + sum(map(_is_wide, part.text))
        start_ms = word.start_ms if start_ms is None else start_ms
        end_ms = word.end_ms
        long = width >= LINE_CHARS or end_ms - start_ms >= LINE_MS
        if long or (word.text.rstrip(_BEHIND_MARKS) or word.text)[-1] in _ENDS_A_LINE:
            cues.append(Cue(start_ms, end_ms, position))
            width, start_ms = 0, None
    if start_ms is not None:
        cues.append(Cue(start_ms, end_ms, position))
    return cues


def _is_wide(char: str) -> bool:
    return char > "\u1100" and unicodedata.east_asian_width(char) in "WF"
