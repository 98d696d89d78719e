"""How a deployment names Deepgram, and which of its models hears which language."""

from __future__ import annotations

from parley.errors import ConfigurationError
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Endpoint

API_KEY = "deepgram_api_key"
"""Its name in the deployment's secret."""
ENGLISH = "flux-general-en"
MULTILINGUAL = "flux-general-multi"
LANGUAGES = ("de", "en", "es", "fr", "hi", "it", "ja", "nl", "pt", "ru")
"""What `flux-general-multi` hears (developers.deepgram.com/docs/flux/language-prompting)."""


def transcription_endpoint(context: ProviderContext) -> Endpoint:
    """Return where speech is transcribed, and with which model if the session says nothing."""
    return context.endpoint(
        "transcriber",
        called="Deepgram",
        base_url="https://api.deepgram.com",
        model=model_for(_default_language(context)),
        key_parameter="DeepgramApiKey",
    )


def model_for(language: str) -> str:
    """Return the model that hears a language; empty for one that it is to find out."""
    return ENGLISH if language == "en" else MULTILINGUAL


def require_suitable_model(context: ProviderContext) -> None:
    """Accept a deployment only if Flux can hear what it is meant to hear.

    Raises:
        ConfigurationError: it cannot.
    """
    parameter = context.stage_parameter("transcriber", "MODEL")
    model = context.stage_text("transcriber", "MODEL")
    detects = context.text("LANGUAGE_DETECTION") == "on"
    language = _default_language(context)
    if model not in ("", ENGLISH, MULTILINGUAL):
        raise ConfigurationError(
            f"{parameter}: Deepgram is asked for Flux: choose {ENGLISH} or {MULTILINGUAL}, or "
            "leave it empty."
        )
    if model == ENGLISH and detects:
        raise ConfigurationError(
            f"{parameter}: {ENGLISH} detects no language: leave it empty, or switch "
            "LanguageDetection off."
        )
    if model == ENGLISH and language != "en":
        raise ConfigurationError(
            f"{parameter}: {ENGLISH} hears English only: leave it empty, or choose Language en."
        )
    if language and language not in LANGUAGES and not detects:
        raise ConfigurationError(
            f"Language: Deepgram's Flux does not hear {language!r}: choose one of "
            f"{', '.join(LANGUAGES)}, or another transcriber."
        )


def _default_language(context: ProviderContext) -> str:
    return str(context.defaults.language or "")
