"""ElevenLabs' streaming synthesis over WebSockets: `stream-input` and `multi-stream-input`.

Both take text in bits and send audio with the times of its characters. The first
speaks one stream; the second up to five contexts, each with a buffer, a queue and an
end of its own. Bad requests are answered with an error frame and a close (1008).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from parley_standins.alignment import CharacterTimes
from parley_standins.audio_formats import SOCKET_FORMATS, AudioFormat, UnsupportedAudio, encoder
from parley_standins.elevenlabs_errors import ApiProblem, invalid_key, voice_not_found
from parley_standins.elevenlabs_service import (
    DEFAULT_MODEL,
    SPEED_RANGE_SOCKET,
    SpeechService,
    check_model,
    voice_settings,
)
from parley_standins.fault_injection import Dropped, reset_connection, stall
from parley_standins.faults import Fault
from parley_standins.request_log import RequestRecord
from parley_standins.speaker import SpeechFailed
from parley_standins.speech_pieces import SpokenPiece, stream_speech
from parley_standins.text_buffer import BadSchedule, TextBuffer, checked_schedule
from parley_standins.voices import VOICES, Voice, VoiceSettings

MAX_FRAME_BYTES = 16 * 1024 * 1024
DEFAULT_INACTIVITY_S = 20.0
MAX_INACTIVITY_S = 180.0
DEFAULT_CONTEXT = "default"
_KEY_FIELDS = ("xi_api_key", "xi-api-key", "authorization")


class Over(Exception):
    """The client has asked for the end."""


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """What the query says."""

    voice: Voice
    audio_format: AudioFormat
    auto_mode: bool
    inactivity_s: float

    @classmethod
    def parse(cls, request: web.Request) -> SpeechOptions:
        query = request.query
        voice_id = request.match_info["voice_id"]
        if voice_id not in VOICES:
            raise voice_not_found(voice_id)
        check_model(query.get("model_id", DEFAULT_MODEL), socket=True)
        try:
            name = query.get("output_format", "mp3_44100_128")
            audio_format = AudioFormat.parse(name, SOCKET_FORMATS)
            inactivity_s = float(query.get("inactivity_timeout", DEFAULT_INACTIVITY_S))
        except UnsupportedAudio as error:
            raise ApiProblem(400, "invalid_output_format", str(error), "output_format") from None
        except ValueError:
            raise ApiProblem(
                400, "invalid_parameters", "inactivity_timeout has to be a number of seconds."
            ) from None
        auto_mode = query.get("auto_mode", "false").lower() == "true"
        return cls(VOICES[voice_id], audio_format, auto_mode, min(inactivity_s, MAX_INACTIVITY_S))


class TtsSocket:
    """One connection.

    Args:
        service: the stand-in.
        request: the handshake.
        multi: whether it is `multi-stream-input`.
    """

    def __init__(self, service: SpeechService, request: web.Request, *, multi: bool) -> None:
        self.service = service
        self._request = request
        self._multi = multi
        self._record: RequestRecord = service.begin(request, socket=True)
        request["record"] = self._record
        self._socket = web.WebSocketResponse(max_msg_size=MAX_FRAME_BYTES)
        self._send_lock = asyncio.Lock()
        self._fault: Fault | None = None
        self._frames_sent = 0
        self._contexts: dict[str, SpeechContext] = {}
        self._closed_contexts: set[SpeechContext] = set()
        self._authorized = False

    async def serve(self) -> web.StreamResponse:
        """Serve the handshake, then frames until either side ends it."""
        service, request = self.service, self._request
        self._fault = await service.meet_fault(request, "tts")
        self._authorized = self._has_key()
        await service.handshake_delay("tts")
        await self._socket.prepare(request)
        self._record.end(status=101)
        self._record.ended_ms = None
        try:
            if self._fault and self._fault.cut == 0:
                reset_connection(request)
            await self._converse(self._parse_options())
        except ApiProblem as problem:
            await self._refuse(problem.frame())
        except (BadSchedule, SpeechFailed) as error:
            await self._refuse({"message": str(error), "error": "invalid_request", "code": 1008})
        finally:
            for context in [*self._contexts.values(), *self._closed_contexts]:
                await context.stop()
            self._record.end(close_code=self._socket.close_code)
        return self._socket

    def _parse_options(self) -> SpeechOptions:
        return SpeechOptions.parse(self._request)

    def _has_key(self) -> bool:
        headers, query = self._request.headers, self._request.query
        key = headers.get("xi-api-key") or query.get("authorization")
        if key is not None:
            if not self.service.accepts(key.removeprefix("Bearer ")):
                raise invalid_key()
            return True
        return self.service.use_token(query.get("single_use_token"), "tts_websocket")

    async def _converse(self, options: SpeechOptions) -> None:
        receive_task = asyncio.create_task(self._receive(options))
        try:
            await receive_task
        except Over:
            for context in list(self._contexts.values()):
                context.finish(flush=not self._multi)
            await asyncio.gather(
                *(c.done() for c in [*self._contexts.values(), *self._closed_contexts])
            )
            await self._socket.close(code=1000)

    async def _receive(self, options: SpeechOptions) -> None:
        while True:
            try:
                message = await self._socket.receive(timeout=options.inactivity_s)
            except TimeoutError:
                raise ApiProblem(
                    408,
                    "input_timeout_exceeded",
                    f"Have not received a new text input within the timeout of "
                    f"{options.inactivity_s:g} seconds. Streaming input terminated.",
                ) from None
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED):
                return
            if message.type == WSMsgType.ERROR:
                return
            self._handle(self._parsed(message.data), options)

    def _parsed(self, data: str | bytes) -> dict[str, Any]:
        try:
            frame = json.loads(data)
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            self._record.frame("in", repr(data)[:200])
            raise ApiProblem(400, "invalid_message", "A message has to be a JSON object.")
        self._record.frame("in", frame)
        for name in ("text", "context_id"):
            if not isinstance(frame.get(name), str | None):
                raise ApiProblem(400, "invalid_message", f"{name} has to be a string.", name)
        return frame

    def _handle(self, frame: dict[str, Any], options: SpeechOptions) -> None:
        self._authorize(frame)
        if frame.get("close_socket"):
            raise Over
        name = (frame.get("context_id") or DEFAULT_CONTEXT) if self._multi else ""
        context = self._contexts.get(name)
        if frame.get("close_context"):
            if context is not None:
                context.finish(flush=False)
                self._closed_contexts.add(self._contexts.pop(name))
            return
        text = frame.get("text")
        if context is None:
            context = self._open(name, frame, options)
        elif text == "" and not self._multi:
            raise Over
        flush, trigger = bool(frame.get("flush")), bool(frame.get("try_trigger_generation"))
        # A lone space opens a stream or keeps it alive; it is nothing to say.
        context.take("" if text == " " else text or "", flush=flush, try_trigger=trigger)

    def _authorize(self, frame: dict[str, Any]) -> None:
        if self._authorized:
            return
        key = next((frame[name] for name in _KEY_FIELDS if isinstance(frame.get(name), str)), None)
        if not self.service.accepts(key.removeprefix("Bearer ") if key else None):
            raise invalid_key()
        self._authorized = True

    def _open(self, name: str, frame: dict[str, Any], options: SpeechOptions) -> SpeechContext:
        limit = self.service.settings.oddities.tts_max_contexts
        self._closed_contexts = {
            context for context in self._closed_contexts if not context.is_done
        }
        if len(self._contexts) >= limit:
            raise ApiProblem(
                429,
                "max_active_conversations",
                f"Maximum simultaneous contexts per WebSocket connection exceeded ({limit}). "
                "Close contexts that are no longer needed.",
            )
        generation = frame.get("generation_config") or {}
        buffer = TextBuffer(
            checked_schedule(generation.get("chunk_length_schedule")), options.auto_mode
        )
        settings = voice_settings(frame.get("voice_settings"), SPEED_RANGE_SOCKET)
        context = SpeechContext(self, name, options, settings, buffer)
        self._contexts[name] = context
        return context

    async def send_piece(self, context_id: str, piece: SpokenPiece) -> None:
        """Send audio with its alignment."""
        fault = self._fault
        if fault and self._frames_sent == 0:
            if fault.garbage:
                await self._socket.send_str('{"audio": "UklG')
                self._record.frame("out", "garbage")
                self._fault = None
                return
            if fault.error_frame:
                raise ApiProblem(500, fault.error_frame, "An error, on demand.")
        await self._send(self._piece_frame(context_id, piece), piece)
        self._frames_sent += 1
        if fault and fault.cut == self._frames_sent:
            reset_connection(self._request)
        if fault and fault.stall == "after":
            await stall(self._request)

    async def send_final(self, context_id: str, rest: bytes) -> None:
        """Send what an encoder kept back, and the frame that ends a stream or context."""
        if rest:
            await self.send_piece(context_id, SpokenPiece(rest, CharacterTimes(), 0))
        frame: dict[str, Any] = {"audio": None, "isFinal": True, **_alignments(CharacterTimes())}
        if self._multi:
            frame = {"isFinal": True}
        await self._send(self._labelled(frame, context_id))

    def _piece_frame(self, context_id: str, piece: SpokenPiece) -> dict[str, Any]:
        frame = {"audio": base64.b64encode(piece.audio).decode(), "isFinal": None}
        return self._labelled({**frame, **_alignments(piece.times)}, context_id)

    def _labelled(self, frame: dict[str, Any], context_id: str) -> dict[str, Any]:
        snake = self.service.settings.oddities.tts_snake_case
        if self._multi:
            frame["context_id" if snake else "contextId"] = context_id
        if snake:
            frame["is_final"] = frame.pop("isFinal")
        return frame

    async def _send(self, frame: dict[str, Any], piece: SpokenPiece | None = None) -> None:
        async with self._send_lock:
            self._record.frame("out", frame, piece.audio if piece else None)
            with contextlib.suppress(ConnectionError):
                await self._socket.send_str(json.dumps(frame))

    async def _refuse(self, frame: dict[str, Any]) -> None:
        await self._send(frame)
        await self._socket.close(code=1008, message=str(frame["message"]).encode()[:120])

    async def fail(self, error: Exception) -> None:
        """End the connection because a context can't go on."""
        if isinstance(error, Dropped):
            return
        frame = {"message": str(error), "error": "internal_error", "code": 1011}
        await self._refuse(error.frame() if isinstance(error, ApiProblem) else frame)


