"""`/v1/audio/speech`: text in, sound out, as raw bytes or as events."""

from __future__ import annotations

import base64
import json
import struct
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from parley_standins.audio_formats import AudioFormat, encoder, wav
from parley_standins.fault_injection import reset_connection, sleep_until, stall
from parley_standins.faults import Fault
from parley_standins.openai_audio_errors import AudioProblem
from parley_standins.openai_audio_profiles import Server
from parley_standins.openai_audio_settings import AudioSettings
from parley_standins.request_log import RequestRecord
from parley_standins.speaker import Speaker
from parley_standins.voices import VOICES, Voice, VoiceSettings

MAX_INPUT_CHARACTERS = 4096
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
PIECE_MS = 200

_NAMED: dict[str, str] = {
    "af_heart": "Rachel",
    "af_bella": "Bella",
    "am_adam": "Adam",
    "bm_george": "George",
    "alloy": "Rachel",
    "nova": "Bella",
    "echo": "Antoni",
    "onyx": "Adam",
    "austin": "Josh",
    "hannah": "Rachel",
}
"""Voices of Kokoro, OpenAI and Groq, and whose voice of the stand-ins each has."""
_BY_NAME = {voice.name: voice for voice in VOICES.values()}


@dataclass(frozen=True, slots=True)
class Spoken:
    """A checked request."""

    text: str
    voice: Voice
    settings: VoiceSettings
    format: AudioFormat
    events: bool

    @classmethod
    def parse(cls, body: Any, server: Server, settings: AudioSettings) -> Spoken:
        """Check a request's body.

        Raises:
            AudioProblem: it is not what this server takes.
        """
        if not isinstance(body, dict):
            raise AudioProblem(400, "We could not parse the JSON body of your request.")
        for name in ("model", "input", "voice"):
            if not isinstance(body.get(name), str) or not body[name]:
                raise AudioProblem(400, f"you must provide a {name} parameter", param=name)
        if len(body["input"]) > MAX_INPUT_CHARACTERS:
            raise AudioProblem(
                400, f"input should have at most {MAX_INPUT_CHARACTERS} characters", param="input"
            )
        speed = body.get("speed", 1.0)
        if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0.25 <= speed <= 4:
            raise AudioProblem(400, "speed has to be from 0.25 to 4", param="speed")
        events = body.get("stream_format", "audio") == "sse"
        if events and not server.sse:
            raise AudioProblem(400, "stream_format sse is not supported", param="stream_format")
        return cls(
            body["input"],
            _voice(body["voice"]),
            VoiceSettings(speed=float(speed)),
            _format(body.get("response_format", "mp3"), server, settings),
            events,
        )


def _voice(name: str) -> Voice:
    first = name.split("+")[0].split("(")[0]  # of a mix, the first
    voice = VOICES.get(first) or _BY_NAME.get(_NAMED.get(first, ""))
    if voice is None:
        raise AudioProblem(400, f"Voice '{first}' not found.", "voice_not_found", "voice")
    return voice


def _format(name: str, server: Server, settings: AudioSettings) -> AudioFormat:
    oddities = settings.oddities
    rate_hz = oddities.tts_rate_hz or server.pcm_rate_hz
    if name not in FORMATS:
        raise AudioProblem(400, f"response_format has to be one of {FORMATS}")
    if oddities.tts_always:
        name = oddities.tts_always
    elif name not in server.formats:
        raise AudioProblem(
            400, f"response_format must be one of {list(server.formats)}", param="response_format"
        )
    if name == "mp3":
        return AudioFormat.parse("mp3_24000_48", ("mp3_24000_48",))
    return AudioFormat(f"{name}_{rate_hz}", "wav" if name == "wav" else "pcm", rate_hz)


