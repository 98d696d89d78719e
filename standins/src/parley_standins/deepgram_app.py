"""The Deepgram stand-in as one application: Flux's socket, the key's check, control API."""

from __future__ import annotations

import uuid
from typing import Any

from aiohttp import web

from parley_standins.browser_guard import refuse_pages
from parley_standins.control_api import ControlApi, begin_record
from parley_standins.deepgram_listen import ListenSocket
from parley_standins.deepgram_service import (
    FluxService,
    FluxSettings,
    Refused,
    StatusFault,
    require_key,
)
from parley_standins.engines import Engines
from parley_standins.fault_injection import Handler, ignore_dropped
from parley_standins.faults import Controls
from parley_standins.request_log import RequestLog


def build_app(api_key: str, engines: Engines) -> web.Application:
    """Build the application.

    Args:
        api_key: the one it takes.
        engines: that run already.
    """
    recorder = RequestLog()
    controls = Controls(FluxSettings())
    service = FluxService(api_key, engines.recognizer, controls, recorder)

    async def listen(request: web.Request) -> web.StreamResponse:
        return await ListenSocket(service, request).serve()

    async def checked(request: web.Request, answer: dict[str, Any]) -> web.StreamResponse:
        record = begin_record(recorder, request)
        try:
            require_key(service, request)
        except Refused as refused:
            record.end(status=refused.status)
            raise
        record.end(status=200)
        return web.json_response(answer)

    async def token(request: web.Request) -> web.StreamResponse:
        return await checked(
            request, {"api_key_id": str(uuid.UUID(int=1)), "scopes": ["usage:write"]}
        )

    async def projects(request: web.Request) -> web.StreamResponse:
        project = {"project_id": str(uuid.UUID(int=2)), "name": "Stand-in"}
        return await checked(request, {"projects": [project]})

    app = web.Application(middlewares=[refuse_pages, ignore_dropped, _refusals_to_answers])
    app.add_routes(ControlApi(controls, recorder).routes())
    app.add_routes(
        [
            web.get("/v2/listen", listen),
            web.get("/v1/auth/token", token),
            web.get("/v1/projects", projects),
        ]
    )
    return app


@web.middleware
async def _refusals_to_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (Refused, StatusFault) as refused:
        return _answer(refused)


def _answer(refused: Refused | StatusFault) -> web.Response:
    request_id = str(uuid.uuid4())
    body: dict[str, Any] = {
        "err_code": refused.code,
        "err_msg": refused.message,
        "request_id": request_id,
    }
    response = web.json_response(body, status=refused.status)
    response.headers["dg-request-id"] = request_id
    response.headers["dg-error"] = refused.message
    if isinstance(refused, StatusFault) and refused.retry_after is not None:
        response.headers["Retry-After"] = f"{refused.retry_after:g}"
    return response
