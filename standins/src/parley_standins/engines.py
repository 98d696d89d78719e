"""The voice and the ear behind every stand-in for a speech service."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from parley_standins.recognizer import Recognizer
from parley_standins.voices import Speaker


class Engines:
    """One voice and one ear, for as many stand-ins as there are."""

    def __init__(self) -> None:
        self.speaker = Speaker()
        self.recognizer = Recognizer()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Engines]:
        """Start both, and end both."""
        await self.recognizer.start()
        await self.speaker.start()
        try:
            yield self
        finally:
            await self.speaker.stop()
            await self.recognizer.stop()
