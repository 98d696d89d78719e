"""What a server and its recognition workers say to each other.

In: a header (one byte of kind, a 4-byte big-endian length) and the payload. `A` is
audio, 16-bit mono at 16 kHz; `E` ends the utterance; `X` forgets it. Out: a JSON line
each: `{"ready": true}` once, then `{"partial": text}` when that changes, `{"final":
text, "words": [[word, start_s, end_s, log_probability], ...]}` for each `E`,
`{"forgotten": true}` for each `X`.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import Any, BinaryIO

HEADER = struct.Struct(">cI")
SAMPLE_RATE_HZ = 16_000


def read_frame(source: BinaryIO) -> tuple[bytes, bytes] | None:
    """Return kind and payload of the next frame; None at the end."""
    header = _read(source, HEADER.size)
    if len(header) < HEADER.size:
        return None
    kind, length = HEADER.unpack(header)
    payload = _read(source, length)
    return (kind, payload) if len(payload) == length else None


def _read(source: BinaryIO, size: int) -> bytes:
    """Return so many bytes, or what there is before the end: a raw file gives them in pieces."""
    data = b""
    while len(data) < size and (piece := source.read(size - len(data))):
        data += piece
    return data


def say(content: dict[str, Any]) -> None:
    """Write an answer."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()
