"""Arithmetic of PCM (16-bit little-endian mono), and the packets that it is sent in."""

from __future__ import annotations

BYTES_PER_SAMPLE = 2

PACKET_MS = (50, 100, 200, 400, 800)
"""Lengths of the first packets of a reply; the last one repeats, as far as it fits. The first is
short, so that sound starts early. Later ones grow, so that there are few posts."""
MAX_PACKET_BYTES = 22_000
"""In base64 and JSON such a packet stays below 32 KB, API Gateway's unit of metering. 458 ms at
24 kHz."""


def sample_rate_hz(audio_format: str) -> int:
    """Return the sample rate that a format such as `pcm_16000` names."""
    return int(audio_format.removeprefix("pcm_"))


def duration_ms(byte_count: int, rate_hz: int) -> float:
    """Return how long PCM of `byte_count` bytes sounds."""
    return byte_count * 1000 / (BYTES_PER_SAMPLE * rate_hz)


def byte_count(milliseconds: float, rate_hz: int) -> int:
    """Return the bytes of the whole samples in a time, rounded down."""
    return int(milliseconds * rate_hz / 1000) * BYTES_PER_SAMPLE


class AudioPacker:
    """Collects PCM as it is synthesised, and returns it in packets that grow.

    Args:
        rate_hz: sample rate of the audio.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._pending = bytearray()
        self._packets = 0
        self._taken_bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of audio that have not been taken."""
        return len(self._pending)

    @property
    def taken_bytes(self) -> int:
        """Bytes of audio that have been taken since the start of the reply."""
        return self._taken_bytes

    @property
    def target_bytes(self) -> int:
        """The size of the next packet, if there is enough audio."""
        target_ms = PACKET_MS[min(self._packets, len(PACKET_MS) - 1)]
        return min(byte_count(target_ms, self.rate_hz), MAX_PACKET_BYTES)

    def add(self, pcm: bytes) -> None:
        """Append audio. It may end in the middle of a sample."""
        self._pending += pcm

    def is_full(self) -> bool:
        """Return whether a packet of the target size can be taken."""
        return len(self._pending) >= self.target_bytes

    def take_packet(self) -> bytes:
        """Return up to one packet of whole samples; empty if there is none."""
        size = min(self.target_bytes, len(self._pending))
        size -= size % BYTES_PER_SAMPLE
        packet = bytes(self._pending[:size])
        del self._pending[:size]
        if packet:
            self._packets += 1
            self._taken_bytes += size
        return packet

    def take_all(self) -> bytes:
        """Return what has not been taken, to be put into another packer. It may end in the middle
        of a sample."""
        pending = bytes(self._pending)
        self._taken_bytes += len(pending)
        self._pending.clear()
        return pending

    def drop(self) -> None:
        """Discard what has not been taken."""
        self._pending.clear()
