"""Stands in for PortAudio in the tests of `talk --microphone`: a microphone that hears
a constant tone, and a speaker that writes what it plays to `$FAKE_SPEAKER`. Both keep
time as hardware does and call back from threads of their own. What the speaker has taken
sounds after its latency: `stop` waits for that, `close` alone drops it."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

SAMPLE = b"\x10\x27"  # 10,000


class PortAudioError(Exception):
    """What PortAudio complains of."""


class _Stream:
    latency = 0.1

    def __init__(
        self,
        *,
        samplerate: int,
        blocksize: int,
        channels: int,
        dtype: str,
        callback: Callable[[Any, int, object, object], None],
    ) -> None:
        assert (channels, dtype) == (1, "int16")
        if os.environ.get("FAKE_NO_DEVICE"):
            raise PortAudioError("Error querying device -1")
        self.blocksize = blocksize
        self.callback = callback
        self._period_s = blocksize / samplerate
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        next_s = time.monotonic() + self._period_s
        while not self._stopped.wait(max(0.0, next_s - time.monotonic())):
            next_s += self._period_s
            self.block()

    def block(self) -> None:
        raise NotImplementedError


class RawInputStream(_Stream):
    """The microphone."""

    def block(self) -> None:
        self.callback(memoryview(SAMPLE * self.blocksize), self.blocksize, None, None)


class RawOutputStream(_Stream):
    """The speaker."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._taken: deque[tuple[float, bytes]] = deque()

    def block(self) -> None:
        taken = bytearray(2 * self.blocksize)
        self.callback(memoryview(taken), self.blocksize, None, None)
        self._taken.append((time.monotonic() + self.latency, bytes(taken)))
        self._sound()

    def stop(self) -> None:
        self.close()
        while self._taken:
            time.sleep(max(0.0, self._taken[0][0] - time.monotonic()))
            self._sound()

    def _sound(self) -> None:
        """Play what has been under way for long enough."""
        with open(os.environ["FAKE_SPEAKER"], "ab") as speaker:
            while self._taken and self._taken[0][0] <= time.monotonic():
                speaker.write(self._taken.popleft()[1])