def _alignments(times: CharacterTimes) -> dict[str, Any]:
    alignment = times.milliseconds()
    return {"normalizedAlignment": alignment, "alignment": alignment}


class SpeechContext:
    """One stream of text and the speech that is made of it, in order."""

    def __init__(
        self,
        socket: TtsSocket,
        name: str,
        options: SpeechOptions,
        settings: VoiceSettings,
        buffer: TextBuffer,
    ) -> None:
        self._socket = socket
        self.name = name
        self._options = options
        self._settings = settings
        self._buffer = buffer
        self._queue: asyncio.Queue[tuple[str, float] | None] = asyncio.Queue()
        self._speak_task = asyncio.create_task(self._speak())

    @property
    def is_done(self) -> bool:
        return self._speak_task.done()

    def take(self, text: str, *, flush: bool, try_trigger: bool) -> None:
        """Take text, which is spoken when there is enough of it."""
        ready = self._buffer.add(text, flush=flush, try_trigger=try_trigger)
        if ready is not None:
            self._queue.put_nowait((ready, time.monotonic()))

    def finish(self, *, flush: bool) -> None:
        """Note that nothing more comes. What was not flushed is spoken only if `flush` says so."""
        rest = self._buffer.flush()
        if rest is not None and flush:
            self._queue.put_nowait((rest, time.monotonic()))
        self._queue.put_nowait(None)

    async def done(self) -> None:
        """Wait until everything has been sent."""
        await asyncio.wait([self._speak_task])

    async def stop(self) -> None:
        """Speak no more."""
        self._speak_task.cancel()
        await asyncio.wait([self._speak_task])

    async def _speak(self) -> None:
        try:
            await self._say_all()
        except Exception as error:
            await self._socket.fail(error)

    async def _say_all(self) -> None:
        options = self._options
        encoding = encoder(options.audio_format)
        while (generation := await self._queue.get()) is not None:
            text, triggered = generation
            async for piece in stream_speech(
                self._socket.service,
                text,
                options.voice,
                self._settings,
                options.audio_format,
                encoding,
                triggered,
            ):
                await self._socket.send_piece(self.name, piece)
        await self._socket.send_final(self.name, encoding.finish())
