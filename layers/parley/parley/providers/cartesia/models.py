"""Which of Cartesia's models transcribes what.

| model | languages | with `finalize` | finds the end of a turn |
|---|---|---|---|
| `ink-2` | five, found out by itself | yes | yes |
| `ink-whisper` | nearly all; it has to be told which | yes | no |
| `ink-preview` | 44, found out by itself, hints help | yes | yes |
"""

from __future__ import annotations

from parley.protocol.messages import Endpointing

INK_2 = "ink-2"
INK_WHISPER = "ink-whisper"
INK_PREVIEW = "ink-preview"

INK_2_LANGUAGES = frozenset({"en", "es", "fr", "hi", "ja"})
# fmt: off
HINTED = frozenset({
    "ar", "bg", "bn", "cs", "da", "de", "el", "en", "es", "fi", "fr", "gu", "hi", "ja", "ka", "ml",
    "mr", "ms", "nl", "no", "or", "pa", "pl", "pt", "ro", "ru", "sk", "sv", "yue", "zh",
})
# fmt: on
"""Languages that `ink-preview` takes as a hint for certain. It ends the connection at one that it
does not take; without a hint it finds out."""


def choose_model(configured: str, language: str, endpointing: Endpointing) -> str:
    """Choose the model for an utterance: the deployment's where that one fits, else another.

    Args:
        configured: the deployment's; empty for none.
        language: ISO 639 code; empty if it is to be found out.
    """
    usual = (INK_2, INK_WHISPER, INK_PREVIEW)
    return next(
        model for model in (configured, *usual) if model and _fits(model, language, endpointing)
    )


def understands(model: str, language: str) -> bool:
    """Return whether a model understands a language, as far as that is known."""
    return not _is(model, INK_2) or language in INK_2_LANGUAGES


def language_query(model: str, language: str) -> dict[str, str]:
    """Return how a model is told the language: `ink-2` refuses to be told."""
    if _is(model, INK_WHISPER) and language:
        return {"language": language}
    if _is(model, INK_PREVIEW) and language in HINTED:
        return {"language_hint": language}
    return {}


def _fits(model: str, language: str, endpointing: Endpointing) -> bool:
    if _is(model, INK_WHISPER):
        return endpointing == "manual" and bool(language)
    return understands(model, language)


def _is(model: str, family: str) -> bool:
    """Return whether a model is of a family: it, or a dated snapshot of it."""
    return model == family or model.startswith(f"{family}-20")
