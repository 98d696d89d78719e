"""WAV audio of a server that still makes it: any PCM in, 16-bit mono out, as the bytes come.

The header of a stream is written before its length is known. Sizes of 0 and from 0x7FFF0000 on mean
"until the end". `parley.audio.wav` reads whole files, as clients send them, and is stricter.
"""

from __future__ import annotations

import array
import struct

from parley.audio.pcm import BYTES_PER_SAMPLE

MAX_HEADER_BYTES = 64 * 1024
"""Chunks before the sound, such as LIST, have some hundred bytes."""
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_UNKNOWN_FROM = 0x7FFF0000
_READABLE = {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32), (_FLOAT, 64)}


class UnreadableWav(ValueError):
    """This is no WAV audio, or none that can be read."""


class CutOffWav(ValueError):
    """The audio ended before what its header announced."""


class WavStream:
    """Reads one stream.

    Attributes:
        rate_hz: the sample rate; 0 until the header has come.
    """

    def __init__(self) -> None:
        self.rate_hz = 0
        self._channels = self._bits = self._code = 0
        self._held = b""
        self._header: bytes | None = None
        self._left: int | None = None
        self._data_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """Return the next sound: 16-bit mono PCM at `rate_hz`.

        Raises:
            UnreadableWav: the header says that it cannot be read.
        """
        self._held += data
        if self._header is None and not self._read_header():
            return b""
        return self._take(held_back=0 if self._left is not None else len(self._header or b""))

    def close(self) -> bytes:
        """Return the last sound.

        Raises:
            CutOffWav: less came than was announced, or not even a header.
        """
        if self._header is None:
            raise CutOffWav
        if self._left is None and self._ends_in_header():
            self._held = self._held[: -len(self._header)]
        sound = self._take(held_back=0)
        if self._left:
            raise CutOffWav
        return sound

    def _read_header(self) -> bool:
        """Read the chunks up to the sound; return whether the sound has begun."""
        held = self._held
        if len(held) < 12:
            return False
        if held[:4] not in (b"RIFF", b"RF64", b"BW64") or held[8:12] != b"WAVE":
            raise UnreadableWav
        at = 12
        while at + 8 <= len(held):
            name, size = held[at : at + 4], struct.unpack_from("<I", held, at + 4)[0]
            start = at + 8
            if name == b"data":
                if not self.rate_hz:
                    raise UnreadableWav
                self._header, self._held = held[:start], held[start:]
                self._left = size if 0 < size < _UNKNOWN_FROM else None
                return True
            if start + size > MAX_HEADER_BYTES:
                raise UnreadableWav
            if name == b"fmt " and len(held) >= start + size:
                self._read_format(held[start : start + size])
            at = start + size + size % 2
        return False

    def _read_format(self, body: bytes) -> None:
        if len(body) < 16:
            raise UnreadableWav
        code, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", body)
        if code == _EXTENSIBLE and len(body) >= 26:
            code = struct.unpack_from("<H", body, 24)[0]
        if (code, bits) not in _READABLE or not channels or not 4_000 <= rate_hz <= 192_000:
            raise UnreadableWav
        self._code, self._channels, self.rate_hz, self._bits = code, channels, rate_hz, bits

    def _ends_in_header(self) -> bool:
        """Return whether a header's sizes come behind the sound.

        A writer that cannot go back in what it has sent sends them again, among zeros, where they
        would stand in a file. PyAV's `wav` muxer does, on a buffer that is emptied after each
        piece, and so do Kokoro-FastAPI's releases before its issue 497. Read as sound, they click.
        """
        size = len(self._header or b"")
        if len(self._held) < size:
            return False
        told = struct.unpack_from("<I", self._held, len(self._held) - 4)[0]
        before = self._data_bytes + len(self._held) - size
        return bool(told == before > 0)

    def _take(self, *, held_back: int) -> bytes:
        frame = self._channels * self._bits // 8
        count = len(self._held) - held_back
        if self._left is not None:
            count = min(count, self._left)
        count = max(count, 0) // frame * frame
        raw, self._held = self._held[:count], self._held[count:]
        self._data_bytes += count
        if self._left is not None:
            self._left = self._left - count if self._left - count >= frame else 0
        return _mixed(_as_16_bit(raw, self._code, self._bits), self._channels)


def _as_16_bit(raw: bytes, code: int, bits: int) -> bytes:
    if bits == 16:
        return raw
    if code == _FLOAT:
        values = array.array("f" if bits == 32 else "d", raw)
        scaled = (round(min(max(value * 32_768, -32_768.0), 32_767.0)) for value in values)
        return array.array("h", scaled).tobytes()
    width = bits // 8
    found = bytearray(len(raw) // width * BYTES_PER_SAMPLE)
    if width == 1:  # unsigned
        found[1::2] = raw.translate(_SIGNED)
    else:
        found[0::2], found[1::2] = raw[width - 2 :: width], raw[width - 1 :: width]
    return bytes(found)


_SIGNED = bytes(value ^ 0x80 for value in range(256))


def _mixed(pcm: bytes, channels: int) -> bytes:
    """Return the mean of the channels."""
    if channels == 1:
        return pcm
    samples = array.array("h", pcm)
    each = [samples[channel::channels] for channel in range(channels)]
    return array.array("h", (sum(one) // channels for one in zip(*each, strict=True))).tobytes()
