"""µ-law (ITU-T G.711): 16-bit PCM in 8 bits a sample, finer where it is quiet.

`audioop` had it until Python 3.12.
"""

from __future__ import annotations

import functools

from parley_client.pcm import samples_of

_BIAS = 33
"""Added to every magnitude of 14 bits before it is coded."""
_LOUDEST = 8_191 - _BIAS
_SILENCE = b"\xff"


def encode_mulaw(pcm: bytes) -> bytes:
    """Code 16-bit PCM, a byte for each sample.

    The server takes pairs: one more of silence follows an odd number of samples.
    """
    table = _table()
    coded = bytes([table[sample >> 2] for sample in samples_of(pcm)])
    return coded + _SILENCE if len(coded) % 2 else coded


@functools.cache
def _table() -> bytes:
    """Return the codes of samples of 14 bits; those of negative ones are at its end, where negative
    indices find them."""
    positive = bytes([_code(sample) for sample in range(8_192)])
    negative = bytes([_code(sample) for sample in range(-8_192, 0)])
    return positive + negative


def _code(sample: int) -> int:
    magnitude = min(abs(sample), _LOUDEST) + _BIAS
    exponent = magnitude.bit_length() - 6
    mantissa = magnitude >> (exponent + 1) & 15
    return ~((0x80 if sample < 0 else 0) | exponent << 4 | mantissa) & 0xFF
