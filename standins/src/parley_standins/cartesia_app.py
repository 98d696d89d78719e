"""The Cartesia stand-in as one application: sockets, voices, tokens, control API."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from parley_standins.browser_guard import refuse_pages
from parley_standins.cartesia_service import (
    CARTESIA_VOICES,
    MAX_TOKEN_S,
    CartesiaProblem,
    CartesiaService,
    find_voice,
)
from parley_standins.cartesia_settings import CartesiaSettings
from parley_standins.cartesia_stt_socket import CartesiaSttSocket
from parley_standins.cartesia_tts_socket import CartesiaTtsSocket
from parley_standins.cartesia_turns_socket import CartesiaTurnsSocket
from parley_standins.control_api import ControlApi
from parley_standins.engines import Engines
from parley_standins.fault_injection import Handler, ignore_dropped
from parley_standins.faults import Controls
from parley_standins.request_log import RequestLog, RequestRecord

CREATED_AT = "2026-01-01T00:00:00Z"


def build_app(api_key: str, engines: Engines) -> web.Application:
    """Return the application.

    Args:
        api_key: the one it takes.
        engines: the voice and the ear; they run already.
    """
    recorder, controls = RequestLog(), Controls(CartesiaSettings())
    service = CartesiaService(api_key, engines, controls, recorder)
    app = web.Application(middlewares=[refuse_pages, ignore_dropped, _answer_problems])
    app.add_routes(ControlApi(controls, recorder).routes())

    async def speak(request: web.Request) -> web.StreamResponse:
        return await CartesiaTtsSocket(service, request).serve()

    async def transcribe(request: web.Request) -> web.StreamResponse:
        return await CartesiaSttSocket(service, request).serve()

    async def find_turns(request: web.Request) -> web.StreamResponse:
        return await CartesiaTurnsSocket(service, request).serve()

    app.add_routes(
        [
            web.get("/", _status),
            web.get("/tts/websocket", speak),
            web.get("/stt/websocket", transcribe),
            web.get("/stt/turns/websocket", find_turns),
            web.get("/voices", _known(service, _list_voices)),
            web.get("/voices/{id}", _known(service, _get_voice)),
            web.post("/access-token", _known(service, _make_token)),
        ]
    )
    return app


@web.middleware
async def _answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    response: web.StreamResponse | None = None
    try:
        response = await handler(request)
    except CartesiaProblem as problem:
        response = problem.response()
    finally:
        record: RequestRecord | None = request.get("record")
        if record is not None and record.ended_ms is None:
            record.end(status=response.status if response else None)
    return response


def _known(
    service: CartesiaService,
    answer: Callable[[CartesiaService, web.Request], Awaitable[web.Response]],
) -> Handler:
    """Return a handler of requests whose version and key are checked."""

    async def handle(request: web.Request) -> web.StreamResponse:
        request["record"] = service.begin(request)
        service.check(request)
        return await answer(service, request)

    return handle


async def _status(_request: web.Request) -> web.Response:
    return web.json_response({"ok": True, "version": "stand-in"})


async def _list_voices(_service: CartesiaService, request: web.Request) -> web.Response:
    limit = request.query.get("limit", "10")
    if not limit.isdecimal() or not 1 <= int(limit) <= 100:
        raise CartesiaProblem(400, "Invalid limit", "limit has to be from 1 to 100.")
    ids, after = list(CARTESIA_VOICES), request.query.get("starting_after", "")
    begin = ids.index(after) + 1 if after in ids else 0
    page = ids[begin : begin + int(limit)]
    more = begin + len(page) < len(ids)
    return web.json_response({"data": [_described(id_) for id_ in page], "has_more": more})


async def _get_voice(_service: CartesiaService, request: web.Request) -> web.Response:
    find_voice(request.match_info["id"])
    return web.json_response(_described(request.match_info["id"]))


async def _make_token(service: CartesiaService, request: web.Request) -> web.Response:
    try:
        asked = json.loads(await request.read())
    except ValueError:
        asked = None
    seconds = asked.get("expires_in", 0) if isinstance(asked, dict) else None
    if not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_TOKEN_S:
        raise CartesiaProblem(400, "Invalid request", "expires_in has to be at most 3600.")
    return web.json_response({"token": service.make_token(seconds)})


def _described(voice_id: str) -> dict[str, object]:
    voice = CARTESIA_VOICES[voice_id]
    return {
        "id": voice_id,
        "name": voice.name,
        "description": f"{voice.name}, of the stand-in",
        "tagline": voice.name,
        "language": "en",
        "gender": "feminine" if voice.gender == "female" else "masculine",
        "access": "public",
        "visibility": "all",
        "is_owner": False,
        "is_public": True,
        "user_id": "stand-in",
        "created_at": CREATED_AT,
    }
