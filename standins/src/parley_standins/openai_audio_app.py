"""A server of OpenAI's audio API as one application: speech, transcriptions, models, control API.

Which server it plays is a knob; see `parley_standins.openai_audio_profiles`.
"""

from __future__ import annotations

import hmac
import json
from typing import Literal

from aiohttp import web

from parley_standins.browser_guard import refuse_pages
from parley_standins.control_api import ControlApi, begin_record
from parley_standins.engines import Engines
from parley_standins.fault_injection import ignore_dropped, reset_connection, stall
from parley_standins.faults import Controls, Fault
from parley_standins.openai_audio_errors import AudioProblem
from parley_standins.openai_audio_profiles import SERVERS, Server
from parley_standins.openai_audio_settings import AudioSettings
from parley_standins.openai_audio_speech import SpeechAnswer, Spoken
from parley_standins.openai_audio_transcription import Asked, Transcriptions
from parley_standins.request_log import RequestLog, RequestRecord

MODELS = ("kokoro", "tts-1", "whisper-1", "gpt-transcribe")
MAX_BODY_BYTES = 64 * 1024 * 1024


def build_app(api_key: str, engines: Engines) -> web.Application:
    """Build the application.

    Args:
        api_key: the one it takes.
        engines: that run already.
    """
    recorder = RequestLog()
    controls = Controls(AudioSettings())
    app = web.Application(
        middlewares=[refuse_pages, ignore_dropped], client_max_size=MAX_BODY_BYTES
    )
    app.add_routes(ControlApi(controls, recorder).routes())
    app.add_routes(AudioApi(api_key, controls, recorder, engines).routes())
    return app


class AudioApi:
    """The endpoints' handlers."""

    def __init__(
        self,
        api_key: str,
        controls: Controls[AudioSettings],
        recorder: RequestLog,
        engines: Engines,
    ) -> None:
        self._api_key = api_key
        self._controls = controls
        self._recorder = recorder
        self._speaker = engines.speaker
        self._transcriptions = Transcriptions(engines.recognizer)

    def routes(self) -> list[web.RouteDef]:
        """Return routes to add to an application."""
        return [
            web.get("/v1/models", self._models),
            web.post("/v1/audio/speech", self._speak),
            web.post("/v1/audio/transcriptions", self._transcribe),
        ]

    @property
    def _server(self) -> Server:
        return SERVERS[self._controls.settings.oddities.profile]

    async def _models(self, request: web.Request) -> web.StreamResponse:
        record = begin_record(self._recorder, request)
        try:
            if not self._server.lists_models:
                raise web.HTTPNotFound
            self._check_key(request)
        except AudioProblem as problem:
            return self._refused(record, problem)
        record.end(status=200)
        data = [{"id": m, "object": "model", "created": 0, "owned_by": "standin"} for m in MODELS]
        return web.json_response({"object": "list", "data": data})

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        record = begin_record(self._recorder, request)
        settings, server = self._controls.settings, self._server
        try:
            fault = await self._meet_fault(request, "tts")
            if not server.formats:
                raise web.HTTPNotFound
            self._check_key(request)
            try:
                record.body = json.loads(await request.read())
            except ValueError:
                raise AudioProblem(400, "We could not parse the JSON body.") from None
            spoken = Spoken.parse(record.body, server, settings)
            answer = SpeechAnswer(self._speaker, server, settings, spoken, record, fault)
            response = await answer.send(request)
        except AudioProblem as problem:
            return self._refused(record, problem)
        finally:
            record.end()
        record.status = response.status
        return response

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        record = begin_record(self._recorder, request)
        settings, server = self._controls.settings, self._server
        try:
            fault = await self._meet_fault(request, "stt")
            if not server.transcribes:
                raise web.HTTPNotFound
            self._check_key(request)
            asked = await Asked.parse(request, server, record)
            response = await self._transcriptions.answer(
                request, asked, server, settings, record, fault
            )
        except AudioProblem as problem:
            return self._refused(record, problem)
        finally:
            record.end()
        record.status = response.status
        return response

    async def _meet_fault(
        self, request: web.Request, surface: Literal["tts", "stt"]
    ) -> Fault | None:
        """Take this request's fault and do what of it comes before any answer.

        Raises:
            AudioProblem: the fault is a status.
            Dropped: the connection was reset, or the client gave up.
        """
        fault = self._controls.take_fault(surface)
        if fault and fault.refuse:
            reset_connection(request)
        if fault and fault.stall == "before":
            await stall(request)
        if fault and fault.status is not None:
            await request.read()
            raise AudioProblem.of_fault(fault, request.headers.get("Authorization"))
        return fault

    def _check_key(self, request: web.Request) -> None:
        if self._server.open:
            return
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not given:
            raise AudioProblem(401, "You didn't provide an API key.")
        if not hmac.compare_digest(given.encode(), self._api_key.encode()):
            raise AudioProblem(401, "Incorrect API key provided.", "invalid_api_key")

    def _refused(self, record: RequestRecord, problem: AudioProblem) -> web.Response:
        response = problem.answer(detail=self._server.detail)
        record.end(status=response.status)
        return response
