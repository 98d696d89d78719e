"""The ElevenLabs stand-in as one application: HTTP endpoints, sockets, control API."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from parley_standins.browser_guard import refuse_pages
from parley_standins.control_api import ControlApi
from parley_standins.elevenlabs_dialogue_socket import DialogueSocket
from parley_standins.elevenlabs_http import ElevenLabsHttp
from parley_standins.elevenlabs_service import SpeechService, problems_to_answers
from parley_standins.elevenlabs_stt_socket import SttSocket
from parley_standins.elevenlabs_tts_socket import TtsSocket
from parley_standins.engines import Engines
from parley_standins.fault_injection import ignore_dropped
from parley_standins.faults import Controls, SpeechSettings
from parley_standins.request_log import RequestLog

MAX_BODY_BYTES = 64 * 1024 * 1024


def elevenlabs_app(
    api_key: str, settings: SpeechSettings, engines: Engines | None = None
) -> web.Application:
    """Return the application.

    Args:
        api_key: the one it takes.
        settings: delays, faults and oddities at the start and after a reset.
        engines: that run already; without any, it starts and ends its own.
    """
    recorder = RequestLog()
    controls = Controls(settings)
    used = engines or Engines()
    service = SpeechService(api_key, used.speaker, used.recognizer, controls, recorder)

    async def own_engines(_app: web.Application) -> AsyncIterator[None]:
        async with used.running():
            yield

    async def stream_input(request: web.Request) -> web.StreamResponse:
        return await TtsSocket(service, request, multi=False).serve()

    async def multi_stream_input(request: web.Request) -> web.StreamResponse:
        return await TtsSocket(service, request, multi=True).serve()

    async def dialogue(request: web.Request) -> web.StreamResponse:
        return await DialogueSocket(service, request, multi=False).serve()

    async def multi_dialogue(request: web.Request) -> web.StreamResponse:
        return await DialogueSocket(service, request, multi=True).serve()

    async def realtime(request: web.Request) -> web.StreamResponse:
        return await SttSocket(service, request).serve()

    app = web.Application(
        middlewares=[refuse_pages, ignore_dropped, problems_to_answers(service)],
        client_max_size=MAX_BODY_BYTES,
    )
    if engines is None:
        app.cleanup_ctx.append(own_engines)
    app.add_routes(ControlApi(controls, recorder).routes())
    app.add_routes(ElevenLabsHttp(service).routes())
    app.add_routes(
        [
            web.get("/v1/text-to-speech/{voice_id}/stream-input", stream_input),
            web.get("/v1/text-to-speech/{voice_id}/multi-stream-input", multi_stream_input),
            web.get("/v1/text-to-dialogue/stream-input", dialogue),
            web.get("/v1/text-to-dialogue/multi-stream-input", multi_dialogue),
            web.get("/v1/speech-to-text/realtime", realtime),
        ]
    )
    return app
