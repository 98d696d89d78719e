#!/bin/sh
# av 18.1.0 (PyAV)
# Guess: a WAV that is written into a BytesIO, from which a server takes and clears what is there after
#   every packet, ends with its last sample: its header says 0xFFFFFFFF, "size not known yet".
# Behaviour: close() goes back to the header to put the sizes in. The header is gone, so BytesIO fills
#   up with zeros: 78 bytes, which the listener gets as the last samples, a click. An output that can
#   only write, without seek, gets none.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import av
import numpy as np


class OnlyWrite:
    """A file that cannot seek."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:
        self.data += bytes(data)
        return len(data)


def encode(output: object, take) -> bytes:
    container = av.open(output, "w", format="wav")
    stream = container.add_stream("pcm_s16le", rate=24_000, layout="mono")
    sent = b""
    for start in range(0, 1_440, 480):
        samples = np.full((1, 480), 1000, np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 24_000, start
        container.mux(stream.encode(frame))
        sent += take(output)
    container.mux(stream.encode(None))
    container.close()
    return sent + take(output)


def empty(buffer: io.BytesIO) -> bytes:
    data = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate(0)
    return data


def after_samples(wav: bytes) -> bytes:
    return wav[wav.index(b"data") + 8 + 3 * 960 :]


end = after_samples(encode(io.BytesIO(), empty))
plain = OnlyWrite()
encode(plain, lambda _output: b"")
print(f"after the last sample, from a BytesIO: {len(end)} bytes, {end.count(0)} of them zero")
print(f"after the last sample, from a file that only writes: {len(after_samples(plain.data))} bytes")
sys.exit((len(end), end.count(0), after_samples(plain.data)) != (78, 74, b""))
PYTHON
