"""How a deployment names ElevenLabs, for what whoever runs it is told."""

from __future__ import annotations

from parley.providers.diagnosis import Endpoint
from parley.providers.errors import ProviderErrorCode


def elevenlabs_endpoint(
    code: ProviderErrorCode, base_url: str, model: str, model_parameter: str
) -> Endpoint:
    """Say how a deployment names ElevenLabs' service."""
    return Endpoint(
        code=code,
        called="ElevenLabs",
        base_url=base_url,
        model=model,
        key_parameter="ElevenLabsApiKey",
        url_parameter="ElevenLabsBaseUrl",
        model_parameter=model_parameter,
    )
