"""The lines of a message with their times, for transcripts and captions.

Each word of a reply has its times. A message keeps them for each line, which is what a caption
needs, at a tenth of the size.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from parley.audio.heard import split_heard
from parley.protocol.messages import Word
from parley.text.scripts import CLOSERS, SENTENCE_END

LINE_CHARS = 84
"""The width of a line: two lines of 42 characters, as captions usually show at a time. Wide
characters (Han, kana, Hangul) count twice."""
LINE_MS = 7_000
"""The longest time that a caption usually stays."""
_ENDS_A_LINE = SENTENCE_END + ";:；：\u061b"
_BEHIND_MARKS = CLOSERS + "»“*_~`"


class Cue(msgspec.Struct, frozen=True, array_like=True):
    """A line of a message.

    Attributes:
        start_ms, end_ms: from the start of the message's sound.
        end_char: where the line ends in the message's text; it begins where the one before ends.
    """

    start_ms: int
    end_ms: int
    end_char: int


@dataclass(frozen=True, slots=True)
class Sound:
    """When a message could be heard.

    Attributes:
        at_ms: when its sound began, or when it was typed, in ms since the epoch.
        duration_ms: 0 if it made no sound.
        cues: its lines, in order.
        heard_ms: how much of it was heard, if that is known and less than all.
    """

    at_ms: int
    duration_ms: int = 0
    cues: Sequence[Cue] = ()
    heard_ms: int | None = None


def split_cues(said: str, words: Iterable[Word]) -> list[Cue]:
    """Return the lines of a text whose words have times. Text after the last word made no sound."""
    cues: list[Cue] = []
    words = list(words)
    position = width = 0
    start_ms: int | None = None
    end_ms = 0
    for word, part in zip(words, split_heard(said, words)[1:], strict=True):
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
