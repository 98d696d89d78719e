"""Speech to text: the seam between a turn and its transcriber.

A transcriber opens a stream for one turn. It fails with `ProviderError` and with nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

from parley.protocol.messages import AudioFormat, Endpointing
from parley.providers.rules import CallRules

TurnSign = Literal["", "confirmed", "likely_end", "unlikely_end"]
"""What a transcript that is not final tells besides: it answers `flush`; the transcriber takes the
turn for over, and may think better of it; it has thought better of it."""


@dataclass(frozen=True, slots=True)
class TranscriptPiece:
    """The transcript of everything that was said so far. A final one does not change.

    Attributes:
        language: ISO 639 code of the language that was heard; empty if nobody knows.
    """

    text: str
    final: bool
    language: str = ""
    sign: TurnSign = ""


class TranscriptStream(Protocol):
    """One utterance on its way to text."""

    async def send(self, pcm: bytes) -> None:
        """Send the next audio, in the format that the stream was opened with."""

    async def flush(self) -> bool:
        """Ask what has been said until now, while the utterance may go on.

        Returns:
            Whether an answer will come: a piece with the sign `confirmed`, one for each call.
        """

    async def finish(self) -> None:
        """Say that the utterance is over: its final transcript is wanted."""

    def pieces(self) -> AsyncIterator[TranscriptPiece]:
        """Yield transcripts as they come; end after the final one."""

    async def close(self) -> None:
        """Close the connection. Never raise."""


class Transcriber(Protocol):
    """Turns speech into text."""

    @property
    def rules(self) -> CallRules:
        """How it may be called."""

    async def warm_up(self) -> None:
        """Do before a turn what its connection will need, and can be kept. Never raise.

        It opens no socket of the service: some are charged or counted while they are open.
        """

    async def open(
        self, audio_format: AudioFormat, language: str, endpointing: Endpointing
    ) -> TranscriptStream:
        """Connect, and be ready for audio.

        Args:
            language: ISO 639 code of what is spoken; empty if the transcriber is to find out.

        Raises:
            ProviderError: `transcription_failed`.
        """
