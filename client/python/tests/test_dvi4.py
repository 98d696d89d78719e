"""DVI4, coded as a reference implementation does."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

from parley_client.dvi4 import Dvi4Encoder

PIECES = json.loads((Path(__file__).parents[3] / "tests" / "dvi4.json").read_text())["pieces"]


def test_a_stream_is_coded_block_by_block_as_the_reference_codes_it() -> None:
    encoder = Dvi4Encoder()
    for piece in PIECES:
        assert encoder.encode(base64.b64decode(piece["pcm"])) == base64.b64decode(piece["block"])


def test_a_block_is_filled_up_with_its_last_sample() -> None:
    samples = (5, 900, -800, 7, 3_000)
    filled = samples + 3 * samples[-1:]
    odd, even = (
        Dvi4Encoder().encode(struct.pack(f"<{len(each)}h", *each)) for each in (samples, filled)
    )
    assert odd == even
    assert len(odd) == 4 + len(filled) // 2
    assert Dvi4Encoder().encode(b"") == bytes(4)
