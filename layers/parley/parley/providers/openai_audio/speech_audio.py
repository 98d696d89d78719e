"""The sound of one answer of a speech endpoint, in the format of the reply.

Endpoints differ in what they send, whatever they are asked for, so the content says what it is: a
WAV with its own sample rate, bare samples, or something that cannot be played.
"""

from __future__ import annotations

import re

from parley.audio.pcm import BYTES_PER_SAMPLE
from parley.audio.resampler import Resampler
from parley.audio.wav_stream import CutOffWav, UnreadableWav, WavStream

PCM_RATE_HZ = 24_000
"""Of `response_format: pcm`, where its Content-Type names none (OpenAI's API reference, "Create
speech"; Kokoro's is the same)."""

_RATE = re.compile(r"\brate=(\d{4,6})")
_COMPRESSED = re.compile(
    rb"ID3|OggS|fLaC|\x1aE\xdf\xa3|....ftyp|\xff[\xe2-\xe7\xf0-\xf3\xf8-\xff]", re.DOTALL
)
"""How MP3, Ogg, FLAC, WebM, MP4 and AAC begin. Bare samples may begin so too."""
_NAMED_COMPRESSED = re.compile(r"audio/(?:mpeg|mp3|mp4|ogg|opus|flac|aac|webm|x-m4a)")
_SNIFFED = 12


class NoSound(ValueError):
    """The answer holds no sound, or none that is known."""


class CompressedSound(ValueError):
    """The sound is compressed, and the layer carries no decoder."""


class CutOffSound(ValueError):
    """The sound ended before what was announced of it."""


class SpeechAudio:
    """Reads one answer.

    Args:
        content_type: of the answer.
        asked_pcm: whether bare samples were asked for; otherwise they are not expected.
        rate_hz: of the reply.
    """

    def __init__(self, content_type: str, *, asked_pcm: bool, rate_hz: int) -> None:
        self._type = content_type.lower()
        self._asked_pcm = asked_pcm
        self._to_hz = rate_hz
        self._held = b""
        self._wav: WavStream | None = None
        self._resampler: Resampler | None = None

    def feed(self, data: bytes) -> bytes:
        """Return the next sound: whole 16-bit samples at the rate of the reply.

        Raises:
            NoSound, CompressedSound: see there.
        """
        self._held += data
        if self._wav is None and self._resampler is None:
            if len(self._held) < _SNIFFED:
                return b""
            self._recognise()
        return self._converted(final=False)

    def close(self) -> bytes:
        """Return the last sound.

        Raises:
            NoSound, CompressedSound, CutOffSound: see there.
        """
        if self._wav is None and self._resampler is None:
            if not self._held:
                raise NoSound
            self._recognise()
        sound = self._converted(final=True)
        return sound + (self._resampler.close() if self._resampler else b"")

    def _recognise(self) -> None:
        if self._held[:4] in (b"RIFF", b"RF64", b"BW64"):
            self._wav = WavStream()
        elif _NAMED_COMPRESSED.match(self._type) or (
            not self._asked_pcm and _COMPRESSED.match(self._held)
        ):
            raise CompressedSound
        elif not self._asked_pcm or not self._may_be_pcm():
            raise NoSound
        else:
            found = _RATE.search(self._type)
            self._resampler = Resampler(int(found[1]) if found else PCM_RATE_HZ, self._to_hz)

    def _may_be_pcm(self) -> bool:
        return self._type.startswith(("audio/", "application/octet-stream")) or not self._type

    def _converted(self, *, final: bool) -> bytes:
        data, self._held = self._held, b""
        if self._wav is not None:
            try:
                data = self._wav.feed(data) + (self._wav.close() if final else b"")
            except UnreadableWav:
                raise NoSound from None
            except CutOffWav:
                raise CutOffSound from None
            if not self._wav.rate_hz:
                return b""
            self._resampler = self._resampler or Resampler(self._wav.rate_hz, self._to_hz)
        else:
            end = len(data) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE
            data, self._held = data[:end], data[end:]
        assert self._resampler is not None
        return self._resampler.feed(data)
