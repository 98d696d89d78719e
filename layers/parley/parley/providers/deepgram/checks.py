"""Whether Deepgram takes the key.

`GET /v1/auth/token` tells of a key, costs nothing and needs no scope; listing the projects may need
one. Which models an account may use is told by the handshake alone: no list has Flux.
"""

from __future__ import annotations

from parley.protocol.messages import Stage
from parley.providers.checks import ProviderCheck, get_answer, require_success
from parley.providers.context import ProviderContext
from parley.providers.deepgram.config import (
    API_KEY,
    require_suitable_model,
    transcription_endpoint,
)
from parley.providers.diagnosis import Diagnosis


def build_check(_stage: Stage, context: ProviderContext) -> ProviderCheck:
    """Build the check of a stage.

    Raises:
        ConfigurationError: Flux cannot hear what the deployment is meant to hear.
    """
    require_suitable_model(context)
    api_key = context.key(API_KEY)
    endpoint = transcription_endpoint(context)

    async def check() -> None:
        key = await api_key()
        diagnosis, headers = Diagnosis(endpoint, key), {"Authorization": f"Token {key}"}
        url = f"{endpoint.base_url}/v1/auth/token"
        require_success(await get_answer(context.http_client, url, headers, diagnosis), diagnosis)

    return ProviderCheck(check, keys=(API_KEY,))
