"""How a deployment names ElevenLabs: its parameters, and what its operator is told."""

from __future__ import annotations

from dataclasses import replace

from parley.protocol.messages import Stage
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Endpoint

API_KEY = "elevenlabs_api_key"
"""Its name in the deployment's secret."""


def base_url(context: ProviderContext) -> str:
    """Return the URL of ElevenLabs' API, without a slash at its end."""
    return context.text("ELEVENLABS_BASE_URL", "https://api.elevenlabs.io").rstrip("/")


def speech_endpoint(context: ProviderContext) -> Endpoint:
    """Return where speech is synthesised, and with which model."""
    return _endpoint(context, "synthesizer", "eleven_flash_v2_5")


def transcription_endpoint(context: ProviderContext) -> Endpoint:
    """Return where speech is transcribed, and with which model."""
    return _endpoint(context, "transcriber", "scribe_v2_realtime")


def _endpoint(context: ProviderContext, stage: Stage, model: str) -> Endpoint:
    endpoint = context.endpoint(
        stage, called="ElevenLabs", base_url="", model=model, key_parameter="ElevenLabsApiKey"
    )
    # One URL for both stages: the residency of the account.
    return replace(endpoint, base_url=base_url(context), url_parameter="ElevenLabsBaseUrl")
