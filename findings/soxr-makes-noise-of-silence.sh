#!/bin/sh
# soxr 1.1.0
# Guess: resampled silence is silence, and a stream is the same however it is cut into chunks.
# Behaviour: int16 is dithered: zeros come out as -1, 0 and 1, and the same samples in other chunks
#   come out otherwise. float32, rounded by the caller, is exact in both.
# Hurts: detectors of silence, tests that compare bytes, and encoders that skip silence.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check soxr==1.1.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import soxr

silence = np.zeros(22_050, np.int16)
as_int16 = soxr.resample(silence, 22_050, 16_000)
as_float = soxr.resample(silence.astype(np.float32), 22_050, 16_000)
print("int16 zeros become", sorted(set(as_int16.tolist())))
print("float32 zeros become", sorted(set(as_float.tolist())))
tone = 3000 * np.sin(np.arange(20_000) / 20)


def streamed(kind, cuts):
    stream = soxr.ResampleStream(22_050, 16_000, 1, dtype=kind)
    chunks = np.split(tone.astype(kind), cuts)
    return np.rint(np.concatenate([stream.resample_chunk(chunk) for chunk in chunks]))


same = {}
for kind in ("int16", "float32"):
    once, cut = streamed(kind, []), streamed(kind, [777, 5001])
    size = min(once.size, cut.size)
    same[kind] = bool(np.array_equal(once[:size], cut[:size]))
    print(f"{kind}: a stream in other chunks is the same: {same[kind]}")
wanted = {"int16": False, "float32": True}
sys.exit(not as_int16.any() or bool(as_float.any()) or same != wanted)
PYTHON
