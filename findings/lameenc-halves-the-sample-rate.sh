#!/bin/sh
# lameenc 1.9.0
# Guess: an encoder that is told 44,100 Hz at 32 kbit/s writes an MP3 of 44,100 Hz.
# Behaviour: it writes 22,050 Hz, without a word; set_out_sample_rate is needed as well.
# Hurts: a player that is told 44,100 Hz plays it an octave too high and twice as fast.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check lameenc==1.9.0
"$folder/venv/bin/python" - <<'PYTHON'
import lameenc
import sys

RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000)}


def rate_of(told: bool) -> int:
    encoder = lameenc.Encoder()
    encoder.set_channels(1)
    encoder.set_bit_rate(32)
    encoder.set_in_sample_rate(44_100)
    if told:
        encoder.set_out_sample_rate(44_100)
    encoder.silence()
    data = bytes(encoder.encode(bytes(2 * 44_100))) + bytes(encoder.flush())
    assert data[0] == 0xFF and data[1] & 0xE6 == 0xE2, "a frame of layer III"
    return RATES_HZ[data[1] >> 3 & 3][data[2] >> 2 & 3]


found, told = rate_of(told=False), rate_of(told=True)
print(f"in 44100 Hz at 32 kbit/s: written {found} Hz; told the rate of the output: {told} Hz")
sys.exit((found, told) != (22_050, 44_100))
PYTHON
