"""The query of ElevenLabs' realtime transcription, checked as the service checks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parley_standins.audio_formats import TRANSCRIBED_FORMATS
from parley_standins.vad import VadSettings

MODELS = ("scribe_v2_realtime", "scribe_v3_live")
PREDICTS_TURNS = frozenset({"scribe_v3_live"})
"""The SDK's types name the strategy without saying for which model: this is a guess."""
COMMIT_STRATEGIES = ("manual", "vad", "turn_prediction")
MAX_KEYTERMS = 50
MAX_KEYTERM_CHARACTERS = 20
PREDICTED_AFTER_S = 0.5


class InvalidOptions(ValueError):
    """A parameter is not what the endpoint takes."""


@dataclass(frozen=True, slots=True)
class RealtimeOptions:
    """One session's options."""

    model_id: str
    audio_format: str
    commit_strategy: str
    language_code: str | None
    include_timestamps: bool
    include_language_detection: bool
    vad: VadSettings

    @property
    def silence_s(self) -> float | None:
        """The silence that ends an utterance; None if the client alone ends it. What predicts
        turns is sooner sure than what only listens for silence."""
        if self.commit_strategy == "manual":
            return None
        return self.vad.silence_s if self.commit_strategy == "vad" else PREDICTED_AFTER_S

    @property
    def codec(self) -> str:
        """`pcm` or `ulaw`."""
        return self.audio_format.split("_")[0]

    @property
    def rate_hz(self) -> int:
        """Of the audio that the client sends."""
        return int(self.audio_format.split("_")[1])

    @property
    def bytes_per_second(self) -> int:
        """Of the audio that the client sends."""
        return self.rate_hz * (2 if self.codec == "pcm" else 1)

    @classmethod
    def parse(cls, query: Mapping[str, list[str]]) -> RealtimeOptions:
        """Read the query; each parameter's values, in order.

        Raises:
            InvalidOptions: naming the parameter.
        """
        reader = _Reader(query)
        model = reader.one_of("model_id", MODELS, MODELS[0])
        strategy = reader.one_of("commit_strategy", COMMIT_STRATEGIES, "manual")
        if strategy == "turn_prediction" and model not in PREDICTS_TURNS:
            raise InvalidOptions(f"commit_strategy: {model} predicts no turns.")
        keyterms = query.get("keyterms", [])
        if len(keyterms) > MAX_KEYTERMS:
            raise InvalidOptions(f"keyterms: at most {MAX_KEYTERMS} are allowed.")
        if any(len(term) > MAX_KEYTERM_CHARACTERS for term in keyterms):
            raise InvalidOptions(f"keyterms: at most {MAX_KEYTERM_CHARACTERS} characters each.")
        return cls(
            model_id=model,
            audio_format=reader.one_of("audio_format", TRANSCRIBED_FORMATS, "pcm_16000"),
            commit_strategy=strategy,
            language_code=reader.text("language_code"),
            include_timestamps=reader.flag("include_timestamps"),
            include_language_detection=reader.flag("include_language_detection"),
            vad=VadSettings(
                threshold=reader.number("vad_threshold", 0.1, 0.9, 0.4),
                silence_s=reader.number("vad_silence_threshold_secs", 0.3, 3.0, 1.5),
                min_speech_ms=int(reader.number("min_speech_duration_ms", 50, 2000, 100)),
                min_silence_ms=int(reader.number("min_silence_duration_ms", 50, 2000, 100)),
            ),
        )

    def described(self) -> dict[str, Any]:
        """Return the options as `session_started` repeats them."""
        return {
            "sample_rate": self.rate_hz,
            "audio_format": self.audio_format,
            "language_code": self.language_code,
            "model_id": self.model_id,
            "vad_commit_strategy": self.commit_strategy == "vad",
            "commit_strategy": self.commit_strategy,
            "vad_silence_threshold_secs": self.vad.silence_s,
            "vad_threshold": self.vad.threshold,
            "min_speech_duration_ms": self.vad.min_speech_ms,
            "min_silence_duration_ms": self.vad.min_silence_ms,
            "include_timestamps": self.include_timestamps,
            "include_language_detection": self.include_language_detection,
            "enable_logging": True,
        }


@dataclass(frozen=True, slots=True)
class _Reader:
    query: Mapping[str, list[str]]

    def text(self, name: str) -> str | None:
        values = self.query.get(name)
        return values[0] if values else None

    def one_of(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name) or default
        if value not in allowed:
            raise InvalidOptions(f"{name}: {value!r} is none of {', '.join(allowed)}.")
        return value

    def flag(self, name: str) -> bool:
        return self.one_of(name, ("true", "false"), "false") == "true"

    def number(self, name: str, low: float, high: float, default: float) -> float:
        value = self.text(name)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise InvalidOptions(f"{name}: {value!r} is no number from {low:g} to {high:g}.")
        return number
