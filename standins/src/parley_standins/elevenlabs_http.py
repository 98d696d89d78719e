"""ElevenLabs' HTTP endpoints: synthesis, batch transcription, voices, models, tokens."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import BodyPartReader, web

from parley_standins.alignment import CharacterTimes, joined
from parley_standins.audio_formats import (
    CONVERT_FORMATS,
    HTTP_FORMATS,
    AudioFormat,
    UnsupportedAudio,
    encoder,
    from_wav,
    to_pcm,
    wav,
)
from parley_standins.elevenlabs_errors import ApiProblem, Unprocessable
from parley_standins.elevenlabs_service import (
    DEFAULT_MODEL,
    MAX_CHARACTERS,
    SPEECH_MODELS,
    SPEED_RANGE_HTTP,
    SpeechService,
    check_model,
    find_voice,
    voice_settings,
)
from parley_standins.fault_injection import reset_connection, stall
from parley_standins.faults import Fault
from parley_standins.recognizer import AudioDecoder, written
from parley_standins.request_log import RequestRecord, redacted
from parley_standins.speech_pieces import SpokenPiece, stream_speech
from parley_standins.transcripts import described_words
from parley_standins.voices import VOICES, Voice, VoiceSettings

BATCH_MODELS = ("scribe_v2", "scribe_v3", "scribe_v2_medical", "scribe_v1")
RAW_FILE_FORMAT = "pcm_s16le_16"
RAW_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A checked request for speech."""

    text: str
    voice: Voice
    settings: VoiceSettings
    audio_format: AudioFormat
    record: RequestRecord
    fault: Fault | None
    began: float


