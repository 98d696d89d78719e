"""A synthesis context's requests, checked as the service checks them; and their words' times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from parley_standins.alignment import CharacterTimes
from parley_standins.cartesia_service import CartesiaProblem, find_voice
from parley_standins.voices import Voice

RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)
ENCODINGS = ("pcm_s16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw")
MODELS = ("sonic-latest", "sonic-3", "sonic-3.5")
DEFAULT_BUFFER_MS = 3000
MAX_BUFFER_MS = 5000
WORDS_PER_FRAME = 3

_TAG = re.compile(r"</?(?:speed|volume|emotion|break|spell)\b[^<>]*>")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uff00-\uffef\u3000-\u303f]")
_CHANGEABLE = ("transcript", "continue", "flush")


@dataclass(frozen=True, slots=True)
class Generation:
    """What all requests of a context say alike.

    Attributes:
        fields: as they came, to compare the next request with.
        buffer_s: how long text may wait for more.
    """

    fields: dict[str, Any]
    voice: Voice
    encoding: str
    rate_hz: int
    speed: float
    buffer_s: float
    add_timestamps: bool

    @classmethod
    def parse(cls, frame: dict[str, Any]) -> Generation:
        """Read the first request of a context.

        Raises:
            CartesiaProblem: a field is missing or wrong.
        """
        model, output = frame.get("model_id"), frame.get("output_format")
        if not isinstance(model, str) or not model.startswith(MODELS):
            raise CartesiaProblem(400, "Invalid model", "No such model.", "model_not_found")
        if not isinstance(output, dict) or output.get("container") != "raw":
            raise _invalid("output_format.container has to be raw.")
        encoding, rate_hz = output.get("encoding"), output.get("sample_rate")
        if encoding not in ENCODINGS or rate_hz not in RATES_HZ:
            raise _invalid("output_format has no such encoding or sample_rate.")
        voice = frame.get("voice")
        voice_id = voice.get("id") if isinstance(voice, dict) else voice
        delay_ms = frame.get("max_buffer_delay_ms")
        delay_ms = DEFAULT_BUFFER_MS if delay_ms is None else delay_ms
        if not isinstance(delay_ms, int | float) or not 0 <= delay_ms <= MAX_BUFFER_MS:
            raise _invalid(f"max_buffer_delay_ms has to be from 0 to {MAX_BUFFER_MS}.")
        speed = (frame.get("generation_config") or {}).get("speed", 1)
        if not isinstance(speed, int | float) or not 0.6 <= speed <= 1.5:
            raise _invalid("generation_config.speed has to be from 0.6 to 1.5.")
        return cls(
            _locked(frame),
            find_voice(voice_id),
            encoding,
            rate_hz,
            float(speed),
            delay_ms / 1000,
            bool(frame.get("add_timestamps")),
        )

    def check_same(self, frame: dict[str, Any]) -> None:
        """Check a later request of the context.

        Raises:
            CartesiaProblem: it says otherwise.
        """
        changed = [
            name for name, value in _locked(frame).items() if self.fields.get(name, value) != value
        ]
        if changed:
            raise _invalid(f"{changed[0]} must not change within a context.")


def spoken_text(transcript: str) -> str:
    """Return what is said of a transcript: its tags are commands."""
    return _TAG.sub("", transcript)


def is_speakable(text: str) -> bool:
    """Return whether a text holds more than punctuation."""
    return any(map(str.isalnum, text))


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word as the service times it, in seconds from the start of the context."""

    text: str
    start_s: float
    end_s: float


def timed_words(times: CharacterTimes, offset_ms: float) -> list[TimedWord]:
    """Return the words of spoken characters; in scripts without spaces, each of those.

    Args:
        offset_ms: where the characters' audio starts in that of the context.
    """
    words: list[TimedWord] = []
    begun: int | None = None
    for index, char in enumerate([*times.characters, " "]):
        alone = bool(_UNSPACED.match(char))
        if begun is not None and (alone or char.isspace()):
            words.append(_word(times, begun, index, offset_ms))
            begun = None
        if alone:
            words.append(_word(times, index, index + 1, offset_ms))
        elif begun is None and not char.isspace():
            begun = index
    return words


def word_frames(words: list[TimedWord]) -> Iterator[dict[str, list[str] | list[float]]]:
    """Yield the words, a few at a time."""
    for at in range(0, len(words), WORDS_PER_FRAME):
        some = words[at : at + WORDS_PER_FRAME]
        yield {
            "words": [word.text for word in some],
            "start": [round(word.start_s, 3) for word in some],
            "end": [round(word.end_s, 3) for word in some],
        }


def _word(times: CharacterTimes, first: int, end: int, offset_ms: float) -> TimedWord:
    return TimedWord(
        "".join(times.characters[first:end]),
        (offset_ms + times.starts_ms[first]) / 1000,
        (offset_ms + times.ends_ms[end - 1]) / 1000,
    )


def _locked(frame: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in frame.items() if name not in _CHANGEABLE}


def _invalid(message: str) -> CartesiaProblem:
    return CartesiaProblem(400, "Invalid request", message)
