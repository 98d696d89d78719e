"""Recognised words as ElevenLabs' transcripts list them: words and the spaces between."""

from __future__ import annotations

from typing import Any

from parley_standins.recognizer import Recognised, written


def described_words(recognised: Recognised, offset_s: float = 0.0) -> list[dict[str, Any]]:
    """Return the `words` of a transcript, with times from the start of the session or file.

    Args:
        recognised: what was heard.
        offset_s: where the utterance starts.
    """
    texts = written(recognised.text, complete=True).split()
    listed: list[dict[str, Any]] = []
    for text, word in zip(texts, recognised.words, strict=True):
        if listed:
            listed.append(_entry(" ", listed[-1]["end"], offset_s + word.start_s, "spacing", 0.0))
        start, end = offset_s + word.start_s, offset_s + word.end_s
        listed.append(_entry(text, start, end, "word", word.log_probability))
    return listed


def _entry(
    text: str, start_s: float, end_s: float, kind: str, log_probability: float
) -> dict[str, Any]:
    return {
        "text": text,
        "start": round(start_s, 3),
        "end": round(end_s, 3),
        "type": kind,
        "speaker_id": "speaker_0",
        "logprob": round(log_probability, 4),
    }
