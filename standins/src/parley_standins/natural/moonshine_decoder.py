"""Hearing with Moonshine: audio to words, while the audio arrives.

The model hears a piece of audio as a whole, so what was said so far is decoded again and again:
every 480 ms of speech, and once in a pause. While somebody speaks, the words are told that were the
same twice. The text of the pause is the final one if nothing follows.

It is kept from silence, at which it invents words: the audio from the first loud 20 ms to the last,
and a little around, is decoded. Of more than 16 s it repeats parts, so longer speech is decoded in
parts: in a pause, or else where it is quietest. What is final depends on the audio alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np
import numpy.typing as npt

from parley_standins.natural.moonshine import Heard, Signal
from parley_standins.recognition_wire import SAMPLE_RATE_HZ
from parley_standins.stt_decoder import MIN_LEVEL

FRAME = SAMPLE_RATE_HZ // 50
"""20 ms."""
QUIET_LEVEL = 120
"""RMS of 16-bit samples (-49 dBFS) below which 20 ms are silence."""
MARGIN = 10
"""Frames that are decoded before and after speech, whose ends may be quiet."""
PARTIAL_FIRST, PARTIAL_EVERY = 20, 24
"""Frames of speech before the first partial text, and from one to the next: a client's chunk."""
LONG, LONG_PAUSE = 8 * 50, 25
"""Frames of speech, and of silence behind them, that make a part."""
LONGEST, LAST_PLACES = 16 * 50, 4 * 50
"""Frames of speech without a pause that make a part, and among which of the last it is cut."""
MIN_LOG_PROBABILITY = -1.0
"""Mean of the tokens; human speech was above -0.6, synthetic above -0.95, noise below -1.1."""

Words = list[tuple[str, float, float, float]]
Transcribe = Callable[[Signal], Heard]


@dataclass(slots=True)
class _Audio:
    """What has not been decoded for good.

    Attributes:
        offset: frames that were dropped before it.
        samples: from there, in whole frames.
        levels: of the frames.
        first, last: its first and last loud frame; None without.
    """

    offset: int = 0
    samples: npt.NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    levels: list[float] = field(default_factory=list)
    first: int | None = None
    last: int = 0

    @property
    def speech(self) -> int:
        """Frames from the first loud one to the last."""
        return 0 if self.first is None else self.last + 1 - self.first

    @property
    def quiet(self) -> int:
        """Frames behind the last loud one."""
        return len(self.levels) - 1 - self.last

    def add(self, frame: npt.NDArray[np.int16]) -> None:
        self.samples = np.concatenate([self.samples, frame])
        self.levels.append(float(np.sqrt((frame.astype(np.float64) ** 2).mean())))
        if self.levels[-1] >= QUIET_LEVEL:
            self.last = len(self.levels) - 1
            self.first = self.last if self.first is None else self.first
        elif self.first is None and len(self.levels) > MARGIN:
            self.drop(1)

    def drop(self, frames: int) -> None:
        """Forget the beginning."""
        self.offset += frames
        self.samples = self.samples[frames * FRAME :]
        self.levels = self.levels[frames:]
        loud = [at for at, level in enumerate(self.levels) if level >= QUIET_LEVEL]
        self.first, self.last = (loud[0], loud[-1]) if loud else (None, 0)


