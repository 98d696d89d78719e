"""Whether ElevenLabs takes the key, and has the model and the voice of the deployment."""

from __future__ import annotations

from typing import Any

import httpx

from parley.protocol.messages import Stage
from parley.providers.checks import (
    ProviderCheck,
    get_answer,
    make_unhealthy,
    require_success,
)
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Diagnosis
from parley.providers.elevenlabs.config import (
    API_KEY,
    is_dialogue_model,
    speech_endpoint,
    transcription_endpoint,
)


def build_check(stage: Stage, context: ProviderContext) -> ProviderCheck:
    """Build the check of a stage."""
    api_key = context.key(API_KEY)
    speaks = stage == "synthesizer"
    endpoint = speech_endpoint(context) if speaks else transcription_endpoint(context)
    url = endpoint.base_url

    async def check() -> None:
        key = await api_key()
        diagnosis, headers = Diagnosis(endpoint, key), {"xi-api-key": key}
        answer = await get_answer(context.http_client, f"{url}/v1/models", headers, diagnosis)
        # A key that may only speak and listen is refused the list, but known.
        if answer.status_code not in (401, 403) or b"missing_permissions" not in answer.content:
            require_success(answer, diagnosis)
            # The list has the models that speak; those that transcribe are nowhere listed, and
            # whether all of v3 and v4 are is not known.
            listed = speaks and not is_dialogue_model(endpoint.model)
            if listed and _lacks(answer, endpoint.model):
                raise make_unhealthy(diagnosis.make_error("model", "refused"))
        if not speaks:
            return
        voice_url = f"{url}/v1/voices/{context.defaults.voice}"
        answer = await get_answer(context.http_client, voice_url, headers, diagnosis)
        if answer.status_code in (400, 404):
            error = diagnosis.diagnose_status(answer.status_code, answer.headers, answer.content)
            if error.cause.reason == "voice":
                raise make_unhealthy(error)

    return ProviderCheck(check, keys=(API_KEY,))


def _lacks(answer: httpx.Response, model: str) -> bool:
    """Return whether a list of ElevenLabs' models names some, and not this one."""
    try:
        listed: Any = answer.json()
    except ValueError:
        return False
    models = listed if isinstance(listed, list) else []
    known = [item.get("model_id") for item in models if isinstance(item, dict)]
    return bool(known) and model not in known
