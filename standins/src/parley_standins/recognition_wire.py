"""What a server and its recognition workers say to each other.

In: a header (one byte of kind, a 4-byte big-endian length) and the payload. `A` is
audio, 16-bit mono at 16 kHz; `E` ends the utterance; `X` forgets it. Out: a JSON line
each: `{"ready": true}` once, then `{"partial": text}` when that changes, `{"final":
text, "words": [[word, start_s, end_s, log_probability], ...]}` for each `E`,
`{"forgotten": true}` for each `X`.
"""

from __future__ import annotations

import struct

HEADER = struct.Struct(">cI")
SAMPLE_RATE_HZ = 16_000
