"""Sends one utterance: its start, its chunks as they come, its end.

How audio is cut and paced is `chunker`'s business; this stops
listening to it as soon as the server has heard enough.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Protocol

from parley_client.errors import BadAudio, ParleyClientError
from parley_client.messages import ClientMessage
from parley_client.turn import Turn


class Post(Protocol):
    """Sends one message, or keeps it until there is a connection."""

    async def __call__(self, message: ClientMessage, *, always: bool = False) -> None: ...


class Speech:
    """The speaking of a spoken turn.

    Args:
        turn: the turn it opens.
        post: sends one message.
        max_chunks: how many chunks the server takes.
    """

    def __init__(self, turn: Turn, post: Post, max_chunks: int) -> None:
        self._turn = turn
        self._utterance = turn.utterance
        self._post = post
        self._max_chunks = max_chunks

    async def send(self, chunks: AsyncGenerator[bytes, None]) -> None:
        """Send the start, every chunk when it comes, and `audio_end`.

        Ends early when the server has found the end of the utterance by itself,
        or the turn is over; one that another attempt may help is listened to until the
        client finds its end, so that the attempt has all of it. What the source of the
        audio raises, this raises, after telling the server to stop listening.
        """
        await self._post(self._utterance.opening())
        sending = asyncio.create_task(self._send_chunks(chunks))
        try:
            await self._until_enough(sending)
        except Exception:
            with contextlib.suppress(ParleyClientError):  # the source's error is the one to tell
                await self._post(self._utterance.interrupt(0), always=True)
            raise
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        self._utterance.complete = True
        if not self._turn.done:
            self._turn.utterance_ended()
            await self._post(self._utterance.end())

    async def _until_enough(self, sending: asyncio.Task[None]) -> None:
        """Wait until everything has been sent, or more is of no use."""
        attempt = 0
        while attempt < self._turn.attempt:  # it may have been tried again meanwhile
            attempt = self._turn.attempt
            enough = asyncio.create_task(self._turn.utterance_over.wait())
            try:
                await asyncio.wait({sending, enough}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                enough.cancel()
                await asyncio.gather(enough, return_exceptions=True)
            if sending.done() or (self._utterance.manual and self._turn.worth_a_retry):
                await sending
                return

    async def _send_chunks(self, chunks: AsyncGenerator[bytes, None]) -> None:
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                if self._utterance.chunk_count == self._max_chunks:
                    raise BadAudio(
                        f"The speech is too long: at most {self._max_chunks:,} chunks can be "
                        "sent. Send longer chunks, or stop earlier."
                    )
                message = self._utterance.add_chunk(chunk)
                if not self._turn.done:
                    await self._post(message)
