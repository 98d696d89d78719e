"""A long conversation, turn by turn, with a server that has no clock."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from parley_client import Conversation, Reconnect, Turn
from parley_client.messages import Audio
from soak_server import CHUNK_MS, ENDLESS, LOST, REPLY_MS, soak_server

SPOKEN_MS = 2_000
SPEECH = b"\1" * (16 * 2 * SPOKEN_MS)


@contextlib.asynccontextmanager
async def soak_conversation() -> AsyncIterator[Conversation]:
    """One with the scripted server, that comes back at once when it is lost."""
    quick = Reconnect(base_s=0.001, cap_s=0.001, stable_s=0.0)
    async with soak_server() as url, Conversation.connect(url, reconnect=quick) as conversation:
        yield conversation


async def one_turn(conversation: Conversation, number: int) -> tuple[Turn, float]:
    """Hold a turn to its end; how long both sides spoke, in ms.

    Args:
        number: which turn it is, from 1; it decides whether the turn is spoken or typed, is
            interrupted, loses its connection.
    """
    text = LOST if number % 10 == 0 else ENDLESS if number % 7 == 0 else f"Turn {number}."
    spoken = number % 3 == 0 and text not in (LOST, ENDLESS)
    turn = (
        conversation.speak(SPEECH, real_time=False, chunk_ms=CHUNK_MS)
        if spoken
        else conversation.say(text)
    )
    interrupted = False
    async for event in turn:
        if text == ENDLESS and isinstance(event, Audio) and not interrupted:
            interrupted = True
            await turn.interrupt(played_ms=1_000)
    reply = await turn
    expected = "interrupted" if text == ENDLESS else "completed"
    if reply.reason != expected:
        raise RuntimeError(f"Turn {number} was {reply.reason}, not {expected}.")
    return turn, (SPOKEN_MS if spoken else 0) + (1_000 if interrupted else REPLY_MS)
