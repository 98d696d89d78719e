"""Every provider as a run can have it: where the real one is, and what stands in for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MODELS = {
    "transcriber": "TranscriptionModel",
    "responder": "LlmModel",
    "synthesizer": "SpeechModel",
}
"""The template's parameter of each stage's model."""
URLS = {
    "transcriber": "TranscriptionBaseUrl",
    "responder": "LlmBaseUrl",
    "synthesizer": "SpeechBaseUrl",
}
"""The template's parameter of each stage's address."""


@dataclass(frozen=True)
class Service:
    """One provider in one stage.

    Attributes:
        called: who it is, in what is shown.
        key: the template's parameter of its key; empty if it has none.
        url: the template's parameter of its address, if it is not the stage's.
        address: of the real one; empty where only its owner knows it.
        is_had_by_url: whether an address makes it the real one, with a key or without.
        models: what an address that takes the key answers to without any cost; empty for none.
        headers: that it asks for, with `{}` for the key.
        standin: who stands in for it, by the name in the stand-ins' first line; empty for nobody.
        path: after the stand-in's address.
        voice: one that its stand-in has, where it speaks.
        model: that its stand-in is asked for, where there is no usual one.
    """

    called: str
    key: str = ""
    url: str = ""
    address: str = ""
    is_had_by_url: bool = False
    models: str = ""
    headers: tuple[tuple[str, str], ...] = (("Authorization", "Bearer {}"),)
    standin: str = ""
    path: str = ""
    voice: str = ""
    model: str = ""


_ELEVENLABS = Service(
    "ElevenLabs",
    key="ElevenLabsApiKey",
    url="ElevenLabsBaseUrl",
    address="https://api.elevenlabs.io",
    models="/v1/models",
    headers=(("xi-api-key", "{}"),),
    standin="elevenlabs",
    voice="21m00Tcm4TlvDq8ikWAM",
)
_CARTESIA = Service(
    "Cartesia",
    key="CartesiaApiKey",
    address="https://api.cartesia.ai",
    models="/voices?limit=1",
    # Without a version it refuses the request before it looks at the key.
    headers=(("Authorization", "Bearer {}"), ("Cartesia-Version", "2026-03-01")),
    standin="cartesia",
    voice="694f9389-aac1-45b6-b726-9d9369183238",
)
SERVICES: Mapping[tuple[str, str], Service] = {
    ("transcriber", "elevenlabs"): _ELEVENLABS,
    ("transcriber", "cartesia"): _CARTESIA,
    ("transcriber", "deepgram"): Service(
        "Deepgram",
        key="DeepgramApiKey",
        address="https://api.deepgram.com",
        models="/v1/auth/token",
        headers=(("Authorization", "Token {}"),),
        standin="deepgram",
    ),
    ("transcriber", "whisper"): Service(
        "The transcription server",
        key="TranscriptionApiKey",
        address="https://api.openai.com/v1",
        is_had_by_url=True,
        models="/models",
        standin="openai_audio",
        path="/v1",
    ),
    ("responder", "openai_chat"): Service(
        "The LLM",
        key="LlmApiKey",
        address="https://api.openai.com/v1",
        is_had_by_url=True,
        models="/models",
        standin="llm",
    ),
    ("responder", "openai_chat_bedrock"): Service(
        "Bedrock", standin="bedrock", path="/openai/v1", model="openai.gpt-oss-20b-1:0"
    ),
    ("responder", "anthropic_bedrock"): Service("Bedrock", standin="bedrock", path="/anthropic"),
    ("responder", "anthropic"): Service(
        "Anthropic",
        key="AnthropicApiKey",
        address="https://api.anthropic.com",
        models="/v1/models",
        headers=(("x-api-key", "{}"), ("anthropic-version", "2023-06-01")),
        standin="anthropic",
    ),
    ("responder", "n8n"): Service(
        "n8n",
        key="N8nHeaderValue",
        is_had_by_url=True,
        standin="n8n",
        path="/webhook/parley",
    ),
    ("synthesizer", "elevenlabs"): _ELEVENLABS,
    ("synthesizer", "cartesia"): _CARTESIA,
    ("synthesizer", "openai_speech"): Service(
        "The speech server",
        key="SpeechApiKey",
        is_had_by_url=True,
        models="/models",
        standin="openai_audio",
        path="/v1",
        voice="alloy",
    ),
}
"""By stage and name."""
