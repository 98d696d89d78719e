"""Whether an utterance may hold speech at all, told by its loudness.

A speech recogniser of the Whisper kind writes words for silence: "Thank you.", "Thanks for
watching!". What holds no speech is better not sent to one. The gate errs on the side of sending:
speech that is withheld is a turn that is lost, and noise that is sent costs a request.

Speech is uneven: within 100 ms it rises out of its own pauses. Noise that stays as it is does not,
however loud. So an utterance is silent if it is below a floor, or if it is even. A single word that
was recorded without a pause is even too, so what is short and loud is always sent.

Levels are those of the difference to the sample half a millisecond before. That weakens the hum of
mains and the rumble of rooms and cars, which rise and fall more than other noise, and leaves the
vowels, around 500 Hz and above. A tone of 2 kHz or a multiple vanishes, and is no speech.
"""

from __future__ import annotations

import array
import math
from operator import mul, sub

from parley.audio.pcm import byte_count

FRAME_MS = 20
FLOOR_DBFS = -60.0
"""What is below is silence: speech at a laptop's microphone has -40 to -20 dBFS."""
RISE_DB = 6.0
"""How far speech rises above the quietest tenth of its frames. Measured on 0.3 to 10 s: white noise
1.8 dB at most, pink 2.3, brown 3.4, hum 0, a fan whose loudness sways by a fifth 5.5. The six
espeak-ng voices of the stand-ins, with a pause of 150 ms around them or with three words at least:
33 dB in silence, 10.9 in noise 10 dB below the voice, 6.6 in noise 5 dB below it."""
SPEECH_MS = 80
"""How much of an utterance must rise that far, in all. A click of a key or of the microphone's
switch is shorter."""
SHORT_MS = 700
LOUD_DBFS = -45.0
"""What is shorter and louder is sent, however even it is. Measured: single words of those voices,
cut off at both ends, rise by 3 dB, and at -41 dBFS have -38 here."""


class EnergyGate:
    """Measures one utterance as it comes.

    Args:
        rate_hz: of its samples.
    """

    def __init__(self, rate_hz: int) -> None:
        self._frame_bytes = byte_count(FRAME_MS, rate_hz)
        self._lag = rate_hz // 2_000
        self._rest = b""
        self._levels: list[float] = []

    def feed(self, pcm: bytes) -> None:
        """Take the next audio. It may end in the middle of a sample."""
        data = self._rest + pcm
        size = self._frame_bytes
        end = len(data) // size * size
        for at in range(0, end, size):
            self._levels.append(_level_dbfs(data[at : at + size], self._lag))
        self._rest = data[end:]

    def may_be_speech(self) -> bool:
        """Return whether what came so far may hold speech."""
        if not self._levels:
            return False
        ordered = sorted(self._levels)
        quiet = ordered[len(ordered) // 10]
        # The level that so many frames reach.
        loud = ordered[-min(SPEECH_MS // FRAME_MS, len(ordered))]
        if len(ordered) * FRAME_MS < SHORT_MS and loud >= LOUD_DBFS:
            return True
        return loud >= FLOOR_DBFS and loud >= quiet + RISE_DB


def _level_dbfs(frame: bytes, lag: int) -> float:
    samples = array.array("h", frame)
    differences = list(map(sub, samples[lag:], samples))
    power = sum(map(mul, differences, differences)) / len(differences)
    return 10 * math.log10(max(power, 1e-3) / 32_768**2)
