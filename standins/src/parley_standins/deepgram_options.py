"""The query of Flux's socket, checked as the service checks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from parley_standins.deepgram_service import Refused

ENGLISH, MULTILINGUAL = "flux-general-en", "flux-general-multi"
LANGUAGES = frozenset({"de", "en", "es", "fr", "hi", "it", "ja", "nl", "pt", "ru"})
RATES_HZ = ("8000", "16000", "24000", "44100", "48000")
CODECS = {"linear16": "pcm", "mulaw": "ulaw"}
"""Of the encodings of raw audio, those that the stand-in decodes."""
_KNOWN = frozenset(
    {
        "model",
        "encoding",
        "sample_rate",
        "eager_eot_threshold",
        "eot_threshold",
        "eot_timeout_ms",
        "keyterm",
        "language_hint",
        "profanity_filter",
        "numerals",
        "redact",
        "mip_opt_out",
        "tag",
    }
)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a turn is over.

    Attributes:
        eot: the confidence at which it is; never at 1.0.
        eager: the confidence at which that is said in advance; None for never.
        timeout_ms: the silence behind which it is in any case.
    """

    eot: float = 0.7
    eager: float | None = None
    timeout_ms: int = 5_000

    def merged_with(self, given: Mapping[str, Any]) -> Thresholds:
        """Return these, with what is given in their place.

        Raises:
            Refused: 400, naming the one that is out of its range.
        """
        eager = _number(given, "eager_eot_threshold", 0.3, 0.9)
        eot = _number(given, "eot_threshold", 0.5, 1.0)
        timeout_ms = _number(given, "eot_timeout_ms", 500, 60_000)
        merged = replace(
            self,
            eot=self.eot if eot is None else eot,
            eager=self.eager if eager is None else eager,
            timeout_ms=self.timeout_ms if timeout_ms is None else int(timeout_ms),
        )
        if merged.eager is not None and merged.eager > merged.eot:
            raise _bad_request("eager_eot_threshold must not exceed eot_threshold.")
        return merged

    def described(self) -> dict[str, Any]:
        """Return them as the service repeats them."""
        return {
            "eot_threshold": self.eot,
            "eager_eot_threshold": self.eager,
            "eot_timeout_ms": self.timeout_ms,
        }


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """One session's options."""

    model: str
    codec: str
    rate_hz: int
    thresholds: Thresholds
    language_hints: tuple[str, ...]

    @property
    def bytes_per_second(self) -> int:
        """Of the audio that the client sends."""
        return self.rate_hz * (2 if self.codec == "pcm" else 1)

    @classmethod
    def parse(cls, query: Mapping[str, list[str]]) -> ListenOptions:
        """Read the query; each parameter's values, in order.

        Raises:
            Refused: 400, or 403 for another model.
        """
        given = {name: values[0] for name, values in query.items()}
        if unknown := sorted(set(given) - _KNOWN):
            raise _bad_request(f"unknown query parameter {unknown[0]}.")
        model = given.get("model", "")
        if model not in (ENGLISH, MULTILINGUAL):
            message = "Project does not have access to the requested model."
            raise Refused(403, "INSUFFICIENT_PERMISSIONS", message)
        hints = tuple(query.get("language_hint", ()))
        if hints and model != MULTILINGUAL:
            raise _bad_request(f"language_hint is not supported by {model}.")
        if wrong := [hint for hint in hints if hint.partition("-")[0] not in LANGUAGES]:
            raise _bad_request(f"language_hint {wrong[0]} is not supported.")
        encoding, rate = given.get("encoding", ""), given.get("sample_rate", "")
        if encoding not in CODECS:
            raise _bad_request(f"encoding is none of {', '.join(CODECS)}.")
        if rate not in RATES_HZ:
            raise _bad_request(f"sample_rate is none of {', '.join(RATES_HZ)}.")
        thresholds = Thresholds().merged_with(given)
        return cls(model, CODECS[encoding], int(rate), thresholds, hints)


def _number(given: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not low <= number <= high:
        raise _bad_request(f"{name} is no number from {low:g} to {high:g}.")
    return number


def _bad_request(message: str) -> Refused:
    return Refused(400, "Bad Request", f"Bad Request: {message}")
