"""When each character of a spoken text sounds, from the times at which words begin.

An engine says where words begin, and some where they end; ElevenLabs says it of every character. A
word's time is shared out among its characters evenly; what comes between two words (spaces,
punctuation) has the time from the one's end to the next, or the last part of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

GAP_SHARE = 0.1
"""Of the time from one word's start to the next, what belongs to the characters between, unless the
engine says when the word ends."""


class TimedWord(NamedTuple):
    """A word of a text: where it is in it, and when it sounds.

    Attributes:
        end_ms: None if the engine does not say.
    """

    first: int
    length: int
    start_ms: float
    end_ms: float | None = None


class _Anchor(NamedTuple):
    """A word within its text, or one of the text's ends, which has no characters."""

    first: int
    end: int
    start_ms: float
    end_ms: float | None = None


@dataclass(frozen=True, slots=True)
class CharacterTimes:
    """One entry per character, in order; times from the start of the audio."""

    characters: tuple[str, ...] = ()
    starts_ms: tuple[float, ...] = ()
    ends_ms: tuple[float, ...] = ()

    def part(self, from_ms: float, to_ms: float) -> CharacterTimes:
        """Return the characters that start in this time, with times relative to `from_ms`."""
        chosen = [i for i, start in enumerate(self.starts_ms) if from_ms <= start < to_ms]
        return CharacterTimes(
            tuple(self.characters[i] for i in chosen),
            tuple(self.starts_ms[i] - from_ms for i in chosen),
            tuple(self.ends_ms[i] - from_ms for i in chosen),
        )

    def shifted(self, by_ms: float) -> CharacterTimes:
        """Return the same, later."""
        return CharacterTimes(
            self.characters,
            tuple(start + by_ms for start in self.starts_ms),
            tuple(end + by_ms for end in self.ends_ms),
        )

    def milliseconds(self) -> dict[str, list[str] | list[int]] | None:
        """Return this as the WebSockets write it; None without characters."""
        if not self.characters:
            return None
        starts = [round(start) for start in self.starts_ms]
        ends = [round(end) for end in self.ends_ms]
        return {
            "chars": list(self.characters),
            "charStartTimesMs": starts,
            "charDurationsMs": [end - start for start, end in zip(starts, ends, strict=True)],
        }

    def seconds(self) -> dict[str, list[str] | list[float]] | None:
        """Return this as the HTTP endpoints write it; None without characters."""
        if not self.characters:
            return None
        return {
            "characters": list(self.characters),
            "character_start_times_seconds": [round(ms / 1000, 3) for ms in self.starts_ms],
            "character_end_times_seconds": [round(ms / 1000, 3) for ms in self.ends_ms],
        }


def joined(parts: Iterable[CharacterTimes]) -> CharacterTimes:
    """Join characters one after another, their times already relative to the same start."""
    characters: list[str] = []
    starts: list[float] = []
    ends: list[float] = []
    for part in parts:
        characters += part.characters
        starts += part.starts_ms
        ends += part.ends_ms
    return CharacterTimes(tuple(characters), tuple(starts), tuple(ends))


def align(text: str, words: Sequence[TimedWord], duration_ms: float) -> CharacterTimes:
    """Return times for every character of a text.

    Args:
        text: what was spoken.
        words: in order; positions outside the text and words that go back are passed over.
        duration_ms: of the whole audio.
    """
    anchors = _anchors(len(text), words, duration_ms)
    starts: list[float] = []
    ends: list[float] = []
    for word, following in itertools.pairwise(anchors):
        count, gap = word.end - word.first, following.first - word.end
        end_ms = _word_end(word, following.start_ms, gap)
        _share(word.start_ms, end_ms, count, starts, ends)
        _share(end_ms, following.start_ms, gap, starts, ends)
    return CharacterTimes(tuple(text), tuple(starts), tuple(ends))


def _word_end(word: _Anchor, next_ms: float, gap: int) -> float:
    if not gap:
        return next_ms
    if word.first == word.end:
        return word.start_ms
    if word.end_ms is not None:
        return min(max(word.end_ms, word.start_ms), next_ms)
    return word.start_ms + (next_ms - word.start_ms) * (1 - GAP_SHARE)


def _anchors(size: int, words: Sequence[TimedWord], duration_ms: float) -> list[_Anchor]:
    anchors: list[_Anchor] = []
    position, at_ms = 0, 0.0
    for first, length, start_ms, end_ms in words:
        if first < position or first >= size or not at_ms <= start_ms <= duration_ms:
            continue
        if first > 0 and not anchors:
            anchors.append(_Anchor(0, 0, 0.0))
        position = min(first + length, size)
        at_ms = start_ms
        anchors.append(_Anchor(first, position, start_ms, end_ms))
    if not anchors:
        anchors.append(_Anchor(0, 0, 0.0))
    anchors.append(_Anchor(size, size, duration_ms))
    return anchors


def _share(start: float, end: float, count: int, starts: list[float], ends: list[float]) -> None:
    for index in range(count):
        starts.append(start + (end - start) * index / count)
        ends.append(start + (end - start) * (index + 1) / count)
