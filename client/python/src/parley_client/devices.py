"""This machine's microphone and speaker, through the optional `sounddevice`.

PortAudio calls from a thread of its own. `Recording` and `Playing` are what it
shares with the event loop, and know no hardware; `microphone` and `Speaker` are
the few lines that do.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

from parley_client.errors import BadInput, ParleyClientError
from parley_client.pcm import BYTES_PER_SAMPLE, duration_ms

BLOCK_MS = 20
"""How much sound PortAudio hands over at a time."""


class NoDevice(ParleyClientError):
    """The microphone or the speaker cannot be used."""

    code = "no_device"


class Recording:
    """What a microphone hears. Iterate over it; it ends with `stop`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()

    def feed(self, pcm: bytes) -> None:
        """More sound; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody listens
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, pcm)

    def stop(self) -> None:
        """The utterance is over."""
        # by the same way as the sound, so that it comes after it
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (pcm := await self._pieces.get()) is not None:
            yield pcm


class Playing:
    """What a speaker has to play. The event loop fills it, the speaker's thread empties it."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting = bytearray()
        self._taken_bytes = 0
        self._silent = asyncio.Event()
        self._silent.set()

    def add(self, pcm: bytes) -> None:
        """More to play."""
        with self._lock:
            self._waiting += pcm
            if self._waiting:
                self._silent.clear()

    def take(self, count: int) -> bytes:
        """The next `count` bytes, with silence for what is not there; from any thread."""
        with self._lock:
            pcm = bytes(self._waiting[:count])
            del self._waiting[:count]
            self._taken_bytes += len(pcm)
            empty = not self._waiting
        if empty and pcm:
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits
                self._loop.call_soon_threadsafe(self._drained)
        return pcm + bytes(count - len(pcm))

    def cut(self) -> None:
        """Play no more of it."""
        with self._lock:
            self._waiting.clear()
        self._silent.set()

    @property
    def played_ms(self) -> float:
        """How much sound has been taken, silence aside."""
        return duration_ms(self._taken_bytes, self._rate_hz)

    async def played(self) -> None:
        """Wait until there is nothing to play."""
        await self._silent.wait()

    def _drained(self) -> None:
        with self._lock:
            if not self._waiting:
                self._silent.set()


@contextlib.contextmanager
def microphone(recording: Recording, rate_hz: int) -> Iterator[None]:
    """Record while entered: 16-bit mono.

    Raises:
        BadInput: `sounddevice` is not installed.
        NoDevice: there is no microphone, or it is not to be had.
    """
    sounddevice = _sounddevice()

    def hear(pcm: Any, frames: int, time: object, status: object) -> None:
        recording.feed(bytes(pcm))

    with _explained(sounddevice, "microphone"):
        stream = sounddevice.RawInputStream(
            samplerate=rate_hz,
            blocksize=rate_hz * BLOCK_MS // 1000,
            channels=1,
            dtype="int16",
            callback=hear,
        )
        stream.start()
    try:
        yield
    finally:
        stream.close()


class Speaker:
    """Plays one reply while entered.

    Raises:
        BadInput: `sounddevice` is not installed.
        NoDevice: there is no speaker, or it is not to be had.
    """

    def __init__(self, rate_hz: int) -> None:
        sounddevice = _sounddevice()
        self.sound = Playing(rate_hz)
        with _explained(sounddevice, "speaker"):
            self._stream = sounddevice.RawOutputStream(
                samplerate=rate_hz,
                blocksize=rate_hz * BLOCK_MS // 1000,
                channels=1,
                dtype="int16",
                callback=self._play,
            )
            self._stream.start()

    @property
    def played_ms(self) -> float:
        """How much of the reply has left the speaker, not only the buffer."""
        latency_ms = float(self._stream.latency) * 1000
        return max(0.0, self.sound.played_ms - latency_ms)

    async def close(self) -> None:
        """Let go of it, once what it has taken has sounded."""
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._stream.stop()  # waits; `close` alone drops what is on its way to the speaker
        self._stream.close()

    def _play(self, out: Any, frames: int, time: object, status: object) -> None:
        out[:] = self.sound.take(frames * BYTES_PER_SAMPLE)


def check_sounddevice() -> None:
    """See whether there can be sound.

    Raises:
        BadInput: `sounddevice` is not installed.
        NoDevice: PortAudio is not.
    """
    _sounddevice()


def _sounddevice() -> ModuleType:
    try:
        import sounddevice
    except ImportError:
        raise BadInput(
            "The microphone needs the package sounddevice: pip install sounddevice."
        ) from None
    except OSError as missing:  # the wheels for Linux do not carry PortAudio
        raise NoDevice(
            f"{missing}. Install PortAudio (Debian, Ubuntu: apt-get install libportaudio2)."
        ) from None
    module: ModuleType = sounddevice
    return module


@contextlib.contextmanager
def _explained(sounddevice: ModuleType, device: str) -> Iterator[None]:
    try:
        yield
    except sounddevice.PortAudioError as failed:
        raise NoDevice(f"The {device} cannot be used: {failed}.") from None