class SpeechAnswer:
    """The answer to one request."""

    def __init__(
        self,
        speaker: Speaker,
        server: Server,
        settings: AudioSettings,
        spoken: Spoken,
        record: RequestRecord,
        fault: Fault | None,
    ) -> None:
        self._speaker = speaker
        self._server = server
        self._settings = settings
        self._spoken = spoken
        self._record = record
        self._fault = fault

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Send it, piece by piece."""
        spoken, fault = self._spoken, self._fault
        if fault and fault.garbage:
            return web.Response(text="<html>busy</html>", content_type="text/html")
        if fault and fault.cut == 0:
            reset_connection(request)
        response = web.StreamResponse()
        response.content_type = "text/event-stream" if spoken.events else spoken.format.content_type
        await response.prepare(request)
        sent = 0
        async for sound in self._pieces():
            self._record.frame("out", {"audio": ""}, sound)
            if spoken.events:
                delta = {
                    "type": "speech.audio.delta",
                    "audio": base64.b64encode(sound).decode(),
                }
                await response.write(f"data: {json.dumps(delta)}\n\n".encode())
            else:
                await response.write(sound)
            sent += 1
            if fault and fault.cut == sent:
                reset_connection(request)
            if fault and fault.stall == "after":
                await stall(request)
        if spoken.events:
            usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
            done = {"type": "speech.audio.done", "usage": usage}
            await response.write(f"data: {json.dumps(done)}\n\n".encode())
        await response.write_eof()
        return response

    async def _pieces(self) -> AsyncIterator[bytes]:
        spoken = self._spoken
        if spoken.format.codec == "wav":
            async for piece in self._wav_pieces():
                yield piece
            return
        async for piece in self._cut(self._encoded()):
            yield piece

    async def _wav_pieces(self) -> AsyncIterator[bytes]:
        rate_hz = self._spoken.format.rate_hz
        if self._server.wav_whole:
            sound = b"".join([piece async for piece in self._encoded()])
            yield wav(sound, rate_hz)
            return
        header = _stream_header(rate_hz)
        yield header
        count = 0
        async for piece in self._cut(self._encoded()):
            count += len(piece)
            yield piece
        if self._server.header_again:
            # As PyAV's muxer leaves it: the sizes at their places, and zeros between.
            again = bytearray(len(header))
            struct.pack_into("<I", again, 4, count + len(header) - 8)
            struct.pack_into("<I", again, len(header) - 4, count)
            yield bytes(again)

    async def _encoded(self) -> AsyncIterator[bytes]:
        spoken, delays = self._spoken, self._settings.delays
        encoding = encoder(spoken.format)
        due = time.monotonic() + delays.tts_first_byte_ms / 1000
        step = spoken.format.rate_hz * PIECE_MS // 1000
        sentences = self._speaker.speak(
            spoken.text, spoken.voice, spoken.settings, spoken.format.rate_hz
        )
        async for sentence in sentences:
            for at in range(0, sentence.samples.size, step):
                await sleep_until(due)
                if delays.tts_realtime_factor:
                    due = max(due, time.monotonic()) + PIECE_MS / 1000 / delays.tts_realtime_factor
                if sound := encoding.encode(sentence.samples[at : at + step]):
                    yield sound
        if rest := encoding.finish():
            yield rest

    async def _cut(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        size = self._settings.oddities.tts_piece_bytes
        async for piece in pieces:
            for at in range(0, len(piece), size or len(piece)):
                yield piece[at : at + (size or len(piece))]


def _stream_header(rate_hz: int) -> bytes:
    """Return a header as ffmpeg writes it into a pipe: with a LIST, and no sizes."""
    unknown = 0xFFFFFFFF
    kind = struct.pack("<HHIIHH", 1, 1, rate_hz, rate_hz * 2, 2, 16)
    info = b"INFOISFT" + struct.pack("<I", 14) + b"Lavf62.12.102\x00"
    return b"".join(
        (
            b"RIFF" + struct.pack("<I", unknown) + b"WAVE",
            b"fmt " + struct.pack("<I", len(kind)) + kind,
            b"LIST" + struct.pack("<I", len(info)) + info,
            b"data" + struct.pack("<I", unknown),
        )
    )
