"""µ-law, coded as a reference implementation does."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

from parley_client.mulaw import encode_mulaw

REFERENCE = json.loads((Path(__file__).parents[3] / "tests" / "mulaw.json").read_text())


def test_every_sample_is_coded_as_the_reference_codes_it() -> None:
    coded = encode_mulaw(struct.pack("<65536h", *range(-32_768, 32_768)))
    assert hashlib.sha256(coded).hexdigest() == REFERENCE["codes_sha256"]


def test_every_code_is_what_its_sample_is_coded_as() -> None:
    coded = encode_mulaw(struct.pack("<256h", *REFERENCE["samples"]))
    different = [code for code in range(256) if coded[code] != code]
    assert different == [0x7F], "two codes are silence"


def test_an_odd_number_of_samples_is_followed_by_silence() -> None:
    assert encode_mulaw(b"\0\0" * 3) == b"\xff" * 4
    assert encode_mulaw(b"") == b""
