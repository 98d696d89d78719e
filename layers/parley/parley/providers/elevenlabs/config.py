"""How a deployment names ElevenLabs: its parameters, and what its operator is told."""

from __future__ import annotations

from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Endpoint
from parley.providers.errors import ProviderErrorCode

API_KEY = "elevenlabs_api_key"
"""Its name in the deployment's secret."""


def base_url(context: ProviderContext) -> str:
    """Return the URL of ElevenLabs' API, without a slash at its end."""
    return context.text("ELEVENLABS_BASE_URL", "https://api.elevenlabs.io").rstrip("/")


def speech_endpoint(context: ProviderContext) -> Endpoint:
    """Return where speech is synthesised, and with which model."""
    model = context.text("SPEECH_MODEL", "eleven_flash_v2_5")
    return elevenlabs_endpoint("speech_failed", base_url(context), model, "SpeechModel")


def transcription_endpoint(context: ProviderContext) -> Endpoint:
    """Return where speech is transcribed, and with which model."""
    model = context.text("TRANSCRIPTION_MODEL", "scribe_v2_realtime")
    return elevenlabs_endpoint(
        "transcription_failed", base_url(context), model, "TranscriptionModel"
    )


def elevenlabs_endpoint(
    code: ProviderErrorCode, url: str, model: str, model_parameter: str
) -> Endpoint:
    """Return how a deployment names ElevenLabs' service."""
    return Endpoint(
        code=code,
        called="ElevenLabs",
        base_url=url,
        model=model,
        key_parameter="ElevenLabsApiKey",
        url_parameter="ElevenLabsBaseUrl",
        model_parameter=model_parameter,
    )
