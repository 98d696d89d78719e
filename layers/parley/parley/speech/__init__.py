"""Speech to text and text to speech: the seams, and one module per provider.

A provider is a `Transcriber` or a `Synthesizer`. Both open a stream for one turn;
a stream fails with `ProviderError` and with nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from parley.protocol import AudioFormat, Endpointing, Settings
from parley.words import Alignment


@dataclass(frozen=True, slots=True)
class TranscriptPiece:
    """What has been understood so far, whole; a final one is the utterance."""

    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class SpeechPiece:
    """PCM in the reply's format, and when its characters sound, where that is known."""

    pcm: bytes
    alignment: Alignment | None


class TranscriptStream(Protocol):
    """One utterance on its way to text."""

    async def send(self, pcm: bytes) -> None:
        """The next audio, in the format the stream was opened with."""

    async def finish(self) -> None:
        """The utterance is over: its final transcript is wanted."""

    def pieces(self) -> AsyncIterator[TranscriptPiece]:
        """Transcripts as they come; ends after the final one."""

    async def close(self) -> None:
        """Let go of the connection; never raises."""


class Transcriber(Protocol):
    """Turns speech into text."""

    async def open(
        self, audio_format: AudioFormat, language: str, endpointing: Endpointing
    ) -> TranscriptStream:
        """Connect, and be ready for audio.

        Raises:
            ProviderError: `transcription_failed`.
        """


class SpeechStream(Protocol):
    """One reply on its way to speech."""

    async def speak(self, clause: str) -> None:
        """Speak this next, at once."""

    async def finish(self) -> None:
        """Nothing more will be spoken."""

    def pieces(self) -> AsyncIterator[SpeechPiece]:
        """Audio as it comes; ends when everything has been spoken."""

    async def close(self) -> None:
        """Let go of the connection; never raises."""


class Synthesizer(Protocol):
    """Turns text into speech."""

    async def open(self, audio_format: AudioFormat, settings: Settings) -> SpeechStream:
        """Connect, and be ready for text.

        Raises:
            ProviderError: `speech_failed`.
        """
