"""A conversation by this machine's microphone and speaker, one turn after the other.

The user says when an utterance begins and ends, by the Enter key; Enter during a
reply interrupts it, at what was really played.
"""

from __future__ import annotations

import asyncio
from typing import Final

from parley_client.conversation import Conversation
from parley_client.devices import Recording, Speaker, microphone
from parley_client.keyboard import TypedLines
from parley_client.messages import Audio
from parley_client.pcm import SAMPLE_RATES_HZ
from parley_client.turn import Turn

FORMAT: Final = "pcm_16000"


class Voice:
    """Speaks and listens for one user.

    Args:
        conversation: whom it talks to.
        typed: where Enter comes from.
    """

    def __init__(self, conversation: Conversation, typed: TypedLines) -> None:
        self.ended = False
        """Whether there will be no more Enter."""
        self._conversation = conversation
        self._typed = typed
        self._turn: Turn | None = None
        self._speaker: Speaker | None = None
        self._interrupted = False
        self._enter: asyncio.Task[None] | None = None

    async def listen(self) -> Turn:
        """Send what is said until Enter; returns the turn, whose reply is to come.

        Raises:
            BadInput, NoDevice: there is no microphone to be had.
        """
        recording = Recording()
        with microphone(recording, SAMPLE_RATES_HZ[FORMAT]):
            self._turn = turn = self._conversation.speak(recording, format=FORMAT, real_time=False)
            enter = asyncio.create_task(self._wait_for_enter())
            over = asyncio.create_task(turn.utterance_over.wait())
            try:
                await asyncio.wait({enter, over}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                enter.cancel()
                over.cancel()
                await asyncio.gather(enter, over, return_exceptions=True)
        recording.stop()
        self._enter = asyncio.create_task(self._interrupt_at_enter())
        return turn

    def hear(self, turn: Turn) -> None:
        """Take up a turn that the agent begins."""
        self._turn = turn

    def play(self, event: Audio) -> None:
        """More of the reply, unless the user has had enough of it."""
        if self._interrupted:
            return
        if self._speaker is None:
            self._speaker = Speaker(SAMPLE_RATES_HZ[event.format])
        self._speaker.sound.add(event.audio)

    async def interrupt(self) -> None:
        """Fall silent, and tell the server what had been heard by then."""
        self._interrupted = True
        played_ms = self._speaker.played_ms if self._speaker is not None else 0.0
        if self._speaker is not None:
            self._speaker.sound.cut()
        if self._turn is not None:
            await self._turn.interrupt(played_ms)

    async def finish(self) -> None:
        """Wait until the reply has been played."""
        if self._speaker is not None:
            await self._speaker.sound.played()

    async def close(self) -> None:
        """Be done with the turn."""
        if self._enter is not None:
            self._enter.cancel()
            await asyncio.gather(self._enter, return_exceptions=True)
        if self._speaker is not None:
            await self._speaker.close()
        self._turn = self._speaker = self._enter = None
        self._interrupted = False

    async def _wait_for_enter(self) -> None:
        self.ended = await self._typed.next() is None

    async def _interrupt_at_enter(self) -> None:
        await self._wait_for_enter()
        await self.interrupt()
