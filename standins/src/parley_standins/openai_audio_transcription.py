"""`/v1/audio/transcriptions`: a file in, its transcript out, whole or as events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import BodyPartReader, web

from parley_standins.audio_formats import UnsupportedAudio, from_wav, to_pcm
from parley_standins.fault_injection import reset_connection, sleep_until, stall
from parley_standins.faults import Fault
from parley_standins.openai_audio_errors import AudioProblem
from parley_standins.openai_audio_profiles import Server
from parley_standins.openai_audio_settings import AudioSettings
from parley_standins.recognition_wire import SAMPLE_RATE_HZ
from parley_standins.recognizer import AudioDecoder, Recognised, Recognizer, written
from parley_standins.request_log import RequestRecord

MAX_FILE_BYTES = 25 * 1024 * 1024
MIN_AUDIO_S = 0.1
FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_LANGUAGES = {"en": "english", "de": "german", "fr": "french", "es": "spanish", "it": "italian"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked request."""

    pcm: bytes
    language: str
    format: str
    stream: bool

    @classmethod
    async def parse(cls, request: web.Request, server: Server, record: RequestRecord) -> Asked:
        """Read and check a request.

        Raises:
            AudioProblem: it is not what this server takes.
        """
        form, file = await _multipart(request)
        record.body = dict(form)
        if file is None:
            raise AudioProblem(400, "no file was sent", param="file")
        record.audio["in"] += file
        model = form.get("model", "")
        if not model and not server.open:
            raise AudioProblem(400, "you must provide a model parameter", param="model")
        if len(file) > MAX_FILE_BYTES:
            raise AudioProblem(413, "Maximum content size limit exceeded")
        wanted = form.get("response_format", "json")
        if wanted not in FORMATS:
            raise AudioProblem(400, "Invalid response_format", param="response_format")
        verbose = wanted == "verbose_json"
        if verbose and not model.startswith(server.verbose_models):
            raise AudioProblem(
                400,
                f"response_format 'verbose_json' is not compatible with model '{model}'. Use 'json'"
                " or 'text' instead.",
                "unsupported_value",
                "response_format",
            )
        stream = form.get("stream", "").lower() in ("true", "1")
        if stream and server.stream == "refused":
            raise AudioProblem(400, "property 'stream' is unsupported", param="stream")
        if stream and verbose and not server.verbose_streams:
            raise AudioProblem(400, "verbose_json format doesn't support streaming case")
        if server.stream == "ignored" or (server.stream == "deltas" and "whisper" in model):
            stream = False
        pcm = _as_heard(file)
        if len(pcm) < MIN_AUDIO_S * SAMPLE_RATE_HZ * 2:
            raise AudioProblem(400, "Audio file is too short.", "audio_too_short", "file")
        return cls(pcm, form.get("language") or "en", wanted, stream)


class Transcriptions:
    """Answers requests.

    Args:
        recognizer: the ear.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self._lock = asyncio.Lock()

    async def answer(
        self,
        request: web.Request,
        asked: Asked,
        server: Server,
        settings: AudioSettings,
        record: RequestRecord,
        fault: Fault | None,
    ) -> web.StreamResponse:
        """Answer a request."""
        began = time.monotonic()
        if server.lists_models:
            heard = await self._heard(asked.pcm)
        else:  # whisper.cpp has one model, and a lock around it
            async with self._lock:
                heard = await self._heard(asked.pcm)
                await sleep_until(began + settings.delays.stt_final_ms / 1000)
        text = written(heard.text, complete=True)
        invented = settings.oddities.stt_invents if not text else ""
        await sleep_until(began + settings.delays.stt_final_ms / 1000)
        if fault and fault.garbage:
            return web.Response(text='{"text": ', content_type="application/json")
        if asked.stream:
            return await _stream(
                request, _events(server, text or invented), settings, record, fault
            )
        if fault and (fault.cut is not None or fault.stall == "after"):
            reset_connection(request)
        if asked.format in ("text", "srt", "vtt"):
            return web.Response(text=f"{text or invented}\n", content_type="text/plain")
        body: dict[str, Any] = {"text": text or invented}
        if asked.format == "verbose_json":
            body |= _verbose(asked, heard, text, invented)
        record.frame("out", body)
        return web.json_response(body)

    async def _heard(self, pcm: bytes) -> Recognised:
        utterance = self._recognizer.open_utterance(AudioDecoder("pcm", SAMPLE_RATE_HZ))
        utterance.hear(pcm)
        return await utterance.finish()


def _verbose(asked: Asked, heard: Recognised, text: str, invented: str) -> dict[str, Any]:
    duration_s = len(asked.pcm) / 2 / SAMPLE_RATE_HZ
    segment = {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": duration_s,
        "text": text or invented,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": -0.7 if invented else -0.2,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.5 if invented else 0.01,
    }
    return {
        "task": "transcribe",
        "language": _LANGUAGES.get(asked.language, asked.language),
        "duration": duration_s,
        "segments": [segment] if text or invented else [],
        "words": [
            {"word": word.text, "start": word.start_s, "end": word.end_s} for word in heard.words
        ],
    }


def _events(server: Server, text: str) -> Iterator[dict[str, Any] | str]:
    """Yield the events of a stream."""
    if server.stream == "segments":
        bits = [text] if text else []
    else:
        words = text.split(" ") if text else []
        bits = [word if at == 0 else f" {word}" for at, word in enumerate(words)]
    if server.stream == "chunks":
        envelope = {"id": "trsc-1", "object": "transcription.chunk", "created": 0, "model": "m"}
        for bit in bits:
            yield {**envelope, "choices": [{"delta": {"content": bit}, "finish_reason": None}]}
        yield {**envelope, "choices": [{"delta": {"content": ""}, "finish_reason": "stop"}]}
        yield "[DONE]"
        return
    for bit in bits:
        yield {"type": "transcript.text.delta", "delta": bit}
    yield {"type": "transcript.text.done", "text": text}


async def _stream(
    request: web.Request,
    events: Iterator[dict[str, Any] | str],
    settings: AudioSettings,
    record: RequestRecord,
    fault: Fault | None,
) -> web.StreamResponse:
    if fault and fault.cut == 0:
        reset_connection(request)
    response = web.StreamResponse()
    response.content_type = "text/event-stream"
    await response.prepare(request)
    due = time.monotonic()
    for count, event in enumerate(events, 1):
        await sleep_until(due)
        due += settings.delays.stt_delta_ms / 1000
        record.frame("out", event)
        data = event if isinstance(event, str) else json.dumps(event)
        await response.write(f"data: {data}\n\n".encode())
        if fault and fault.cut == count:
            reset_connection(request)
        if fault and fault.stall == "after":
            await stall(request)
    await response.write_eof()
    return response


async def _multipart(request: web.Request) -> tuple[dict[str, str], bytes | None]:
    """Return a form's fields, the last of each name, and its file."""
    if not request.content_type.startswith("multipart/"):
        raise AudioProblem(400, "a multipart form is needed")
    form: dict[str, str] = {}
    file: bytes | None = None
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        content = bytes(await part.read())
        if part.name == "file" and part.filename:
            file = content
        elif part.name:
            form[part.name] = content.decode("utf-8", "replace")
    return form, file


def _as_heard(file: bytes) -> bytes:
    """Return a file's sound as 16-bit PCM at 16 kHz. Raw PCM is no file."""
    try:
        samples, rate_hz = from_wav(file)
    except UnsupportedAudio:
        raise AudioProblem(400, "Invalid file format.", "invalid_file_format", "file") from None
    return AudioDecoder("pcm", rate_hz).decode(to_pcm(samples))
