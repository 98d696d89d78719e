"""Sends one utterance: its start, its chunks, its end, and lost chunks once more.

How audio is cut and paced is `parley_client.audio`'s business; this stops
listening to it as soon as the server has heard enough.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

from parley_client.errors import BadAudio, ParleyClientError
from parley_client.messages import Message, to_base64
from parley_client.turn import Turn


class Speech:
    """The utterance of a spoken turn.

    Args:
        turn: the turn it opens.
        post: sends one message.
        max_chunks: how many chunks the server takes.
    """

    def __init__(
        self, turn: Turn, post: Callable[[Message], Awaitable[None]], max_chunks: int
    ) -> None:
        self._turn = turn
        self._post = post
        self._max_chunks = max_chunks
        self._sent: list[bytes] = []

    async def send(self, start: Message, chunks: AsyncGenerator[bytes, None]) -> None:
        """Send `start`, every chunk when it comes, and `audio_end`.

        Ends early when the server has found the end of the utterance by itself,
        or the turn is over. What the source of the audio raises, this raises,
        after telling the server to stop listening.
        """
        await self._post(start)
        sending = asyncio.create_task(self._send_chunks(chunks))
        enough = asyncio.create_task(self._turn.utterance_over.wait())
        try:
            await asyncio.wait({sending, enough}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        except Exception:
            with contextlib.suppress(ParleyClientError):  # the source's error is the one to tell
                await self._post(
                    {"type": "interrupt", "turn_id": self._turn.turn_id, "played_ms": 0}
                )
            raise
        finally:
            sending.cancel()
            enough.cancel()
            await asyncio.gather(sending, enough, return_exceptions=True)
        if not self._turn.done:
            self._turn.utterance_ended()
            await self._post(
                {"type": "audio_end", "turn_id": self._turn.turn_id, "chunks": len(self._sent)}
            )

    async def send_again(self, missing: tuple[int, ...]) -> None:
        """Send the chunks that the server names as lost."""
        for seq in missing:
            if 1 <= seq <= len(self._sent):
                await self._post_chunk(seq)

    async def _send_chunks(self, chunks: AsyncGenerator[bytes, None]) -> None:
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                if len(self._sent) == self._max_chunks:
                    raise BadAudio(
                        f"The speech is too long: at most {self._max_chunks:,} chunks can be "
                        "sent. Send longer chunks, or stop earlier."
                    )
                self._sent.append(chunk)
                await self._post_chunk(len(self._sent))

    async def _post_chunk(self, seq: int) -> None:
        await self._post(
            {
                "type": "audio_chunk",
                "turn_id": self._turn.turn_id,
                "seq": seq,
                "audio": to_base64(self._sent[seq - 1]),
            }
        )
