"""How a deployment names ElevenLabs: its parameters, and what its operator is told."""

from __future__ import annotations

from dataclasses import replace

from parley.protocol.messages import Stage
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Endpoint

API_KEY = "elevenlabs_api_key"
"""Its name in the deployment's secret."""

DIALOGUE_MODELS = ("eleven_v3", "eleven_v4")
"""What the names of models begin with that the text-to-speech sockets refuse, and the
text-to-dialogue sockets serve."""
TURN_PREDICTION_MODELS = ("scribe_v3_live",)
"""Transcription models that tell from what is said, not from silence alone, that a turn is over.
The SDK's types name both the model and its commit strategy (elevenlabs 2.78); no document does."""


def is_dialogue_model(model: str) -> bool:
    """Return whether a model is served by the text-to-dialogue sockets alone."""
    return model.startswith(DIALOGUE_MODELS)


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
