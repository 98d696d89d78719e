"""DVI4: IMA ADPCM, 16-bit PCM in 4 bits a sample, as RTP has it (RFC 3551, section 4.5.1).

Only decoded here: the clients encode. A block begins with the encoder's state, so each one is
decoded by itself. It takes 1 ms of a processor for 480 ms of speech, and no library that a cold
start would have to load.
"""

from __future__ import annotations

import functools
from array import array
from typing import Any

HEADER_BYTES = 4
"""The predicted value (16 bits, network byte order), the index of the step, and a zero."""
# fmt: off
STEPS = (
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66,
    73, 80, 88, 97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408,
    449, 494, 544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066,
    2272, 2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630,
    9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794,
    32767,
)
# fmt: on
"""IMA Digital Audio Focus and Technical Working Group, Recommended Practices for Enhancing Digital
Audio Compatibility in Multimedia Systems, revision 3.00 (1992)."""
_INDEX_CHANGES = (-1, -1, -1, -1, 2, 4, 6, 8)
_LAST = len(STEPS) - 1
_Row = list[tuple[int, Any]]
"""For each code the change of the predicted value, and the row of the step that follows."""


def decode_dvi4(block: bytes) -> bytes:
    """Return the audio as 16-bit little-endian PCM, two samples for each byte behind the header.

    Raises:
        ValueError: it is no block; says what is expected.
    """
    if len(block) < HEADER_BYTES:
        raise ValueError(f"expected at least {HEADER_BYTES} bytes, the header; got {len(block)}")
    index = block[2]
    if index > _LAST:
        raise ValueError(f"expected a step index of 0 to {_LAST} in the third byte; got {index}")
    value = int.from_bytes(block[:2], "big", signed=True)
    row = _rows()[index]
    samples = array("h")
    add = samples.append
    for byte in block[HEADER_BYTES:]:
        for code in (byte >> 4, byte & 15):
            change, row = row[code]
            value += change
            if not -32_768 <= value <= 32_767:
                value = 32_767 if value > 0 else -32_768
            add(value)
    return samples.tobytes()


@functools.cache
def _rows() -> list[_Row]:
    """Return the rows of all steps. Only a turn that is spoken needs them."""
    rows: list[_Row] = [[] for _ in STEPS]
    for index, step in enumerate(STEPS):
        for code in range(16):
            change = step >> 3
            change += (step if code & 4 else 0) + (step >> 1 if code & 2 else 0)
            change += step >> 2 if code & 1 else 0
            next_index = min(max(index + _INDEX_CHANGES[code & 7], 0), _LAST)
            rows[index].append((-change if code & 8 else change, rows[next_index]))
    return rows
