"""Deepgram's Flux over a WebSocket: turns that the model ends, or that the client ends.

What is wrong is said by the handshake's status. Audio comes in binary frames and is decoded while
it arrives; frames are worked off in their order, so that `ForceEndTurn` ends a turn behind all
audio that was sent before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

from aiohttp import WSMsgType, web

from parley_standins.control_api import begin_record
from parley_standins.deepgram_options import MULTILINGUAL, ListenOptions
from parley_standins.deepgram_service import FluxService, Refused, StatusFault, require_key
from parley_standins.fault_injection import reset_connection, sleep_until, stall
from parley_standins.faults import Fault
from parley_standins.recognizer import (
    AudioDecoder,
    RecognitionFailed,
    Utterance,
    Word,
    written,
)
from parley_standins.request_log import RequestRecord
from parley_standins.vad import EnergyVad, VadSettings

MAX_FRAME_BYTES = 16 * 1024 * 1024
UPDATE_S = 0.25
"""Of audio, from one update to the next."""
SURE, UNSURE = 0.9, 0.1
"""The confidence that a turn is over, at its end and before."""


class _Fatal(Exception):
    """The session can't go on: an error frame, then a close."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(code)
        self.frame = {"type": "Error", "code": code, "description": description}


class ListenSocket:
    """One connection."""

    def __init__(self, service: FluxService, request: web.Request) -> None:
        self._service = service
        self._request = request
        self._record: RequestRecord = begin_record(service.recorder, request, socket=True)
        self._request_id = str(uuid.uuid4())
        self._socket = web.WebSocketResponse(max_msg_size=MAX_FRAME_BYTES, autoping=True)
        self._socket.headers["dg-request-id"] = self._request_id
        self._fault: Fault | None = service.controls.take_fault("stt")
        self._answered = False
        self._chunks = 0
        self._sequence_id = 0
        self._outbox: asyncio.Queue[tuple[float, dict[str, Any]]] = asyncio.Queue()

    async def serve(self) -> web.StreamResponse:
        """Serve the handshake, then frames until either side ends it."""
        service, request, fault = self._service, self._request, self._fault
        try:
            options = await self._checked()
        except (Refused, StatusFault) as refused:
            self._record.end(status=refused.status)
            raise
        await asyncio.sleep(service.settings.delays.stt_handshake_ms / 1000)
        await self._socket.prepare(request)
        self._record.end(status=101)
        self._record.ended_ms = None
        turns = _Turns(self, service, options)
        send_task = asyncio.create_task(self._send_all())
        try:
            if fault and fault.cut == 0:
                reset_connection(request)
            self.emit({"type": "Connected"})
            await self._converse(turns)
            await self._outbox.join()
            await self._socket.close()
        except _Fatal as fatal:
            await self._outbox.join()
            await self._send(fatal.frame)
            await self._socket.close(code=1008)
        finally:
            send_task.cancel()
            await asyncio.wait([send_task])
            await turns.stop()
            self._record.end(close_code=self._socket.close_code)
        return self._socket

    async def _checked(self) -> ListenOptions:
        """Check the handshake, after what of a fault comes before any answer."""
        request, fault = self._request, self._fault
        if fault and fault.refuse:
            reset_connection(request)
        if fault and fault.stall == "before":
            await stall(request)
        if fault and fault.status is not None:
            raise StatusFault(fault)
        require_key(self._service, request)
        query = {name: request.query.getall(name) for name in request.query}
        return ListenOptions.parse(query)

    def emit(self, frame: dict[str, Any], due: float = 0.0) -> None:
        """Send a frame behind all others, no sooner than `due` of `time.monotonic()`."""
        self._outbox.put_nowait((due, frame))

    async def _send_all(self) -> None:
        while True:
            due, frame = await self._outbox.get()
            try:
                await sleep_until(due)
                await self._send_or_fail(frame)
            finally:
                self._outbox.task_done()

    async def _send_or_fail(self, frame: dict[str, Any]) -> None:
        """Send a frame, or what a fault puts in the first transcript's place."""
        fault = self._fault if frame["type"] != "Connected" and not self._answered else None
        self._answered = self._answered or frame["type"] != "Connected"
        if fault and fault.garbage:
            self._record.frame("out", "garbage")
            await self._socket.send_str('{"type": "TurnIn')
        elif fault and fault.error_frame:
            error = {"type": "Error", "code": fault.error_frame, "description": "On demand."}
            await self._send(error)
            await self._socket.close(code=1011)
        else:
            await self._send(frame)

    async def _send(self, frame: dict[str, Any]) -> None:
        whole = {**frame, "sequence_id": self._sequence_id, "request_id": self._request_id}
        self._sequence_id += 1
        self._record.frame("out", whole)
        with contextlib.suppress(ConnectionError):
            await self._socket.send_str(json.dumps(whole))

    async def _converse(self, turns: _Turns) -> None:
        if self._fault and self._fault.stall == "after":
            await self._outbox.join()
            await stall(self._request)
        async for message in self._socket:
            if message.type == WSMsgType.BINARY:
                self._record.frame("in", {"type": "audio"}, message.data)
                self._chunks += 1
                if self._fault and self._fault.cut == self._chunks:
                    await turns.stop()  # who comes again at once finds a recogniser free
                    reset_connection(self._request)
                await turns.hear(message.data)
            elif message.type == WSMsgType.TEXT:
                frame = self._parsed(message.data)
                if frame["type"] == "CloseStream":
                    await turns.tell()
                    return
                await self._handle(frame, turns)

    def _parsed(self, data: str) -> dict[str, Any]:
        try:
            frame = json.loads(data)
        except ValueError:
            frame = None
        if not isinstance(frame, dict) or frame.get("type") not in (
            "ForceEndTurn",
            "Configure",
            "CloseStream",
        ):
            self._record.frame("in", data[:200])
            raise _Fatal(
                "UNPARSABLE_CLIENT_MESSAGE",
                "Text message received from client did not match any of the formats we expect.",
            )
        self._record.frame("in", frame)
        return frame

    async def _handle(self, frame: dict[str, Any], turns: _Turns) -> None:
        if frame["type"] == "ForceEndTurn":
            await turns.force_end()
            return
        try:
            turns.configure(frame.get("thresholds") or {})
        except Refused as refused:
            failure = {"type": "ConfigureFailure", "code": "INVALID_CONFIGURATION"}
            self.emit({**failure, "description": refused.message})


