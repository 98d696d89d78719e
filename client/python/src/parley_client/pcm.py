"""PCM: rates, lengths, and where sound begins.

Audio is signed 16-bit little-endian mono PCM throughout, as the protocol carries it.
"""

from __future__ import annotations

import array
import sys
from collections.abc import Mapping
from typing import get_args

from parley_client.messages import AudioFormat

AUDIBLE_AMPLITUDE = 328
"""1 % of full scale (-40 dBFS): above the noise floor that speech synthesis
leaves in a pause, below any spoken sound."""
BYTES_PER_SAMPLE = 2
SAMPLE_RATES_HZ: Mapping[AudioFormat, int] = {
    kind: int(kind.removeprefix("pcm_")) for kind in get_args(AudioFormat)
}


def duration_ms(pcm_bytes: int, rate_hz: int) -> float:
    """How long that many bytes sound."""
    return pcm_bytes / BYTES_PER_SAMPLE / rate_hz * 1000


def first_audible_sample(pcm: bytes) -> int | None:
    """Index of the first sample that can be heard; None in silence."""
    return next(
        (i for i, sample in enumerate(samples_of(pcm)) if abs(sample) >= AUDIBLE_AMPLITUDE), None
    )


def samples_of(pcm: bytes) -> array.array[int]:
    """Return the samples as numbers, whatever the byte order of this machine."""
    samples = array.array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples
