"""µ-law, decoded as a reference implementation does."""

from __future__ import annotations

import json
from pathlib import Path

from parley.audio.mulaw import decode_mulaw

REFERENCE = json.loads((Path(__file__).parents[2] / "mulaw.json").read_text())


def test_every_code_is_the_sample_of_the_reference() -> None:
    pcm = decode_mulaw(bytes(range(256)))
    samples = [
        int.from_bytes(pcm[at : at + 2], "little", signed=True) for at in range(0, len(pcm), 2)
    ]
    assert samples == REFERENCE["samples"]


def test_no_audio_is_no_audio() -> None:
    assert decode_mulaw(b"") == b""
