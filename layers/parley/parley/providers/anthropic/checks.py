"""Whether Anthropic takes the key, and knows the model that the deployment names."""

from __future__ import annotations

from urllib.parse import quote

from parley.protocol.messages import Stage
from parley.providers.anthropic.config import (
    API_VERSION,
    KEY_NAME,
    anthropic_endpoint,
    models_url,
)
from parley.providers.anthropic.responder import api_key_header, build_responder
from parley.providers.checks import ProviderCheck, get_answer, require_success
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Diagnosis


def build_check(_stage: Stage, context: ProviderContext) -> ProviderCheck:
    """Build the check of the responder. It looks the model up, which costs nothing.

    Raises:
        ConfigurationError: the deployment's variables do not suit it.
    """
    build_responder(context)
    endpoint = anthropic_endpoint(context)

    async def check() -> None:
        key = await context.key(KEY_NAME)()
        diagnosis = Diagnosis(endpoint, key)
        headers = {"anthropic-version": API_VERSION, **api_key_header(key)}
        url = f"{models_url(endpoint)}/{quote(endpoint.model, safe='')}"
        require_success(await get_answer(context.http_client, url, headers, diagnosis), diagnosis)

    return ProviderCheck(check, (KEY_NAME,))
