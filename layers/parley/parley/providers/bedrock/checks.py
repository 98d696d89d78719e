"""Whether a model on Amazon Bedrock replies.

Nothing that is free shows it: whether the account has the model, and whether the role may ask its
inference profile in every region that it leads to, is decided when it is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from parley.providers.checks import ProviderCheck, get_answer
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Diagnosis, Endpoint
from parley.providers.llm import Responder
from parley.providers.replies.check import build_reply_check


def build_bedrock_check(
    build_responder: Callable[[ProviderContext], Responder],
    context: ProviderContext,
    endpoint: Endpoint,
    url: str,
    now_s: Callable[[], float] = time.monotonic,
) -> ProviderCheck:
    """Build the check of a responder on Bedrock.

    Args:
        url: of its host; what it answers says nothing.

    Raises:
        ConfigurationError: the deployment's variables do not suit it.
    """

    async def look() -> None:
        await get_answer(context.http_client, url, {}, Diagnosis(endpoint))

    return build_reply_check(build_responder, context, look, now_s)
