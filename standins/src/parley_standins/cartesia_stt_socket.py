"""Cartesia's realtime transcription: what both of its WebSockets have in common, and the one on
which the client ends an utterance."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from parley_standins.cartesia_service import (
    CartesiaProblem,
    CartesiaService,
    concurrency_limited,
)
from parley_standins.fault_injection import reset_connection, sleep_until, stall
from parley_standins.faults import Fault
from parley_standins.recognizer import (
    AudioDecoder,
    Recognised,
    RecognitionFailed,
    Utterance,
    written,
)
from parley_standins.request_log import RequestRecord

MAX_KEYTERMS = 100
MAX_KEYTERM_CHARACTERS = 1200
BYTES_PER_SAMPLE = {"pcm_s16le": 2, "pcm_mulaw": 1}
"""Of the encodings that this stand-in hears; the service hears more."""


@dataclass(frozen=True, slots=True)
class SttOptions:
    """What the query says."""

    model: str
    encoding: str
    rate_hz: int
    language: str

    @property
    def bytes_per_second(self) -> int:
        """Of the audio that the client sends."""
        return self.rate_hz * BYTES_PER_SAMPLE[self.encoding]

    def make_decoder(self) -> AudioDecoder:
        """Return what turns the audio into what the recogniser hears."""
        return AudioDecoder("pcm" if self.encoding == "pcm_s16le" else "ulaw", self.rate_hz)

    @classmethod
    def parse(cls, request: web.Request, models: tuple[str, ...]) -> SttOptions:
        """Read the query.

        Args:
            models: those that the endpoint has.

        Raises:
            CartesiaProblem: 400.
        """
        query = request.query
        model, encoding = query.get("model", ""), query.get("encoding", "")
        if not model.startswith(models):
            raise CartesiaProblem(400, "Invalid model", "No such model.", "model_not_found")
        if encoding not in BYTES_PER_SAMPLE:
            raise CartesiaProblem(400, "Invalid encoding", "This encoding is not supported.")
        rate = query.get("sample_rate", "")
        if not rate.isdecimal() or not 4000 <= int(rate) <= 96_000:
            raise CartesiaProblem(400, "Invalid sample rate", "sample_rate has to be in Hz.")
        language = query.get("language", "en")
        if model.startswith("ink-2") and language != "en":
            raise CartesiaProblem(400, "Invalid language", "ink-2 takes no other language.")
        if model.startswith("ink-2") and "language_hint" in query:
            raise CartesiaProblem(400, "Invalid hint", "ink-2 takes no hints.")
        terms = query.getall("keyterm", [])
        if len(terms) > MAX_KEYTERMS or sum(map(len, terms)) > MAX_KEYTERM_CHARACTERS:
            raise CartesiaProblem(400, "Invalid keyterms", "There are too many keyterms.")
        return cls(model, encoding, int(rate), language)


class CartesiaSttSocket:
    """One connection."""

    models: tuple[str, ...] = ("ink-2", "ink-whisper", "ink-preview")

    def __init__(self, service: CartesiaService, request: web.Request) -> None:
        self._service = service
        self._request = request
        self._record: RequestRecord = service.begin(request, socket=True)
        request["record"] = self._record
        self._socket = web.WebSocketResponse()
        self._fault: Fault | None = None
        self._chunks = 0
        self._has_answered = False
        self.request_id = str(uuid.uuid4())

    async def serve(self) -> web.StreamResponse:
        """Serve the handshake, then frames until either side ends it."""
        service, request = self._service, self._request
        service.check(request)
        options = SttOptions.parse(request, self.models)
        self._fault = await service.meet_fault(request, "stt")
        if service.stt_sockets >= service.settings.oddities.stt_max_sockets:
            raise concurrency_limited()
        service.stt_sockets += 1
        self._socket.headers["X-Request-Id"] = self.request_id
        hearing = self.make_hearing(service, options)
        try:
            await self._socket.prepare(request)
            self._record.end(status=101)
            self._record.ended_ms = None
            if self._fault and self._fault.cut == 0:
                reset_connection(request)
            await self.greet()
            if self._fault and self._fault.stall == "after":
                await stall(request)
            await self._receive(hearing)
        except CartesiaProblem as problem:
            await self.send(problem.frame())
            await self._socket.close(code=1008)
        finally:
            service.stt_sockets -= 1
            await hearing.stop()
            self._record.end(close_code=self._socket.close_code)
        return self._socket

    def make_hearing(self, service: CartesiaService, options: SttOptions) -> Hearing:
        """Return what hears the audio."""
        return ManualHearing(service, options, self.send_transcript)

    async def greet(self) -> None:
        """Say what comes before any transcript."""

    async def command(self, text: str, hearing: Hearing) -> bool:
        """Do what a text frame says. Return whether the connection goes on.

        Raises:
            CartesiaProblem: it is no command.
        """
        if text not in ("finalize", "close", "done"):
            raise CartesiaProblem(400, "Invalid command", "This is not a command.")
        await hearing.finish()
        if text == "finalize":
            await self.send({"type": "flush_done", "request_id": self.request_id})
            return True
        await self.send({"type": "done", "request_id": self.request_id})
        return False

    async def _receive(self, hearing: Hearing) -> None:
        while True:
            try:
                message = await self._socket.receive(self._service.settings.oddities.stt_idle_s)
            except TimeoutError:
                await self._socket.close(code=1000, message=b"idle timeout")
                return
            if message.type == WSMsgType.BINARY:
                self._record.frame("in", f"{len(message.data)} bytes", message.data)
                self._chunks += 1
                if self._fault and self._fault.cut == self._chunks:
                    await hearing.stop()  # who comes again at once finds a recogniser free
                    reset_connection(self._request)
                await hearing.hear(message.data)
            elif message.type == WSMsgType.TEXT:
                self._record.frame("in", message.data)
                if not await self.command(message.data, hearing):
                    await self._socket.close(code=1000)
                    return
            else:
                return

    async def send_transcript(self, frame: dict[str, Any]) -> None:
        """Send a transcript, or what a fault puts in its place."""
        fault = self._fault if not self._has_answered else None
        self._has_answered = True
        if fault and fault.garbage:
            self._record.frame("out", "garbage")
            await self._socket.send_str('{"type": "transcri')
        elif fault and fault.error_frame:
            problem = CartesiaProblem(500, "An error", "An error, on demand.", fault.error_frame)
            await self.send(problem.frame())
            await self._socket.close(code=1011)
        else:
            await self.send({**frame, "request_id": self.request_id})

    async def send(self, frame: dict[str, Any]) -> None:
        """Send one frame."""
        self._record.frame("out", frame)
        with contextlib.suppress(ConnectionError):
            await self._socket.send_str(json.dumps(frame))


Send = Callable[[dict[str, Any]], Any]


class Hearing:
    """Utterances, heard one after the other while their audio arrives.

    Args:
        send: sends a transcript.
    """

    def __init__(self, service: CartesiaService, options: SttOptions, send: Send) -> None:
        self.service = service
        self.options = options
        self.send = send
        self._decoder = options.make_decoder()
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._utterance = self._next_utterance()

    async def hear(self, audio: bytes) -> None:
        """Take the next audio."""
        self._utterance.hear(audio)

    async def finish(self) -> None:
        """Transcribe all that was heard."""

    async def on_partial(self, text: str) -> None:
        """Tell what was heard so far of the utterance."""

    async def stop(self) -> None:
        """Drop what is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._utterance.forget()

    async def end_utterance(self) -> Recognised:
        """Return what the utterance said, and begin the next one.

        Raises:
            CartesiaProblem: the recogniser ended.
        """
        ended, since = self._utterance, time.monotonic()
        self._number += 1
        self._utterance = self._next_utterance()
        try:
            recognised = await ended.finish()
        except RecognitionFailed as failed:
            raise CartesiaProblem(500, "Internal error", str(failed), "internal_error") from None
        await sleep_until(since + self.service.settings.delays.stt_final_ms / 1000)
        return recognised

    def _next_utterance(self) -> Utterance:
        number = self._number
        return self.service.recognizer.open_utterance(
            self._decoder, lambda text: self._start_partial(number, text)
        )

    def _start_partial(self, number: int, text: str) -> None:
        due = time.monotonic() + self.service.settings.delays.stt_partial_ms / 1000
        task = asyncio.create_task(self._tell_partial(number, text, due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_partial(self, number: int, text: str, due: float) -> None:
        await sleep_until(due)
        if number == self._number:
            await self.on_partial(text)


class ManualHearing(Hearing):
    """Makes final what it is told to, and by itself what has become too long.

    Each transcript says what came since the last final one, with a space in front.
    """

    def __init__(self, service: CartesiaService, options: SttOptions, send: Send) -> None:
        super().__init__(service, options, send)
        self._bytes = 0

    async def hear(self, audio: bytes) -> None:
        """Take the next audio."""
        await super().hear(audio)
        self._bytes += len(audio)
        limit_s = self.service.settings.oddities.stt_own_final_s
        if self._bytes >= limit_s * self.options.bytes_per_second:
            await self.finish()

    async def finish(self) -> None:
        """Transcribe all that was heard since the last final transcript."""
        heard_s = self._bytes / self.options.bytes_per_second
        self._bytes = 0
        recognised = await self.end_utterance()
        if recognised.text:
            text = written(recognised.text, complete=True)
            words = [
                {"word": word.text, "start": round(word.start_s, 3), "end": round(word.end_s, 3)}
                for word in recognised.words
            ]
            detail = {"duration": heard_s, "language": self.options.language, "words": words}
            await self.send({"type": "transcript", "text": " " + text, "is_final": True, **detail})

    async def on_partial(self, text: str) -> None:
        """Tell what was heard so far of the utterance."""
        text = " " + written(text, complete=False)
        await self.send({"type": "transcript", "text": text, "is_final": False})
