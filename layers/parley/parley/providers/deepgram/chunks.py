"""Audio in the chunks that Flux is best sent, at a rate that it takes."""

from __future__ import annotations

from array import array

from parley.audio.pcm import BYTES_PER_SAMPLE, byte_count

CHUNK_MS = 80
"""As Deepgram recommends; other lengths cost accuracy or time."""
RATES_HZ = frozenset({8_000, 16_000, 24_000, 44_100, 48_000})
"""What Flux takes of raw audio (developers.deepgram.com/changelog/2025/10/16)."""


class AudioChunks:
    """Cuts PCM into chunks. A rate that Flux does not take (22,050 Hz) is doubled.

    Args:
        rate_hz: of the audio that comes in.

    Attributes:
        rate_hz: of the chunks.
    """

    def __init__(self, rate_hz: int) -> None:
        self._doubles = rate_hz not in RATES_HZ
        self.rate_hz = rate_hz * 2 if self._doubles else rate_hz
        self._chunk_bytes = byte_count(CHUNK_MS, self.rate_hz)
        self._pending = bytearray()
        self._odd = b""
        self._last = 0

    def add(self, pcm: bytes) -> list[bytes]:
        """Take the next audio, and return the chunks that are full."""
        self._pending += self._doubled(pcm) if self._doubles else pcm
        return self._take(len(self._pending) // self._chunk_bytes)

    def finish(self, silence_ms: int) -> list[bytes]:
        """Return the rest, with at least so much silence behind it, in whole chunks."""
        self._pending += bytes(len(self._pending) % BYTES_PER_SAMPLE)
        self._pending += bytes(byte_count(silence_ms, self.rate_hz))
        self._pending += bytes(-len(self._pending) % self._chunk_bytes)
        return self._take(len(self._pending) // self._chunk_bytes)

    def _take(self, count: int) -> list[bytes]:
        size = self._chunk_bytes
        chunks = [bytes(self._pending[n * size : (n + 1) * size]) for n in range(count)]
        del self._pending[: count * size]
        return chunks

    def _doubled(self, pcm: bytes) -> bytes:
        """Return the audio at twice its rate, with the mean of two samples between them."""
        pcm = self._odd + pcm
        whole = len(pcm) - len(pcm) % BYTES_PER_SAMPLE
        self._odd = pcm[whole:]
        made = array("h")
        for sample in array("h", pcm[:whole]):
            made.append((self._last + sample) // 2)
            made.append(sample)
            self._last = sample
        return made.tobytes()
