"""ElevenLabs' realtime transcription over a WebSocket.

As the real service does, it opens the socket for anyone and then says what is wrong
(`auth_error`, close 1000; `invalid_request`, close 1008). Audio is decoded while it
arrives; a commit, the client's or the voice activity detection's, ends an utterance.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import time
import uuid
from dataclasses import replace
from typing import Any

from aiohttp import WSMsgType, web

from parley_standins.elevenlabs_service import SpeechService
from parley_standins.fault_injection import reset_connection, sleep_until, stall
from parley_standins.faults import Fault
from parley_standins.realtime_options import InvalidOptions, RealtimeOptions
from parley_standins.recognizer import (
    AudioDecoder,
    Recognised,
    RecognitionFailed,
    Utterance,
    written,
)
from parley_standins.request_log import RequestRecord
from parley_standins.transcripts import described_words
from parley_standins.vad import EnergyVad

MAX_FRAME_BYTES = 16 * 1024 * 1024
MIN_COMMIT_S = 0.3
MAX_PREVIOUS_TEXT = 50


class _Refused(Exception):
    """The session can't go on: an error frame, then a close."""

    def __init__(self, message_type: str, error: str, close_code: int) -> None:
        super().__init__(message_type)
        self.frame = {"message_type": message_type, "error": error}
        self.close_code = close_code


