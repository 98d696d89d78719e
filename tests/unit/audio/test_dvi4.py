"""DVI4, decoded as a reference implementation does."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from parley.audio.dvi4 import decode_dvi4

PIECES = json.loads((Path(__file__).parents[2] / "dvi4.json").read_text())["pieces"]


def test_every_block_is_decoded_by_itself_as_the_reference_decodes_it() -> None:
    for piece in reversed(PIECES):
        decoded = decode_dvi4(base64.b64decode(piece["block"]))
        assert decoded == base64.b64decode(piece["decoded"])


def test_a_header_alone_is_no_audio() -> None:
    assert decode_dvi4(b"\x12\x34\x58\0") == b""


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"", "expected at least 4 bytes, the header; got 0"),
        (b"\0\0", "expected at least 4 bytes, the header; got 2"),
        (b"\0\0\x59\0\0\0", "expected a step index of 0 to 88 in the third byte; got 89"),
    ],
)
def test_what_is_no_block_is_refused_with_what_is_expected(block: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        decode_dvi4(block)