class MoonshineDecoder:
    """One utterance after another.

    Args:
        transcribe: the model.
    """

    def __init__(self, transcribe: Transcribe) -> None:
        self._transcribe = transcribe
        self.forget()

    def forget(self) -> None:
        """Drop the utterance."""
        self._audio = _Audio()
        self._rest = b""
        self._words: Words = []
        self._decoded: tuple[int, int] | None = None
        self._last: Words = []
        self._partial = ""

    def hear(self, pcm: bytes, *, in_time: bool = True) -> str | None:
        """Take audio in; the text so far, if that has changed.

        Args:
            in_time: whether no more audio waits: no text is made that would be late.
        """
        data = self._rest + pcm
        whole = len(data) // (2 * FRAME) * 2 * FRAME
        self._rest = data[whole:]
        for frame in np.frombuffer(data[:whole], "<i2").reshape(-1, FRAME):
            self._audio.add(frame)
            self._end_long_part()
        audio = self._audio
        if audio.first is None or not in_time:
            return None
        if audio.quiet >= MARGIN:
            return self._changed(self._decode(audio.last + 1 + MARGIN))
        if self._is_due():
            before, now = self._last, self._decode(len(audio.levels))
            return self._changed(_agreed(before, now))
        return None

    def finish(self) -> tuple[str, Words]:
        """Return the utterance's text, and its words with their times in seconds."""
        if self._audio.first is not None:
            self._words += self._decode(self._audio.last + 1 + MARGIN)
        words = self._words
        self.forget()
        return " ".join(text for text, *_ in words), words

    def _is_due(self) -> bool:
        if self._decoded is None:
            return self._audio.speech >= PARTIAL_FIRST
        return len(self._audio.levels) - self._decoded[1] >= PARTIAL_EVERY

    def _changed(self, words: Words) -> str | None:
        """Return the text so far, unless it is known.

        A part that has become shorter is not told again: of a pause, the whole text is told.
        """
        text = " ".join(word for word, *_ in (*self._words, *words))
        if text == self._partial or self._partial.startswith(text):
            return None
        self._partial = text
        return text

    def _end_long_part(self) -> None:
        audio = self._audio
        if audio.speech >= LONG and audio.quiet >= LONG_PAUSE:
            end = audio.last + 1 + MARGIN
        elif audio.speech >= LONGEST:
            end = self._quietest()
        else:
            return
        self._words += self._decode(end)
        audio.drop(end)
        self._decoded, self._last = None, []

    def _quietest(self) -> int:
        """Return where speech without a pause is cut: behind its quietest frame of the last."""
        begin = len(self._audio.levels) - LAST_PLACES
        return begin + int(np.argmin(self._audio.levels[begin:])) + 1

    def _decode(self, end: int) -> Words:
        """Return the words of the audio up to a frame; an end that was decoded is not again."""
        audio = self._audio
        assert audio.first is not None
        begin, end = max(0, audio.first - MARGIN), min(end, len(audio.levels))
        if (begin, end) != self._decoded:
            self._decoded = begin, end
            self._last = self._words_of(begin, end)
        return self._last

    def _words_of(self, begin: int, end: int) -> Words:
        audio = self._audio
        samples = audio.samples[begin * FRAME : end * FRAME]
        if _loudest(samples) < MIN_LEVEL:
            return []
        heard = self._transcribe(samples.astype(np.float32) / np.float32(32_768))
        is_speech = any(sign.isalnum() for sign in heard.text)
        if not is_speech or heard.mean_log_probability < MIN_LOG_PROBABILITY:
            return []
        loud = [at for at in range(begin, end) if audio.levels[at] >= QUIET_LEVEL]
        return _spread(heard, [(audio.offset + at) * FRAME / SAMPLE_RATE_HZ for at in loud])


def _agreed(before: Words, now: Words) -> Words:
    """Return the words that were the same the time before: what is new is often guessed."""
    pairs = zip(before, now, strict=False)
    same = takewhile(lambda pair: _bare(pair[0][0]) == _bare(pair[1][0]), pairs)
    return [word for _, word in same]


def _bare(text: str) -> str:
    return text.strip(",.?!").lower()


def _loudest(samples: npt.NDArray[np.int16]) -> float:
    """Return the RMS of the loudest 50 ms."""
    window = SAMPLE_RATE_HZ // 20
    parts = samples[: samples.size // window * window].reshape(-1, window).astype(np.float64)
    return float(np.sqrt((parts**2).mean(axis=1).max())) if parts.size else 0.0


def _spread(heard: Heard, loud_s: list[float]) -> Words:
    """Share the loud time among the words by their letters: the model does not say when they are.

    Args:
        loud_s: when each loud frame begins.
    """
    texts = heard.text.split()
    letters = sum(map(len, texts))
    words: Words = []
    before = 0
    for text, sure in zip(texts, heard.log_probabilities, strict=True):
        first = before * len(loud_s) // letters
        before += len(text)
        last = max(first, before * len(loud_s) // letters - 1)
        end_s = loud_s[last] + FRAME / SAMPLE_RATE_HZ
        words.append((text, round(loud_s[first], 3), round(end_s, 3), sure))
    return words