class ElevenLabsHttp:
    """The endpoints' handlers."""

    def __init__(self, service: SpeechService) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        """Return routes to add to an application."""
        speech = "/v1/text-to-speech/{voice_id}"
        return [
            web.post(speech, self._convert),
            web.post(f"{speech}/stream", self._stream),
            web.post(f"{speech}/with-timestamps", self._convert_timed),
            web.post(f"{speech}/stream/with-timestamps", self._stream_timed),
            web.post("/v1/speech-to-text", self._transcribe),
            web.get("/v1/voices", self._voices),
            web.get("/v2/voices", self._search_voices),
            web.get("/v1/voices/{voice_id}", self._voice),
            web.get("/v1/models", self._models),
            web.post("/v1/single-use-token/{kind}", self._token),
        ]

    async def _convert(self, request: web.Request) -> web.StreamResponse:
        spoken = await self._asked(request, CONVERT_FORMATS)
        audio = b"".join([piece.audio async for piece in self._pieces(spoken)])
        if spoken.audio_format.codec == "wav":
            audio = wav(audio, spoken.audio_format.rate_hz)
        self._meet_late_fault(request, spoken)
        spoken.record.frame("out", {"audio": ""}, audio)
        return web.Response(
            body=audio,
            content_type=spoken.audio_format.content_type,
            headers=_speech_headers(spoken),
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        spoken = await self._asked(request, HTTP_FORMATS)
        response = web.StreamResponse(headers=_speech_headers(spoken))
        response.content_type = spoken.audio_format.content_type
        return await self._streamed(request, spoken, response, timed=False)

    async def _stream_timed(self, request: web.Request) -> web.StreamResponse:
        spoken = await self._asked(request, HTTP_FORMATS)
        response = web.StreamResponse(headers=_speech_headers(spoken))
        response.content_type = "application/json"
        return await self._streamed(request, spoken, response, timed=True)

    async def _convert_timed(self, request: web.Request) -> web.StreamResponse:
        spoken = await self._asked(request, CONVERT_FORMATS)
        pieces = [piece async for piece in self._pieces(spoken)]
        audio = b"".join(piece.audio for piece in pieces)
        if spoken.audio_format.codec == "wav":
            audio = wav(audio, spoken.audio_format.rate_hz)
        self._meet_late_fault(request, spoken)
        times = joined(piece.times.shifted(piece.offset_ms) for piece in pieces)
        frame = _timed(audio, times)
        spoken.record.frame("out", frame, audio)
        return web.json_response(frame, headers=_speech_headers(spoken))

    async def _streamed(
        self,
        request: web.Request,
        spoken: _Spoken,
        response: web.StreamResponse,
        *,
        timed: bool,
    ) -> web.StreamResponse:
        fault, sent = spoken.fault, 0
        if fault and fault.cut == 0:
            reset_connection(request)
        await response.prepare(request)
        if fault and fault.garbage and timed:
            await response.write(b'{"audio_base64": "UklG\n')
        async for piece in self._pieces(spoken):
            frame = _timed(piece.audio, piece.times.shifted(piece.offset_ms))
            spoken.record.frame("out", frame, piece.audio)
            await response.write(json.dumps(frame).encode() + b"\n" if timed else piece.audio)
            sent += 1
            if fault and fault.cut == sent:
                reset_connection(request)
            if fault and fault.stall == "after":
                await stall(request)
        await response.write_eof()
        return response

    async def _asked(self, request: web.Request, formats: tuple[str, ...]) -> _Spoken:
        began = time.monotonic()
        service = self._service
        record = request["record"] = service.begin(request)
        fault = await service.meet_fault(request, "tts")
        service.check_key(request)
        body = await _json_object(request)
        record.body = redacted(body)
        text = body.get("text")
        if not isinstance(text, str):
            kind = "missing" if "text" not in body else "string_type"
            message = "Field required" if kind == "missing" else "Input should be a valid string"
            raise Unprocessable(((("body", "text"), message, kind),))
        model = str(body.get("model_id") or DEFAULT_MODEL)
        check_model(model, socket=False)
        if len(text) > MAX_CHARACTERS[model]:
            raise ApiProblem(
                400,
                "max_character_limit_exceeded",
                f"The text has {len(text)} characters; {model} takes {MAX_CHARACTERS[model]}.",
                "text",
            )
        try:
            name = request.query.get("output_format", "mp3_44100_128")
            audio_format = AudioFormat.parse(name, formats)
        except UnsupportedAudio as error:
            raise ApiProblem(400, "invalid_output_format", str(error), "output_format") from None
        voice = find_voice(request.match_info["voice_id"])
        settings = voice_settings(body.get("voice_settings"), SPEED_RANGE_HTTP)
        return _Spoken(text, voice, settings, audio_format, record, fault, began)

    async def _pieces(self, spoken: _Spoken) -> AsyncIterator[SpokenPiece]:
        encoding = encoder(spoken.audio_format)
        end_ms = 0.0
        async for piece in stream_speech(
            self._service,
            spoken.text,
            spoken.voice,
            spoken.settings,
            spoken.audio_format,
            encoding,
            spoken.began,
        ):
            end_ms = piece.offset_ms
            yield piece
        rest = encoding.finish()
        if rest:
            yield SpokenPiece(rest, CharacterTimes(), end_ms)

    def _meet_late_fault(self, request: web.Request, spoken: _Spoken) -> None:
        """Meet a fault that comes late: an answer that comes whole can only be missing, or be
        nonsense."""
        if spoken.fault and (spoken.fault.cut is not None or spoken.fault.stall == "after"):
            reset_connection(request)

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        service = self._service
        record = request["record"] = service.begin(request)
        fault = await service.meet_fault(request, "stt")
        if not service.use_token(request.query.get("token"), "batch_scribe"):
            service.check_key(request)
        form, file = await _multipart(request)
        record.body = dict(form)
        if form.get("model_id") not in BATCH_MODELS:
            message = f"model_id has to be one of {', '.join(BATCH_MODELS)}"
            raise Unprocessable(((("body", "model_id"), message, "value_error"),))
        if file is None:
            raise ApiProblem(400, "invalid_parameters", "A file is needed.", "file")
        record.audio["in"] += file
        pcm = _as_heard(file, form.get("file_format", "other"))
        utterance = service.recognizer.open_utterance(AudioDecoder("pcm", RAW_RATE_HZ))
        utterance.hear(pcm)
        recognised = await utterance.finish()
        if fault and (fault.cut is not None or fault.stall == "after"):
            reset_connection(request)
        if fault and fault.garbage:
            return web.Response(text='{"text": ', content_type="application/json")
        granularity = form.get("timestamps_granularity", "word")
        body = {
            "language_code": form.get("language_code") or "eng",
            "language_probability": 1.0,
            "text": written(recognised.text, complete=True),
            "words": [] if granularity == "none" else described_words(recognised),
            "transcription_id": uuid.uuid4().hex,
            "audio_duration_secs": round(len(pcm) / 2 / RAW_RATE_HZ, 3),
        }
        record.frame("out", body)
        return web.json_response(body)

    def _described(self, voice: Voice) -> dict[str, Any]:
        return voice.described(self._service.speaker.engine)

    async def _voices(self, request: web.Request) -> web.StreamResponse:
        self._begin_free(request)
        return web.json_response({"voices": [self._described(voice) for voice in VOICES.values()]})

    async def _search_voices(self, request: web.Request) -> web.StreamResponse:
        self._begin_free(request)
        wanted = request.query.get("search", "").lower()
        found = [voice for voice in VOICES.values() if wanted in voice.name.lower()]
        size = _whole(request, "page_size", 10, 1, 100)
        start = _whole(request, "next_page_token", 0, 0, len(found))
        page = found[start : start + size]
        more = start + size < len(found)
        body = {
            "voices": [self._described(voice) for voice in page],
            "has_more": more,
            "total_count": len(found),
            "next_page_token": str(start + size) if more else None,
        }
        return web.json_response(body)

    async def _voice(self, request: web.Request) -> web.StreamResponse:
        self._begin_free(request)
        return web.json_response(self._described(find_voice(request.match_info["voice_id"])))

    async def _models(self, request: web.Request) -> web.StreamResponse:
        self._begin_free(request)
        return web.json_response(
            [
                {
                    "model_id": model,
                    "name": name,
                    "can_do_text_to_speech": True,
                    "can_do_voice_conversion": False,
                    "max_characters_request_subscribed_user": characters,
                    "maximum_text_length_per_request": characters,
                    "languages": [{"language_id": "en", "name": "English"}],
                    "concurrency_group": "standard",
                }
                for model, name, characters in SPEECH_MODELS
            ]
        )

    async def _token(self, request: web.Request) -> web.StreamResponse:
        self._begin_free(request)
        match request.match_info["kind"]:
            case "realtime_scribe" | "batch_scribe" | "tts_websocket" as kind:
                return web.json_response({"token": self._service.make_token(kind)})
        kinds: tuple[Literal["path"], str] = ("path", "token_type")
        raise Unprocessable(((kinds, "This type of token is not known", "enum"),))

    def _begin_free(self, request: web.Request) -> None:
        """Begin a record of an endpoint that no fault reaches."""
        request["record"] = self._service.begin(request)
        self._service.check_key(request)


def _speech_headers(spoken: _Spoken) -> dict[str, str]:
    return {
        "request-id": uuid.uuid4().hex,
        "x-trace-id": uuid.uuid4().hex,
        "x-region": "local",
        "character-cost": str(len(spoken.text)),
        "current-concurrent-requests": "1",
        "maximum-concurrent-requests": "20",
    }


def _timed(audio: bytes, times: CharacterTimes) -> dict[str, Any]:
    alignment = times.seconds()
    return {
        "audio_base64": base64.b64encode(audio).decode(),
        "alignment": alignment,
        "normalized_alignment": alignment,
    }


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError:
        raise Unprocessable(((("body",), "JSON decode error", "json_invalid"),)) from None
    if not isinstance(body, dict):
        message = "Input should be a valid dictionary"
        raise Unprocessable(((("body",), message, "model_attributes_type"),))
    return body


async def _multipart(request: web.Request) -> tuple[dict[str, str], bytes | None]:
    """Return a form's fields, the last of each name, and its file."""
    if not request.content_type.startswith("multipart/"):
        raise Unprocessable(((("body",), "A multipart form is needed", "missing"),))
    form: dict[str, str] = {}
    file: bytes | None = None
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        content = bytes(await part.read())
        if part.name == "file":
            file = content
        elif part.name:
            form[part.name] = content.decode("utf-8", "replace")
    return form, file


def _as_heard(file: bytes, file_format: str) -> bytes:
    """Return a file's audio as 16-bit PCM at 16 kHz."""
    if file_format == RAW_FILE_FORMAT:
        return file
    try:
        samples, rate_hz = from_wav(file)
    except UnsupportedAudio as error:
        raise ApiProblem(400, "invalid_content", str(error), "file") from None
    return AudioDecoder("pcm", rate_hz).decode(to_pcm(samples))


def _whole(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    value = request.query.get(name)
    if value is None:
        return default
    if not value.isdigit() or not low <= int(value) <= high:
        message = f"Input should be a whole number from {low} to {high}"
        raise Unprocessable(((("query", name), message, "int_parsing"),))
    return int(value)
