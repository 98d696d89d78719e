"""Whether a responder replies: the one question that shows it, seldom asked, because it costs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from parley.errors import ProviderError
from parley.providers.checks import CHECK_LIMIT_S, Check, ProviderCheck, make_unhealthy
from parley.providers.context import ProviderContext
from parley.providers.llm import Prompt, Responder

ASK_AGAIN_S = 300.0
"""How long after an answer, which costs some tokens, it is only looked whether the endpoint is
there."""


def build_reply_check(
    build_responder: Callable[[ProviderContext], Responder],
    context: ProviderContext,
    look: Check,
    now_s: Callable[[], float] = time.monotonic,
) -> ProviderCheck:
    """Build the check of a responder.

    Args:
        look: looks, at no cost, whether the endpoint that answered a while ago is still there.

    Raises:
        ConfigurationError: the deployment's variables do not suit it.
    """
    responder = build_responder(
        replace(context, timeout_s=CHECK_LIMIT_S, log=lambda _event, _fields: None)
    )
    replied_at_s: float | None = None

    async def check() -> None:
        nonlocal replied_at_s
        asked_at_s = now_s()
        if replied_at_s is not None and asked_at_s < replied_at_s + ASK_AGAIN_S:
            await look()
            return
        prompt = Prompt("Answer with one word.", [], "Hello?")
        try:
            async with contextlib.aclosing(responder.reply(prompt, lambda: None)) as pieces:
                await anext(pieces)
        except ProviderError as error:
            raise make_unhealthy(error) from None
        replied_at_s = asked_at_s

    return ProviderCheck(check)
