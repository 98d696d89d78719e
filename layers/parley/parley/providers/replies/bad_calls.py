"""A model that writes calls badly is asked once more, and then without tools."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

from parley.providers.diagnosis import Diagnosis, Endpoint
from parley.providers.llm import ReplyPiece
from parley.providers.replies.failures import BadCall, LeakedCall

Log = Callable[[str, dict[str, Any]], None]


async def ask_again(
    ask: Callable[[bool], AsyncGenerator[ReplyPiece, None]], endpoint: Endpoint, log: Log
) -> AsyncGenerator[ReplyPiece, None]:
    """Yield a reply, asked for again if its call was written badly.

    Nothing of such a call has run. What has been said is not said again: then it fails.

    Args:
        ask: asks for the reply; takes whether tools are offered. Raises `BadCall`, `LeakedCall`.

    Raises:
        ProviderError: `reply_failed`.
    """
    failures, with_tools = 0, True
    while True:
        said = False
        try:
            async with contextlib.aclosing(ask(with_tools)) as pieces:
                async for piece in pieces:
                    said = said or bool(piece)
                    yield piece
            return
        except (BadCall, LeakedCall) as failure:
            failures += 1
            reason = "leaked_call" if isinstance(failure, LeakedCall) else "bad_call"
            log(reason, {"provider": "llm", "host": endpoint.host, "times": failures})
            if said or (failures > 1 and reason == "leaked_call"):
                raise Diagnosis(endpoint).make_error(reason, "invalid") from None
            with_tools = failures < 2
