"""What is said while tools run, so that the user hears no dead air."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

FILL_AFTER_S = 0.7
"""So much silence at the listener is filled. A pause in a conversation is noticed from about there
(Jefferson, "Notes on a possible metric", 1989: a standard maximum silence of one second)."""
FILL_AGAIN_AFTER_S = 8.0
"""So much more silence is filled again."""


class AudibleSpeech:
    """Until when the listener hears something: audio is sent much faster than it plays.

    Times are seconds of `time.monotonic`.
    """

    def __init__(self) -> None:
        self.until_s = time.monotonic()

    def note_silence(self) -> None:
        """Note that a silence begins no sooner than now: the user has finished, or what was written
        just now has yet to be synthesised."""
        self.until_s = max(self.until_s, time.monotonic())

    def note_posted(self, duration_ms: float) -> None:
        """Note that so much audio is on its way to the listener."""
        self.until_s = max(self.until_s, time.monotonic()) + duration_ms / 1000


class Fillers:
    """Fills the silences of a turn.

    Args:
        may_fill: whether anything said now would be heard.
        say: says a sentence.

    Attributes:
        count: how often something was said.
    """

    def __init__(self, may_fill: Callable[[], bool], say: Callable[[str], None]) -> None:
        self._may_fill = may_fill
        self._say = say
        self._said: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self.speech = AudibleSpeech()
        self.count = 0

    def start(self, sentences: Sequence[str], *, spoken: bool) -> None:
        """Fill silences until stopped, or until there is nothing more to say.

        Args:
            sentences: what may be said. None of it is said twice in a turn.
            spoken: whether something has been said in this turn: then a silence may be longer.
        """
        self.stop()
        left = [each for each in sentences if each not in self._said]
        if left:
            after_s = FILL_AGAIN_AFTER_S if spoken or self._said else FILL_AFTER_S
            self._task = asyncio.create_task(self._run(left, after_s))

    def stop(self) -> None:
        """Fill nothing more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, sentences: Sequence[str], after_s: float) -> None:
        for sentence in sentences:
            await self._silence(after_s)
            if not self._may_fill():
                return
            self.count += 1
            self._said.add(sentence)
            self._say(sentence)
            # It has yet to be synthesised: the next silence begins no sooner than now.
            self.speech.note_silence()
            after_s = FILL_AGAIN_AFTER_S

    async def _silence(self, after_s: float) -> None:
        # More speech may be on its way meanwhile: the end of a sleep is not yet the end of sound.
        while (left_s := self.speech.until_s + after_s - time.monotonic()) > 0:  # noqa: ASYNC110  # no event says so
            await asyncio.sleep(left_s)
