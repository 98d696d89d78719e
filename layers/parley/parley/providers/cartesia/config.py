"""How a deployment names Cartesia: its parameters, and which version of the API is spoken."""

from __future__ import annotations

from collections.abc import Mapping

from parley.errors import ConfigurationError
from parley.protocol.messages import Stage
from parley.providers.cartesia.models import understands
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Endpoint

API_KEY = "cartesia_api_key"
"""Its name in the deployment's secret."""
VERSION = "2026-03-01"
"""Of the API: the first one with errors as JSON objects. What a version answers never changes."""
SPEECH_MODEL = "sonic-3.5"
"""The newest that is generally available and has word times; `sonic-latest` changes by itself."""

_OTHER_CODES = {"fil": "tl"}
"""Filipino is Tagalog to Cartesia."""


def speech_endpoint(context: ProviderContext) -> Endpoint:
    """Return where speech is synthesised, and with which model."""
    return _endpoint(context, "synthesizer", SPEECH_MODEL)


def transcription_endpoint(context: ProviderContext, model: str = "") -> Endpoint:
    """Return where speech is transcribed, and with which model.

    Args:
        model: where the deployment names none.
    """
    return _endpoint(context, "transcriber", model)


def configured_endpoint(context: ProviderContext) -> Endpoint:
    """Return where speech is transcribed, and with which model; empty where the deployment
    names none.

    Raises:
        ConfigurationError: its model does not understand its language.
    """
    endpoint = transcription_endpoint(context)
    language = language_code(context.text("LANGUAGE", str(context.defaults.language or "")))
    if endpoint.model and language and not understands(endpoint.model, language):
        raise ConfigurationError(
            f"{endpoint.model_parameter} {endpoint.model!r} does not understand Language "
            f"{language!r}: leave {endpoint.model_parameter} empty, and Cartesia's model for the "
            "language is chosen."
        )
    return endpoint


def make_headers(key: str) -> Mapping[str, str]:
    """Return the headers that every request has."""
    return {"Authorization": f"Bearer {key}", "Cartesia-Version": VERSION}


def language_code(language: str) -> str:
    """Return Cartesia's code of a language, from its ISO 639 code; empty for none."""
    return _OTHER_CODES.get(language, language)


def _endpoint(context: ProviderContext, stage: Stage, model: str) -> Endpoint:
    return context.endpoint(
        stage,
        called="Cartesia",
        base_url="https://api.cartesia.ai",
        model=model,
        key_parameter="CartesiaApiKey",
    )
