"""The control API that every stand-in has, beside the service it stands in for.

`GET/PUT/DELETE /_control` reads, changes and resets delays, faults and oddities.
`GET/DELETE /_requests` (`?after=ID` for the newer ones), `GET /_requests/{id}` and
`GET /_requests/{id}/audio` show what was received and sent. `GET/DELETE /_refusals` counts the
requests to a language model that were refused for what they said, by reason.
"""

from __future__ import annotations

import json
from typing import Generic

import msgspec
from aiohttp import web

from parley_standins.faults import Controls, InvalidControl, S
from parley_standins.request_log import RequestLog, RequestRecord


class ControlApi(Generic[S]):
    """The routes.

    Args:
        controls: the stand-in's settings.
        recorder: the stand-in's records.
    """

    def __init__(self, controls: Controls[S], recorder: RequestLog) -> None:
        self._controls: Controls[S] = controls
        self._recorder = recorder

    def routes(self) -> list[web.RouteDef]:
        """Return routes to add to an application."""
        return [
            web.get("/_control", self._show),
            web.put("/_control", self._change),
            web.delete("/_control", self._reset),
            web.get("/_requests", self._list),
            web.delete("/_requests", self._clear),
            web.get(r"/_requests/{id:\d+}", self._one),
            web.get(r"/_requests/{id:\d+}/audio", self._audio),
            web.get("/_refusals", self._refusals),
            web.delete("/_refusals", self._forget_refusals),
        ]

    async def _show(self, _request: web.Request) -> web.Response:
        return _json(msgspec.to_builtins(self._controls.settings))

    async def _change(self, request: web.Request) -> web.Response:
        try:
            self._controls.change(json.loads(await request.read()))
        except (json.JSONDecodeError, UnicodeDecodeError, InvalidControl) as error:
            return web.json_response({"error": str(error)}, status=400)
        return await self._show(request)

    async def _reset(self, request: web.Request) -> web.Response:
        self._controls.reset()
        return await self._show(request)

    async def _list(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "0")
        if not after.isdecimal():
            return web.json_response({"error": "after is the number of a record"}, status=400)
        records = [record for record in self._recorder.all() if record.id > int(after)]
        return _json({"requests": [record.described() for record in records]})

    async def _clear(self, _request: web.Request) -> web.Response:
        self._recorder.clear()
        return _json({"requests": []})

    async def _refusals(self, _request: web.Request) -> web.Response:
        return _json({"refusals": self._recorder.refusals})

    async def _forget_refusals(self, request: web.Request) -> web.Response:
        self._recorder.refusals.clear()
        return await self._refusals(request)

    async def _one(self, request: web.Request) -> web.Response:
        return _json(self._found(request).described())

    async def _audio(self, request: web.Request) -> web.Response:
        record = self._found(request)
        match request.query.get("direction", "out"):
            case "in" | "out" as direction:
                body = bytes(record.audio[direction])
                return web.Response(body=body, content_type="application/octet-stream")
        return web.json_response({"error": "direction is in or out"}, status=400)

    def _found(self, request: web.Request) -> RequestRecord:
        record = self._recorder.find(int(request.match_info["id"]))
        if record is None:
            raise web.HTTPNotFound(
                text=json.dumps({"error": f"there is no record {request.match_info['id']}"}),
                content_type="application/json",
            )
        return record


def begin_record(
    recorder: RequestLog, request: web.Request, *, socket: bool = False
) -> RequestRecord:
    """Return a record of a request that has just come in."""
    query = {name: request.query.getall(name) for name in request.query}
    return recorder.begin(
        "websocket" if socket else "http",
        request.method,
        request.path,
        query,
        dict(request.headers),
    )


def _json(content: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")
