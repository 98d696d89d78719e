"""DVI4: IMA ADPCM, 16-bit PCM in 4 bits a sample, as RTP has it (RFC 3551, section 4.5.1)."""

from __future__ import annotations

import struct

from parley_client.pcm import samples_of

HEADER_BYTES = 4
# fmt: off
_STEPS = (
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66,
    73, 80, 88, 97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408,
    449, 494, 544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066,
    2272, 2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630,
    9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794,
    32767,
)
# fmt: on
_INDEX_CHANGES = (-1, -1, -1, -1, 2, 4, 6, 8)
_LAST = len(_STEPS) - 1


class Dvi4Encoder:
    """Code one stream of 16-bit PCM, block by block. Each block can be decoded by itself."""

    def __init__(self) -> None:
        self._value = self._index = 0

    def encode(self, pcm: bytes) -> bytes:
        """Code the next piece.

        A block has an even number of bytes: up to three samples like the last one follow.
        """
        value, index = self._value, self._index
        block = bytearray(struct.pack(">hBB", value, index, 0))
        samples = list(samples_of(pcm))
        samples += samples[-1:] * (-len(samples) % 4)
        codes = []
        for sample in samples:
            step = _STEPS[index]
            rest = sample - value
            code = 8 if rest < 0 else 0
            rest = abs(rest)
            change = step >> 3
            for bit in (4, 2, 1):
                if rest >= step:
                    code |= bit
                    rest -= step
                    change += step
                step >>= 1
            value += -change if code & 8 else change
            value = min(max(value, -32_768), 32_767)
            index = min(max(index + _INDEX_CHANGES[code & 7], 0), _LAST)
            codes.append(code)
        block += bytes(high << 4 | low for high, low in zip(codes[::2], codes[1::2], strict=True))
        self._value, self._index = value, index
        return bytes(block)
