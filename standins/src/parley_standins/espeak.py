"""The espeak-ng library, through ctypes: text in, 22.05 kHz PCM and word times out.

It is not for use in a server's own process: espeak-ng keeps state from one utterance
to the next (oscillator phases, pitch flutter), is not thread-safe, and ends the
process on some errors. `espeak_worker` calls it in a fresh child for each utterance.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field

import espeakng_loader

SAMPLE_RATE_HZ = 22050
"""What espeak-ng 1.52's own voices are made at; checked when it is initialised."""

# From espeak-ng's speak_lib.h.
_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_END_PAUSE = 0x1000
_POS_CHARACTER = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_EVENT_LIST_TERMINATED, _EVENT_WORD = 0, 1
_BUFFER_MS = 200


class EspeakError(Exception):
    """The library could not be loaded, or does not know a voice."""


class _EventId(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True, slots=True)
class Utterance:
    """What to say and how.

    Attributes:
        voice: espeak-ng's name, with a variant: `en-us+f5`.
        words_per_minute: 80 to 450.
        pitch: 0 to 99; 50 is the voice's own.
        pitch_range: 0 to 99; 50 is the voice's own.
    """

    text: str
    voice: str
    words_per_minute: int
    pitch: int
    pitch_range: int


@dataclass(slots=True)
class Spoken:
    """Signed 16-bit mono at `SAMPLE_RATE_HZ`, and where its words begin.

    Attributes:
        words: (first character from 0, number of characters, first sample) of each.
    """

    pcm: bytes = b""
    words: list[tuple[int, int, int]] = field(default_factory=list)


class Espeak:
    """The library, initialised once per process."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise EspeakError(f"espeak-ng can't be loaded: {error}") from None
        rate = self._library.espeak_Initialize(
            _OUTPUT_SYNCHRONOUS,
            _BUFFER_MS,
            espeakng_loader.get_data_path().encode(),
            _INITIALIZE_DONT_EXIT,
        )
        if rate != SAMPLE_RATE_HZ:
            raise EspeakError(f"espeak-ng did not start: it answered {rate} as its sample rate")
        self._callback: Callable[..., int] | None = None

    def select_voice(self, voice: str) -> None:
        """Load a voice and its dictionary.

        Raises:
            EspeakError: there is no such voice.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise EspeakError(f"espeak-ng has no voice {voice!r}")

    def speak(self, utterance: Utterance) -> Spoken:
        """Synthesise. In a fresh process, equal utterances give equal bytes.

        Raises:
            EspeakError: there is no such voice.
        """
        pieces: list[bytes] = []
        spoken = Spoken()

        def collect(
            wave: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]
        ) -> int:
            if count > 0:
                pieces.append(ctypes.string_at(wave, count * 2))
            _note_words(events, spoken.words)
            return 0

        self.select_voice(utterance.voice)
        # Breathy voices mix in noise.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        # The library keeps no reference of its own to the callback.
        self._callback = _SynthCallback(collect)
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_SetParameter(_RATE, utterance.words_per_minute, 0)
        self._library.espeak_SetParameter(_PITCH, utterance.pitch, 0)
        self._library.espeak_SetParameter(_RANGE, utterance.pitch_range, 0)
        text = utterance.text.encode() + b"\0"
        self._library.espeak_Synth(
            text, len(text), 0, _POS_CHARACTER, 0, _CHARS_UTF8 | _END_PAUSE, None, None
        )
        spoken.pcm = b"".join(pieces)
        return spoken


def _note_words(events: ctypes._Pointer[_Event], words: list[tuple[int, int, int]]) -> None:
    index = 0
    while True:
        event = events[index]
        if event.type == _EVENT_LIST_TERMINATED:
            return
        if event.type == _EVENT_WORD and event.length > 0:
            words.append((event.text_position - 1, event.length, event.sample))
        index += 1
