"""Speech cut into the pieces that are sent: small ones first, each with its characters' times."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from parley_standins.alignment import CharacterTimes
from parley_standins.audio_formats import AudioFormat, Encoder
from parley_standins.elevenlabs_service import SpeechService
from parley_standins.fault_injection import sleep_until
from parley_standins.speaker import SpokenSentence
from parley_standins.voices import Voice, VoiceSettings

FIRST_PIECE_MS = 100
PIECE_MS = 200


@dataclass(frozen=True, slots=True)
class SpokenPiece:
    """One frame's worth of audio.

    Attributes:
        audio: encoded; may be empty where an encoder keeps audio back.
        times: of the characters that begin in it, from its start.
        offset_ms: where it starts in the whole of what was asked for.
    """

    audio: bytes
    times: CharacterTimes
    offset_ms: float


async def stream_speech(
    service: SpeechService,
    text: str,
    voice: Voice,
    settings: VoiceSettings,
    audio_format: AudioFormat,
    encoder: Encoder,
    triggered: float,
) -> AsyncIterator[SpokenPiece]:
    """Say a text, each piece no sooner than the set delays allow.

    Args:
        service: the engines and the delays.
        text: what to say.
        voice: in which voice.
        settings: changes of the voice.
        audio_format: in which `encoder` encodes.
        encoder: of the whole stream, of which this text may be a part.
        triggered: the time, of `time.monotonic()`, from which the first byte's delay counts.

    Raises:
        SpeechFailed: the engine can't.
    """
    delays = service.settings.delays
    due = triggered + delays.tts_first_byte_ms / 1000
    offset_ms = 0.0
    began: float | None = None
    speech = service.speaker.speak(text, voice, settings, audio_format.rate_hz)
    async for sentence in speech:
        for start_ms, end_ms in _spans(sentence.duration_ms, first=offset_ms == 0):
            piece = _piece(
                sentence,
                start_ms,
                end_ms,
                encoder,
                offset_ms,
                whole=service.settings.oddities.tts_alignment_on_first_frame,
            )
            await sleep_until(due)
            began = began or time.monotonic()
            yield piece
            if delays.tts_realtime_factor:
                due = began + (offset_ms + end_ms) / 1000 / delays.tts_realtime_factor
        offset_ms += sentence.duration_ms


def _spans(duration_ms: float, *, first: bool) -> Iterator[tuple[float, float]]:
    start, end = 0.0, float(FIRST_PIECE_MS if first else PIECE_MS)
    while start < duration_ms:
        # A tail too short for a frame of its own goes with the last one.
        if duration_ms - end < PIECE_MS / 2:
            end = duration_ms
        yield start, end
        start, end = end, end + PIECE_MS


def _piece(
    sentence: SpokenSentence,
    start_ms: float,
    end_ms: float,
    encoder: Encoder,
    offset_ms: float,
    *,
    whole: bool,
) -> SpokenPiece:
    per_ms = sentence.rate_hz / 1000
    last = end_ms >= sentence.duration_ms
    samples = sentence.samples[round(start_ms * per_ms) : None if last else round(end_ms * per_ms)]
    if not whole:
        times = sentence.times.part(start_ms, float("inf") if last else end_ms)
    elif start_ms == 0:
        times = sentence.times
    else:
        times = CharacterTimes()
    return SpokenPiece(encoder.encode(samples), times, offset_ms + start_ms)