class SttSocket:
    """One connection."""

    def __init__(self, service: SpeechService, request: web.Request) -> None:
        self._service = service
        self._request = request
        self._record: RequestRecord = service.begin(request, socket=True)
        request["record"] = self._record
        self._socket = web.WebSocketResponse(max_msg_size=MAX_FRAME_BYTES)
        self._fault: Fault | None = None
        self._chunks = 0
        self._answered = False
        self._session: _Session | None = None

    async def serve(self) -> web.StreamResponse:
        """Serve the handshake, then frames until either side ends it."""
        service, request = self._service, self._request
        self._fault = await service.meet_fault(request, "stt")
        await service.handshake_delay("stt")
        await self._socket.prepare(request)
        self._record.end(status=101)
        self._record.ended_ms = None
        try:
            if self._fault and self._fault.cut == 0:
                reset_connection(request)
            await self._converse()
        except _Refused as refused:
            await self.send(refused.frame)
            await self._socket.close(code=refused.close_code)
        finally:
            if self._session is not None:
                await self._session.stop()
            self._record.end(close_code=self._socket.close_code)
        return self._socket

    async def send(self, frame: dict[str, Any]) -> None:
        """Send one frame."""
        self._record.frame("out", frame)
        with contextlib.suppress(ConnectionError):
            await self._socket.send_str(json.dumps(frame))

    async def send_transcript(self, frame: dict[str, Any]) -> None:
        """Send a transcript, or what a fault puts in its place."""
        fault = self._fault if not self._answered else None
        self._answered = True
        if fault and fault.garbage:
            self._record.frame("out", "garbage")
            await self._socket.send_str('{"message_type": "partial_tra')
        elif fault and fault.error_frame:
            await self.send({"message_type": fault.error_frame, "error": "An error, on demand."})
            await self._socket.close(code=1000)
        else:
            await self.send(frame)

    async def _converse(self) -> None:
        if not self._authorized():
            raise _Refused("auth_error", "You must be authenticated to use this endpoint.", 1000)
        query = {name: self._request.query.getall(name) for name in self._request.query}
        try:
            options = RealtimeOptions.parse(query)
        except InvalidOptions as error:
            raise _Refused("invalid_request", str(error), 1008) from None
        started = {"message_type": "session_started", "session_id": uuid.uuid4().hex}
        await self.send({**started, "config": options.described()})
        if self._fault and self._fault.stall == "after":
            await stall(self._request)
        self._session = _Session(self, self._service, options)
        while (frame := await self._receive(self._session)) is not None:
            await self._handle(frame, options, self._session)

    def _authorized(self) -> bool:
        key = self._request.headers.get("xi-api-key")
        if key is not None:
            return self._service.accepts(key)
        return self._service.use_token(self._request.query.get("token"), "realtime_scribe")

    async def _receive(self, session: _Session) -> dict[str, Any] | None:
        idle_s = self._service.settings.oddities.stt_idle_s
        while True:
            try:
                message = await self._socket.receive(timeout=idle_s)
                break
            except TimeoutError:
                if not session.is_answering:
                    await self._socket.close(code=1000, message=b"No audio received")
                    return None
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return None
        try:
            frame = json.loads(message.data)
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            raise _Refused("input_error", "A message has to be a JSON object.", 1008)
        return frame

    async def _handle(
        self, frame: dict[str, Any], options: RealtimeOptions, session: _Session
    ) -> None:
        audio = self._checked(frame, options)
        self._record.frame("in", frame, audio)
        if audio:
            self._chunks += 1
            if self._fault and self._fault.cut == self._chunks:
                await session.stop()  # who comes again at once finds a recogniser free
                reset_connection(self._request)
            session.hear(audio)
        if frame.get("commit"):
            await session.commit_asked()

    def _checked(self, frame: dict[str, Any], options: RealtimeOptions) -> bytes:
        """Return the frame's audio."""
        if frame.get("message_type") != "input_audio_chunk":
            raise self._input_error(f"message_type {frame.get('message_type')!r} is not known.")
        rate = frame.get("sample_rate")
        if rate is not None and rate != options.rate_hz:
            raise self._input_error(f"sample_rate is {rate}, the session's {options.rate_hz}.")
        previous = frame.get("previous_text")
        if previous is not None and (self._chunks or len(str(previous)) > MAX_PREVIOUS_TEXT):
            raise self._input_error(
                f"previous_text goes with the first chunk, up to {MAX_PREVIOUS_TEXT} characters."
            )
        try:
            return base64.b64decode(frame.get("audio_base_64") or "", validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise self._input_error("audio_base_64 is not base64.") from None

    def _input_error(self, error: str) -> _Refused:
        return _Refused("input_error", error, 1008)


class _Session:
    """The utterances of one connection: heard one after the other, answered in order."""

    def __init__(self, socket: SttSocket, service: SpeechService, options: RealtimeOptions) -> None:
        self._socket = socket
        self._service = service
        self._options = options
        self._decoder = AudioDecoder(options.codec, options.rate_hz)
        # The detector hears what the recogniser hears, at its rate.
        self._vad_decoder = AudioDecoder(options.codec, options.rate_hz)
        silence_s = options.silence_s
        self._vad = EnergyVad(replace(options.vad, silence_s=silence_s)) if silence_s else None
        self._number = 0
        self._utterance = self._new_utterance()
        self._uncommitted_bytes = 0
        self._offset_s = 0.0
        self._unanswered = 0
        self._finals: asyncio.Queue[tuple[Utterance, float, float]] = asyncio.Queue()
        self._tasks = {asyncio.create_task(self._answer())}

    @property
    def is_answering(self) -> bool:
        """Whether a commit has not been answered yet."""
        return self._unanswered > 0

    def hear(self, audio: bytes) -> None:
        """Take the next audio."""
        self._utterance.hear(audio)
        self._uncommitted_bytes += len(audio)
        limit_s = self._service.settings.oddities.stt_auto_commit_s
        ended = self._vad is not None and self._vad.hear(self._vad_decoder.decode(audio))
        if ended or self._uncommitted_s >= limit_s:
            self._commit()

    async def commit_asked(self) -> None:
        """Note that the client says that the utterance is over."""
        if self._uncommitted_s < MIN_COMMIT_S:
            error = (
                f"Commit request ignored: only {self._uncommitted_s:.2f}s of uncommitted audio. "
                f"You need at least {MIN_COMMIT_S}s of uncommitted audio."
            )
            await self._socket.send({"message_type": "commit_throttled", "error": error})
            return
        self._commit()

    async def stop(self) -> None:
        """Drop what is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._utterance.forget()
        while not self._finals.empty():
            await self._finals.get_nowait()[0].forget()

    @property
    def _uncommitted_s(self) -> float:
        return self._uncommitted_bytes / self._options.bytes_per_second

    def _new_utterance(self) -> Utterance:
        number = self._number
        return self._service.recognizer.open_utterance(
            self._decoder, lambda text: self._on_partial(number, text)
        )

    def _commit(self) -> None:
        self._finals.put_nowait((self._utterance, time.monotonic(), self._offset_s))
        self._offset_s += self._uncommitted_s
        self._uncommitted_bytes = 0
        self._number += 1
        self._unanswered += 1
        self._utterance = self._new_utterance()

    def _on_partial(self, number: int, text: str) -> None:
        due = time.monotonic() + self._service.settings.delays.stt_partial_ms / 1000
        task = asyncio.create_task(self._send_partial(number, text, due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_partial(self, number: int, text: str, due: float) -> None:
        await sleep_until(due)
        if number == self._number:
            await self._socket.send_transcript(_partial(text))

    async def _answer(self) -> None:
        while True:
            await self._answer_one(*await self._finals.get())
            self._unanswered -= 1

    async def _answer_one(self, utterance: Utterance, committed: float, offset_s: float) -> None:
        try:
            recognised = await utterance.finish()
        except RecognitionFailed as failed:
            await self._socket.send({"message_type": "transcriber_error", "error": str(failed)})
            return
        delays, oddities = self._service.settings.delays, self._service.settings.oddities
        await sleep_until(committed + delays.stt_final_ms / 1000)
        for _ in range(2 if oddities.stt_duplicate_finals else 1):
            await self._send_final(recognised, offset_s)
        if oddities.stt_stale_partials:
            await self._socket.send_transcript(_partial(recognised.text))

    async def _send_final(self, recognised: Recognised, offset_s: float) -> None:
        text = written(recognised.text, complete=True)
        options, oddities = self._options, self._service.settings.oddities
        await self._socket.send_transcript({"message_type": "committed_transcript", "text": text})
        if not (options.include_timestamps or options.include_language_detection):
            return
        await asyncio.sleep(oddities.stt_language_ms / 1000)
        frame: dict[str, Any] = {"message_type": "committed_transcript_with_timestamps"}
        frame["text"] = text
        frame["language_code"] = options.language_code or oddities.stt_language
        frame["words"] = described_words(recognised, offset_s) if options.include_timestamps else []
        await self._socket.send_transcript(frame)


def _partial(text: str) -> dict[str, Any]:
    return {"message_type": "partial_transcript", "text": written(text, complete=False)}
