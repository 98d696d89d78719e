"""What a model of the Whisper kind writes when nobody speaks, and what of it counts as speech.

It was trained on subtitles, which thank for watching where a film is silent. A user may say the
same words, so they are dropped only where the model itself doubts that anybody spoke.
"""

from __future__ import annotations

import re
import unicodedata

from parley.providers.openai_audio.transcript import Segment, Transcript
from parley.text.scripts import join_texts

NO_SPEECH = 0.6
LOGPROB = -1.0
"""Whisper's own limits: a segment is silent if both say so (openai/whisper, `transcribe.py`,
`no_speech_threshold` and `logprob_threshold`). Servers that decode by themselves leave it out."""
DOUBTED = 0.3
"""For words that are known to be invented, so much doubt is enough."""

_INVENTED = frozenset(
    {
        *("you", "bye", "bye bye", "thank you", "thank you very much", "thank you so much"),
        *("thanks", "thanks for watching", "thank you for watching", "please subscribe"),
        *("thank you for listening", "ill see you next time", "see you next time"),
        *("subtitles by the amaraorg community", "untertitel der amaraorgcommunity"),
        *("untertitelung des zdf 2020", "vielen dank", "vielen dank fürs zuschauen", "tschüss"),
        *("sous-titres réalisés para la communauté damaraorg", "merci davoir regardé cette vidéo"),
        *("subtítulos realizados por la comunidad de amaraorg", "gracias por ver el video"),
        *("sottotitoli creati dalla comunità amaraorg", "ご視聴ありがとうございました"),
        *("продолжение следует", "字幕由amaraorg社区提供", "谢谢观看", "시청해주셔서 감사합니다"),
    }
)
"""Reported again and again for silence, e.g. in openai/whisper, discussion 928, and in
collabora/WhisperLive, issue 328."""
_SOUND = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|\*[^*]*\*|♪[^♪]*♪?")
"""What is no speech, as models write it: `[BLANK_AUDIO]`, `(wind blowing)`, `*coughs*`, `♪♪♪`."""


def spoken_text(transcript: Transcript) -> str:
    """Return what somebody said; empty if nobody did."""
    text = transcript.text
    kept = [segment for segment in transcript.segments if not _is_silent(segment)]
    if len(kept) < len(transcript.segments):
        text = join_texts([segment.text for segment in kept])
    return text if _says_something(_SOUND.sub(" ", text)) else ""


def _is_silent(segment: Segment) -> bool:
    if segment.no_speech is None:
        return False
    if segment.no_speech > DOUBTED and _bare(segment.text) in _INVENTED_BARE:
        return True
    return (
        segment.no_speech > NO_SPEECH and segment.logprob is not None and segment.logprob < LOGPROB
    )


def _bare(text: str) -> str:
    """Return a text without its case and its marks."""
    kept = (
        char
        for char in unicodedata.normalize("NFKC", text).casefold()
        if char.isalnum() or char.isspace() or unicodedata.category(char).startswith("M")
    )
    return " ".join("".join(kept).split())


_INVENTED_BARE = frozenset(map(_bare, _INVENTED))


def _says_something(text: str) -> bool:
    return any(char.isalnum() for char in text)