class _Turns:
    """The turns of one connection, one after the other."""

    def __init__(self, socket: ListenSocket, service: FluxService, options: ListenOptions) -> None:
        self._socket = socket
        self._service = service
        self._options = options
        self._thresholds = options.thresholds
        self._decoder = AudioDecoder(options.codec, options.rate_hz)
        # The detectors hear what the recogniser hears, at its rate.
        self._vad_decoder = AudioDecoder(options.codec, options.rate_hz)
        self._index = 0
        self._heard_bytes = 0
        self._told_s = 0.0
        self._turn_from_s = 0.0
        self._started = False
        self._eager = False
        self._text = ""
        self._utterance = self._new_utterance()
        self._set_detectors()

    async def hear(self, audio: bytes) -> None:
        """Take the next audio."""
        self._utterance.hear(audio)
        self._heard_bytes += len(audio)
        pcm = self._vad_decoder.decode(audio)
        if self._eager_vad and self._eager_vad.hear(pcm) and self._started:
            self._eager = True
            self._tell_turn("EagerEndOfTurn")
        if self._end_vad.hear(pcm):
            await self._end(self._trigger)
        elif self._now_s - self._told_s >= UPDATE_S:
            await self.tell()

    async def tell(self) -> None:
        """Tell of the turn so far."""
        self._told_s = self._now_s
        for _ in range(2 if self._service.settings.oddities.repeats_updates else 1):
            self._tell_turn("Update")

    async def force_end(self) -> None:
        """End the turn, because the client says so."""
        if self._service.settings.oddities.forces_nothing or not await self._end("manual"):
            self._socket.emit(
                {
                    "type": "Warning",
                    "code": "FORCE_END_TURN_NO_ACTIVE_TURN",
                    "description": "ForceEndTurn received with no active turn.",
                }
            )

    def configure(self, thresholds: dict[str, Any]) -> None:
        """Change the thresholds.

        Raises:
            Refused: one is out of its range; none was changed.
        """
        self._thresholds = self._thresholds.merged_with(thresholds)
        self._set_detectors()
        self._socket.emit(
            {
                "type": "ConfigureSuccess",
                "thresholds": self._thresholds.described(),
                "keyterms": [],
                "language_hints": list(self._options.language_hints),
            }
        )

    async def stop(self) -> None:
        """Drop what is left."""
        await self._utterance.forget()

    @property
    def _now_s(self) -> float:
        return self._heard_bytes / self._options.bytes_per_second

    def _set_detectors(self) -> None:
        oddities, thresholds = self._service.settings.oddities, self._thresholds
        timeout_s = thresholds.timeout_ms / 1000
        by_model = thresholds.eot < 1 and oddities.model_silence_s < timeout_s
        self._trigger = "model" if by_model else "timeout"
        silence_s = oddities.model_silence_s if by_model else timeout_s
        self._end_vad = EnergyVad(VadSettings(silence_s=silence_s))
        self._eager_vad = (
            None
            if thresholds.eager is None
            else EnergyVad(VadSettings(silence_s=oddities.eager_silence_s))
        )

    def _new_utterance(self) -> Utterance:
        index = self._index
        return self._service.recognizer.open_utterance(
            self._decoder, lambda text: self._on_partial(index, text)
        )

    def _on_partial(self, index: int, text: str) -> None:
        if index != self._index or not text:
            return
        resumed = self._eager and text != self._text
        self._text = text
        if not self._started:
            self._started = True
            self._tell_turn("StartOfTurn")
        elif resumed:
            self._eager = False
            self._tell_turn("TurnResumed")

    async def _end(self, trigger: str) -> bool:
        """End the turn; whether there was one."""
        ended = time.monotonic()
        try:
            recognised = await self._utterance.finish()
        except RecognitionFailed as failed:
            raise _Fatal("INTERNAL_SERVER_ERROR", str(failed)) from None
        if recognised.text:
            if not self._started:
                self._on_partial(self._index, recognised.text)
            due = ended + self._service.settings.delays.stt_final_ms / 1000
            self._text = recognised.text
            self._tell_turn("EndOfTurn", recognised.words, trigger=trigger, due=due)
            self._index += 1
        self._started = self._eager = False
        self._text = ""
        self._turn_from_s = self._told_s = self._now_s
        self._utterance = self._new_utterance()
        return bool(recognised.text)

    def _tell_turn(
        self, event: str, words: Sequence[Word] = (), *, trigger: str = "", due: float = 0.0
    ) -> None:
        text = written(self._text, complete=event in ("EndOfTurn", "EagerEndOfTurn"))
        frame: dict[str, Any] = {
            "type": "TurnInfo",
            "event": event,
            "turn_index": self._index,
            "audio_window_start": round(self._turn_from_s, 3),
            "audio_window_end": round(self._now_s, 3),
            "transcript": text,
            "words": self._described(text.split(), words),
            "end_of_turn_confidence": SURE if event == "EndOfTurn" else UNSURE,
        }
        if trigger:
            frame["trigger"] = trigger
        if self._options.model == MULTILINGUAL:
            frame["languages"] = list(self._service.settings.oddities.languages) if text else []
            if self._options.language_hints:
                frame["languages_hinted"] = list(self._options.language_hints)
        partial_s = self._service.settings.delays.stt_partial_ms / 1000
        self._socket.emit(frame, due or time.monotonic() + partial_s)

    def _described(self, texts: list[str], words: Sequence[Word]) -> list[dict[str, Any]]:
        described: list[dict[str, Any]] = [{"word": text, "confidence": SURE} for text in texts]
        for entry, word in zip(described, words, strict=False):
            entry["start"] = round(self._turn_from_s + word.start_s, 3)
            entry["end"] = round(self._turn_from_s + word.end_s, 3)
        return described
