"""Cartesia's streaming synthesis over a WebSocket: contexts side by side, each with a melody.

Transcripts of a context are joined as they are, and spoken when the buffer's time is over, at a
`flush`, or at the end. A context dies soon after its last audio.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

from parley_standins.audio_formats import Samples, to_alaw, to_pcm, to_ulaw
from parley_standins.cartesia_generation import (
    Generation,
    is_speakable,
    spoken_text,
    timed_words,
    word_frames,
)
from parley_standins.cartesia_service import (
    CartesiaProblem,
    CartesiaService,
    concurrency_limited,
)
from parley_standins.fault_injection import Dropped, reset_connection, sleep_until, stall
from parley_standins.faults import Fault
from parley_standins.request_log import RequestRecord
from parley_standins.speaker import SpeechFailed, SpokenSentence
from parley_standins.voices import VoiceSettings

FIRST_CHUNK_MS = 100
CHUNK_MS = 200


class CartesiaTtsSocket:
    """One connection."""

    def __init__(self, service: CartesiaService, request: web.Request) -> None:
        self.service = service
        self._request = request
        self._record: RequestRecord = service.begin(request, socket=True)
        request["record"] = self._record
        self._socket = web.WebSocketResponse()
        self._sending = asyncio.Lock()
        self._contexts: dict[str, _Context] = {}
        self._expired: set[str] = set()
        self._fault: Fault | None = None
        self._chunks = 0

    async def serve(self) -> web.StreamResponse:
        """Serve the handshake, then frames until either side ends it."""
        request = self._request
        self.service.check(request)
        self._fault = await self.service.meet_fault(request, "tts")
        await self._socket.prepare(request)
        self._record.end(status=101)
        self._record.ended_ms = None
        try:
            if self._fault and self._fault.cut == 0:
                reset_connection(request)
            await self._receive()
        finally:
            for context in list(self._contexts.values()):
                await context.stop()
            self._record.end(close_code=self._socket.close_code)
        return self._socket

    async def _receive(self) -> None:
        while True:
            try:
                message = await self._socket.receive(self.service.settings.oddities.tts_idle_s)
            except TimeoutError:
                await self._socket.close(code=1000, message=b"connection idle timeout")
                return
            if message.type != WSMsgType.TEXT:
                return
            context_id = None
            try:
                frame = self._parsed(message.data)
                context_id = frame["context_id"]
                await self._handle(context_id, frame)
            except CartesiaProblem as problem:
                await self.send_problem(problem, context_id)

    def _parsed(self, data: str) -> dict[str, Any]:
        try:
            frame = json.loads(data)
        except ValueError:
            frame = None
        self._record.frame("in", frame if isinstance(frame, dict) else repr(data)[:200])
        if not isinstance(frame, dict) or not isinstance(frame.get("context_id"), str):
            raise CartesiaProblem(400, "Invalid request", "A message needs a context_id.")
        return frame

    async def _handle(self, context_id: str, frame: dict[str, Any]) -> None:
        context = self._contexts.get(context_id)
        if frame.get("cancel"):
            if context is not None:
                await context.stop()
            return
        transcript = frame.get("transcript")
        if not isinstance(transcript, str):
            raise CartesiaProblem(400, "Invalid request", "A message needs a transcript.")
        if context_id in self._expired:
            raise CartesiaProblem(400, "Context closed", "Context has closed.")
        if context is None:
            generation = Generation.parse(frame)
            if not is_speakable(transcript):
                raise CartesiaProblem(
                    400, "Invalid transcript", "The transcript is empty or only punctuation."
                )
            if self.service.active_contexts >= self.service.settings.oddities.tts_max_contexts:
                raise concurrency_limited()
            context = self._contexts[context_id] = _Context(self, context_id, generation)
        context.generation.check_same(frame)
        context.take(
            transcript, flush=bool(frame.get("flush")), continues=bool(frame.get("continue"))
        )

    def forget(self, context_id: str) -> None:
        """Note that a context is over: its id takes no more text."""
        self._contexts.pop(context_id, None)
        self._expired.add(context_id)

    async def send_problem(self, problem: CartesiaProblem, context_id: str | None) -> None:
        """Send an error frame."""
        if self.service.settings.oddities.tts_error_without_context:
            context_id = None
        await self.send(problem.frame(context_id))

    async def send_chunk(self, frame: dict[str, Any], audio: bytes) -> None:
        """Send audio, or what a fault puts in its place."""
        fault = self._fault
        if fault and self._chunks == 0 and fault.garbage:
            self._record.frame("out", "garbage")
            await self._socket.send_str('{"type": "chunk", "data": "UklG')
            self._fault = None
            return
        if fault and self._chunks == 0 and fault.error_frame:
            self._fault = None
            raise CartesiaProblem(500, "An error", "An error, on demand.", fault.error_frame)
        await self.send({**frame, "data": base64.b64encode(audio).decode()}, audio)
        self._chunks += 1
        if fault and fault.cut == self._chunks:
            reset_connection(self._request)
        if fault and fault.stall == "after":
            await stall(self._request)

    async def send(self, frame: dict[str, Any], audio: bytes | None = None) -> None:
        """Send one frame."""
        shown = {**frame, "data": f"{len(audio)} bytes"} if audio is not None else frame
        async with self._sending:
            self._record.frame("out", shown, audio)
            with contextlib.suppress(ConnectionError):
                await self._socket.send_str(json.dumps(frame))


class _Context:
    """One context: text that waits, what is spoken of it in order, and its end."""

    def __init__(self, socket: CartesiaTtsSocket, name: str, generation: Generation) -> None:
        self.generation = generation
        self._socket = socket
        self._name = name
        self._pending = ""
        self._timer: asyncio.TimerHandle | None = None
        self._flushes = 0
        self._sent_ms = 0.0
        self._queue: asyncio.Queue[tuple[str, float] | None] = asyncio.Queue()
        socket.service.active_contexts += 1
        self._task = asyncio.create_task(self._speak())
        self._task.add_done_callback(self._end)

    def take(self, transcript: str, *, flush: bool, continues: bool) -> None:
        """Take text; speak what there is when it is time."""
        self._pending += transcript
        if flush or not continues or self.generation.buffer_s == 0:
            self._release()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.generation.buffer_s, self._release)
        if not continues:
            self._queue.put_nowait(None)

    async def stop(self) -> None:
        """Speak no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._task.cancel()
        await asyncio.wait([self._task])

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        text, self._pending = self._pending, ""
        if text:
            self._queue.put_nowait((text, time.monotonic()))

    async def _speak(self) -> None:
        socket = self._socket
        try:
            await self._say_all()
        except CartesiaProblem as problem:
            await socket.send_problem(problem, self._name)
        except SpeechFailed as failed:
            await socket.send_problem(CartesiaProblem(500, "Failed", str(failed)), self._name)
        except Dropped:
            pass

    def _end(self, _task: asyncio.Task[None]) -> None:
        self._socket.forget(self._name)
        self._socket.service.active_contexts -= 1

    async def _say_all(self) -> None:
        while True:
            oddities = self._socket.service.settings.oddities
            limit_s = oddities.tts_context_expiry_s if self._sent_ms else None
            if self._pending:  # what waits in the buffer is on its way
                limit_s = None
            try:
                async with asyncio.timeout(limit_s):
                    item = await self._queue.get()
            except TimeoutError:
                if self._pending:
                    continue
                if oddities.tts_done_on_expiry:
                    self._socket.forget(self._name)
                    await self._send_done()
                return
            if item is None:
                self._socket.forget(self._name)
                await self._send_done()
                return
            await self._say(*item)

    async def _say(self, text: str, triggered: float) -> None:
        service, generation = self._socket.service, self.generation
        self._flushes += 1
        due = triggered + service.settings.delays.tts_first_byte_ms / 1000
        spoken = service.speaker.speak(
            spoken_text(text),
            generation.voice,
            VoiceSettings(speed=generation.speed),
            generation.rate_hz,
        )
        first_ms = FIRST_CHUNK_MS if not self._sent_ms else CHUNK_MS
        async for sentence in spoken:
            due = await self._send_sentence(sentence, due, first_ms)
            first_ms = CHUNK_MS
        if service.settings.oddities.tts_flush_done:
            ended = {"type": "flush_done", "flush_done": True, "flush_id": self._flushes}
            await self._send(ended)

    async def _send_sentence(self, sentence: SpokenSentence, due: float, first_ms: int) -> float:
        """Send a sentence's audio and times. Return when the next one is due."""
        service = self._socket.service
        where = service.settings.oddities.tts_timestamps
        factor = service.settings.delays.tts_realtime_factor
        words = timed_words(sentence.times, self._sent_ms)
        per_ms = sentence.rate_hz / 1000
        offset_ms, at_ms = self._sent_ms, 0.0
        size_ms: float = first_ms
        await sleep_until(due)
        due = max(due, time.monotonic())
        kept = b""
        while at_ms < sentence.duration_ms:
            end_ms = at_ms + size_ms
            if sentence.duration_ms - end_ms < CHUNK_MS / 2:
                end_ms = sentence.duration_ms
            chosen = [w for w in words if at_ms <= w.start_s * 1000 - offset_ms < end_ms]
            if where == "before":
                await self._send_words(chosen)
            samples = sentence.samples[round(at_ms * per_ms) : round(end_ms * per_ms)]
            audio = kept + self._encoded(samples)
            odd = service.settings.oddities.tts_odd_chunks and end_ms < sentence.duration_ms
            audio, kept = (audio[:-1], audio[-1:]) if odd and len(audio) % 2 == 0 else (audio, b"")
            await sleep_until(due)
            frame = {"type": "chunk", "step_time": 1.0, "flush_id": self._flushes}
            await self._socket.send_chunk({**frame, **self._labels()}, audio)
            if where == "after":
                await self._send_words(chosen)
            if factor:
                due += (end_ms - at_ms) / 1000 / factor
            at_ms, size_ms = end_ms, CHUNK_MS
            self._sent_ms = offset_ms + at_ms
        return due

    def _encoded(self, samples: Samples) -> bytes:
        match self.generation.encoding:
            case "pcm_f32le":
                return (samples.astype(np.float32) / 32768).astype("<f4").tobytes()
            case "pcm_mulaw":
                return to_ulaw(samples)
            case "pcm_alaw":
                return to_alaw(samples)
        return to_pcm(samples)

    async def _send_words(self, words: list[Any]) -> None:
        if self.generation.add_timestamps:
            for frame in word_frames(words):
                await self._send({"type": "timestamps", "word_timestamps": frame})

    async def _send_done(self) -> None:
        await self._socket.send({"type": "done", **self._labels(), "done": True})

    async def _send(self, frame: dict[str, Any]) -> None:
        await self._socket.send({**frame, **self._labels()})

    def _labels(self) -> dict[str, Any]:
        return {"context_id": self._name, "done": False, "status_code": 206}
