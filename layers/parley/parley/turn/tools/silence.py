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

    def note_asked(self) -> None:
        """Note that the user has finished: silence begins."""
        self.until_s = max(self.until_s, time.monotonic())

    def note_posted(self, duration_ms: float) -> None:
        """Note that so much audio is on its way to the listener."""
        self.until_s = max(self.until_s, time.monotonic()) + duration_ms / 1000


class Filler:
    """Says sentences, one for each silence.

    Args:
        speech: what the listener hears.
        sentences: what may be said.
        say: says one of them.
        after_s: how much silence comes before the first.
    """

    def __init__(
        self,
        speech: AudibleSpeech,
        sentences: Sequence[str],
        say: Callable[[str], None],
        after_s: float = FILL_AFTER_S,
    ) -> None:
        self._speech = speech
        self._sentences = sentences
        self._say = say
        self._after_s = after_s

    async def run(self) -> None:
        """Fill silences until cancelled, or until there is nothing more to say."""
        after_s = self._after_s
        for sentence in self._sentences:
            await self._silence(after_s)
            self._say(sentence)
            # It has yet to be synthesised: the next silence begins no sooner than now.
            self._speech.note_asked()
            after_s = FILL_AGAIN_AFTER_S

    async def _silence(self, after_s: float) -> None:
        # More speech may be on its way meanwhile: the end of a sleep is not yet the end of sound.
        while (left_s := self._speech.until_s + after_s - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left_s)
