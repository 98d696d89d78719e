"""A hands-free client that knows only the protocol: it hears where speech pauses and ends, as the
browser's does, and says so."""

from __future__ import annotations

import asyncio
import time
from array import array
from dataclasses import dataclass

from tests.e2e.raw import RawClient, Reply

RATE_HZ = 16_000
FRAME_MS = 10
PAUSE_MS, END_MS = 200, 700
"""As `client/js/hands-free.js` has them."""
CHUNK_MS = 100
LOUD = 300
"""Mean of the absolute samples of a frame that is speech; silence here is digital."""
_FRAME_BYTES = RATE_HZ * FRAME_MS // 1000 * 2


@dataclass
class Said:
    """How an utterance was said, in seconds of the monotonic clock.

    Attributes:
        spoken_at_s: when its last loud sample was spoken.
        ended_at_s: when `audio_end` was sent.
        pauses: how many were told.
    """

    reply: Reply
    spoken_at_s: float
    ended_at_s: float
    pauses: int


class HandsFree:
    """Says one utterance in real time.

    Args:
        tells: whether it tells of pauses.
    """

    def __init__(self, client: RawClient, *, tells: bool = True) -> None:
        self._client = client
        self._tells = tells
        self._held = b""
        self._chunks = 0
        self._pauses = 0

    async def say(self, pcm: bytes, turn_id: str | None = None) -> Said:
        """Say it, then be silent until that has ended it; wait for the reply.

        Args:
            pcm: at 16 kHz; it may have pauses.
        """
        client, turn = self._client, turn_id or self._client.new_turn_id()
        start = {"pauses": True} if self._tells else {}
        await client.send(type="audio_start", turn_id=turn, format="pcm_16000", **start)
        began, spoken_at_s, quiet_ms, is_paused = time.monotonic(), 0.0, 0, False
        at = 0
        while quiet_ms < END_MS:
            frame = pcm[at : at + _FRAME_BYTES].ljust(_FRAME_BYTES, b"\0")
            at += _FRAME_BYTES
            now = began + at / 2 / RATE_HZ
            await asyncio.sleep(max(0.0, now - time.monotonic()))
            if _is_loud(frame):
                spoken_at_s, quiet_ms = now, 0
                if is_paused:
                    is_paused = False
                    await self._tell(type="speech_resumed", turn_id=turn, pause=self._pauses)
            elif spoken_at_s:
                quiet_ms += FRAME_MS
            await self._add(turn, frame)
            if quiet_ms == PAUSE_MS:
                is_paused = True
                self._pauses += 1
                await self._flush(turn)
                await self._tell(
                    type="speech_paused", turn_id=turn, chunks=self._chunks, pause=self._pauses
                )
        await self._flush(turn)
        ended_at_s = client.audio_ended_at = time.monotonic()
        pause = {"pause": self._pauses} if self._tells else {}
        await client.send(type="audio_end", turn_id=turn, chunks=self._chunks, **pause)
        return Said(await client.ended(turn), spoken_at_s, ended_at_s, self._pauses)

    async def _tell(self, **message: object) -> None:
        if self._tells:
            await self._client.send(**message)

    async def _add(self, turn: str, frame: bytes) -> None:
        self._held += frame
        if len(self._held) >= CHUNK_MS * RATE_HZ // 1000 * 2:
            await self._flush(turn)

    async def _flush(self, turn: str) -> None:
        held, self._held = self._held, b""
        if held:
            self._chunks += 1
            await self._client.chunk(turn, self._chunks, held)


def _is_loud(frame: bytes) -> bool:
    samples = array("h", frame)
    return sum(map(abs, samples)) > LOUD * len(samples)
