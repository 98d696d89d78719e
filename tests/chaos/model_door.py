"""Stands before the language model, and keeps its answers waiting sentence by sentence."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
from aiohttp import web

from parley_standins.fault_injection import ignore_dropped, reset_connection
from tests.chaos.tool_plan import Moment, ToolsPlan

_NONCE = re.compile(r'"nonce": "([\w-]+)"')


class ModelDoor:
    """A proxy.

    Args:
        upstream: the model's base URL.
        plans: by nonce.
        happened: told when a turn's model is asked, and when it is told of results.
    """

    def __init__(
        self,
        upstream: str,
        plans: dict[str, ToolsPlan],
        happened: Callable[[str, Moment], None],
    ) -> None:
        self._upstream = upstream.removesuffix("/v1")
        self._plans = plans
        self._happened = happened
        self._kept_waiting: set[str] = set()
        self.kept_waiting: dict[str, int] = {"stalls": 0, "late": 0}

    def build_app(self) -> web.Application:
        """The application. Serve it with `handler_cancellation`: who leaves is not waited for."""
        app = web.Application(middlewares=[ignore_dropped], client_max_size=2**24)
        app.cleanup_ctx.append(self._open_client)
        app.router.add_route("*", "/{path:.*}", self._forward)
        return app

    async def _open_client(self, _app: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as self._client:
            yield

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.method == "POST":
            await self._keep_waiting(body)
        headers = {name: request.headers[name] for name in _PASSED if name in request.headers}
        url = f"{self._upstream}{request.path_qs}"
        try:
            async with self._client.request(
                request.method, url, data=body or None, headers=headers
            ) as answer:
                return await _pass_on(request, answer)
        except aiohttp.ClientError:
            reset_connection(request)

    async def _keep_waiting(self, body: bytes) -> None:
        nonce, rounds = read_question(body)
        plan = self._plans.get(nonce)
        if plan is None:
            return
        self._happened(nonce, "answered" if rounds else "asked")
        if plan.model is None or nonce in self._kept_waiting:
            return
        self._kept_waiting.add(nonce)
        how, late_ms = plan.model
        self.kept_waiting[how] += 1
        await asyncio.sleep(600 if how == "stalls" else late_ms / 1000)


_PASSED = ("Authorization", "Content-Type", "Accept")


async def _pass_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status)
    response.content_type = answer.content_type
    for name in ("x-request-id", "Retry-After"):
        if name in answer.headers:
            response.headers[name] = answer.headers[name]
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def read_question(body: bytes) -> tuple[str, int]:
    """The nonce of the sentence that a model is asked about, and of how many rounds it is told."""
    try:
        messages: list[dict[str, Any]] = json.loads(body)["messages"]
    except (ValueError, KeyError, TypeError):
        return "", 0
    asked = max((at for at, each in enumerate(messages) if each["role"] == "user"), default=0)
    *_, sentence = str(messages[asked]["content"]).splitlines() or [""]
    found = _NONCE.search(sentence)
    rounds = sum(bool(each.get("tool_calls")) for each in messages[asked:])
    return (found[1] if found else ""), rounds
