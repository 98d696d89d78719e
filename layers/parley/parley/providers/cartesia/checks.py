"""Whether Cartesia takes the key, and has the voice and such a model as the deployment names."""

from __future__ import annotations

from parley.protocol.messages import Stage
from parley.providers.cartesia.config import (
    API_KEY,
    configured_endpoint,
    make_headers,
    speech_endpoint,
)
from parley.providers.checks import (
    ProviderCheck,
    get_answer,
    make_unhealthy,
    require_success,
)
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Diagnosis

FAMILIES = {"synthesizer": "sonic", "transcriber": "ink"}
"""How the names of the models begin: nothing lists them."""


def build_check(stage: Stage, context: ProviderContext) -> ProviderCheck:
    """Build the check of a stage.

    Raises:
        ConfigurationError: the deployment's variables do not suit it.
    """
    api_key = context.key(API_KEY)
    speaks = stage == "synthesizer"
    endpoint = speech_endpoint(context) if speaks else configured_endpoint(context)
    # One voice costs nothing and no generation, and a key without the right to it is refused.
    path = f"/voices/{context.defaults.voice}" if speaks else "/voices?limit=1"

    async def check() -> None:
        key = await api_key()
        diagnosis = Diagnosis(endpoint, key)
        url = f"{endpoint.base_url}{path}"
        answer = await get_answer(context.http_client, url, make_headers(key), diagnosis)
        if speaks and answer.status_code == 404:
            raise make_unhealthy(diagnosis.make_error("voice", "refused"))
        require_success(answer, diagnosis)
        if endpoint.model and not endpoint.model.startswith(FAMILIES[stage]):
            raise make_unhealthy(diagnosis.make_error("model", "refused"))

    return ProviderCheck(check, keys=(API_KEY,))
