"""Whether an audio endpoint answers and takes the key. It is asked for nothing that costs."""

from __future__ import annotations

from parley.protocol.messages import Stage
from parley.providers.checks import ProviderCheck, get_answer, require_success
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Diagnosis
from parley.providers.openai_audio.config import (
    key_names,
    speech_endpoint,
    transcription_endpoint,
)
from parley.providers.openai_audio.http import authorization

_WITHOUT_A_LIST = (404, 405, 501)


def build_check(stage: Stage, context: ProviderContext) -> ProviderCheck:
    """Build the check of the transcriber or the synthesizer.

    Raises:
        ConfigurationError: the deployment's variables do not suit it.
    """
    of_stage = transcription_endpoint if stage == "transcriber" else speech_endpoint
    endpoint = of_stage(context)
    api_key = context.stage_key(stage)

    async def check() -> None:
        key = await api_key()
        diagnosis = Diagnosis(endpoint, key)
        answer = await get_answer(
            context.http_client, f"{endpoint.base_url}/models", authorization(key), diagnosis
        )
        if answer.status_code not in _WITHOUT_A_LIST:  # whisper.cpp has none, and is reached
            require_success(answer, diagnosis)

    return ProviderCheck(check, key_names(stage, context, endpoint))
