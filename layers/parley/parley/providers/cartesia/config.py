"""How a deployment names Cartesia: its parameters, and which version of the API is spoken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parley.protocol.messages import Stage
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Endpoint
from parley.providers.socket import SocketService

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


def error_in(frame: dict[str, Any]) -> object:
    """Return what names the error in a frame; None for a frame that is no error."""
    return frame if frame.get("type") == "error" else None


SOCKETS = SocketService(make_headers, error_in)
"""Of both stages."""
