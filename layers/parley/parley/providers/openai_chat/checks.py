"""Whether the chat endpoint answers, as the model that the deployment names."""

from __future__ import annotations

import time
from collections.abc import Callable

from parley.protocol.messages import Stage
from parley.providers.checks import ProviderCheck, get_answer, require_success
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Diagnosis
from parley.providers.openai_chat.config import chat_endpoint
from parley.providers.openai_chat.responder import build_responder
from parley.providers.replies.check import build_reply_check


def build_check(
    _stage: Stage, context: ProviderContext, now_s: Callable[[], float] = time.monotonic
) -> ProviderCheck:
    """Build the check of the responder.

    Raises:
        ConfigurationError: the deployment's variables do not suit it.
    """
    endpoint = chat_endpoint(context)

    async def look() -> None:
        """Look whether the endpoint that answered a while ago still takes the key."""
        key = await context.stage_key("responder")()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        diagnosis = Diagnosis(endpoint, key)
        url = f"{endpoint.base_url.rstrip('/')}/models"
        answer = await get_answer(context.http_client, url, headers, diagnosis)
        if answer.status_code != 404:  # an endpoint without a list of its models is reached
            require_success(answer, diagnosis)

    return build_reply_check(build_responder, context, look, now_s)
