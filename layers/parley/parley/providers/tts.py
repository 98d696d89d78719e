"""Text to speech: the seam between a turn and its synthesizer.

A synthesizer opens a stream for one reply. It fails with `ProviderError` and with nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from parley.audio.word_timing import Alignment
from parley.protocol.messages import AudioFormat, Settings
from parley.providers.rules import CallRules


@dataclass(frozen=True, slots=True)
class SpeechPiece:
    """PCM in the reply's format, and when its characters sound, where that is known.

    Attributes:
        ends_clause: whether the audio of a clause ends with it, the clauses in their order. A
            synthesizer that does not know that never says so.
    """

    pcm: bytes
    alignment: Alignment | None
    ends_clause: bool = False


class SpeechStream(Protocol):
    """One reply on its way to speech."""

    async def speak(self, clause: str) -> None:
        """Speak this next, at once."""

    async def finish(self) -> None:
        """Say that nothing more will be spoken."""

    def pieces(self) -> AsyncIterator[SpeechPiece]:
        """Yield audio as it comes; end when everything has been spoken."""

    async def close(self) -> None:
        """Close the connection. Never raise."""


class Synthesizer(Protocol):
    """Turns text into speech."""

    @property
    def rules(self) -> CallRules:
        """How it may be called."""

    async def warm_up(self) -> None:
        """Do before a turn what its connection will need, and can be kept. Never raise.

        It opens no socket of the service: some are charged or counted while they are open.
        """

    async def open(self, audio_format: AudioFormat, settings: Settings) -> SpeechStream:
        """Connect, and be ready for text.

        Raises:
            ProviderError: `speech_failed`.
        """
