"""When a speaker has stopped, told by the loudness of the audio alone.

For the `vad` commit strategy of realtime transcription: an utterance is over after
so much silence behind so much speech.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parley_standins.recognition_wire import SAMPLE_RATE_HZ

FRAME_MS = 20
LEVEL_AT_DEFAULT = 400
"""RMS of 16-bit samples (-38 dBFS) that is speech at the default threshold of 0.4."""

_FRAME_BYTES = SAMPLE_RATE_HZ * FRAME_MS // 1000 * 2


@dataclass(frozen=True, slots=True)
class VadSettings:
    """As the realtime endpoint's query has them."""

    threshold: float = 0.4
    silence_s: float = 1.5
    min_speech_ms: int = 100
    min_silence_ms: int = 100


class EnergyVad:
    """Listens to one session."""

    def __init__(self, settings: VadSettings) -> None:
        self._level = LEVEL_AT_DEFAULT * settings.threshold / 0.4
        self._silence_ms = max(settings.silence_s * 1000, settings.min_silence_ms)
        self._min_speech_ms = settings.min_speech_ms
        self._rest = b""
        self._speech_ms = 0
        self._quiet_ms = 0

    def set_silence(self, silence_s: float) -> None:
        """Take another length of the silence that ends an utterance."""
        self._silence_ms = silence_s * 1000

    def hear(self, pcm: bytes) -> bool:
        """Take 16-bit audio at 16 kHz; whether an utterance has ended within it."""
        data = self._rest + pcm
        whole = len(data) // _FRAME_BYTES * _FRAME_BYTES
        self._rest = data[whole:]
        ended = False
        for frame in np.frombuffer(data[:whole], "<i2").reshape(-1, _FRAME_BYTES // 2):
            ended = self._frame(float(np.sqrt(np.mean(frame.astype(np.float64) ** 2)))) or ended
        return ended

    def _frame(self, level: float) -> bool:
        if level >= self._level:
            self._speech_ms += FRAME_MS
            self._quiet_ms = 0
            return False
        self._quiet_ms += FRAME_MS
        if self._quiet_ms < self._silence_ms:
            return False
        ended = self._speech_ms >= self._min_speech_ms
        self._speech_ms = 0
        return ended
