"""Whether the chat endpoint answers, as the model that the deployment names."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from parley.errors import ProviderError
from parley.protocol.messages import Stage
from parley.providers.checks import (
    CHECK_LIMIT_S,
    ProviderCheck,
    get_answer,
    make_unhealthy,
    require_success,
)
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Diagnosis
from parley.providers.llm import Prompt
from parley.providers.openai_chat.config import chat_endpoint
from parley.providers.openai_chat.responder import build_responder

ASK_AGAIN_S = 300.0
"""How long after an answer, which costs some tokens, it is only looked whether the endpoint is
there."""


def build_check(
    _stage: Stage, context: ProviderContext, now_s: Callable[[], float] = time.monotonic
) -> ProviderCheck:
    """Build the check of the responder."""
    return ProviderCheck(_ChatCheck(context, now_s))


class _ChatCheck:
    def __init__(self, context: ProviderContext, now_s: Callable[[], float]) -> None:
        self._context = context
        self._endpoint = chat_endpoint(context)
        self._responder = build_responder(
            replace(context, timeout_s=CHECK_LIMIT_S, log=lambda _event, _fields: None)
        )
        self._now_s = now_s
        self._replied_at_s: float | None = None

    async def __call__(self) -> None:
        now_s = self._now_s()
        if self._replied_at_s is not None and now_s < self._replied_at_s + ASK_AGAIN_S:
            await self._look()
            return
        prompt = Prompt("Answer with one word.", [], "Hello?")
        try:
            async with contextlib.aclosing(self._responder.reply(prompt, lambda: None)) as bits:
                await anext(bits)
        except ProviderError as error:
            raise make_unhealthy(error) from None
        self._replied_at_s = now_s

    async def _look(self) -> None:
        """Look whether the endpoint that answered a while ago still takes the key."""
        key = await self._context.stage_key("responder")()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        diagnosis = Diagnosis(self._endpoint, key)
        url = f"{self._endpoint.base_url.rstrip('/')}/models"
        answer = await get_answer(self._context.http_client, url, headers, diagnosis)
        if answer.status_code != 404:  # an endpoint without a list of its models is reached
            require_success(answer, diagnosis)
