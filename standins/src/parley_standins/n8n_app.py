"""n8n with one workflow: a webhook or a Chat Trigger, an agent with a memory, and an answer.

`/webhook/{path}` and `/webhook/{id}/chat` are the workflow's production URLs, `/webhook-test/…`
its test URLs. The agent is `chatbot`, and remembers a conversation by its `sessionId`. Unlike a
chat endpoint's, its memory holds what it said, also if nobody listened to the end.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from datetime import datetime
from typing import Any

from aiohttp import web

from parley_standins.browser_guard import refuse_pages
from parley_standins.chatbot import Message, reply_to
from parley_standins.control_api import ControlApi, begin_record
from parley_standins.engines import Engines
from parley_standins.fault_injection import (
    Handler,
    ignore_dropped,
    reset_connection,
    sleep_until,
    stall,
)
from parley_standins.faults import Controls, Fault
from parley_standins.n8n_errors import (
    answer_fault,
    answer_not_registered,
    answer_wrong_method,
    refuse_stranger,
)
from parley_standins.n8n_settings import N8nOddities, N8nSettings
from parley_standins.n8n_stream import stream_reply
from parley_standins.openai_chat import tokens
from parley_standins.request_log import REDACTED, RequestLog, RequestRecord

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_SESSIONS = 500
JSON = "application/json; charset=utf-8"


class WorkflowError(Exception):
    """A node of the workflow failed."""


class Memory:
    """What the agent remembers, by the key of a session."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, list[Message]] = OrderedDict()

    def reply(self, asked: dict[str, Any]) -> str:
        """Return the agent's reply, and remember it.

        Raises:
            WorkflowError: the trigger's data has not what the agent's nodes read.
        """
        session, text = asked.get("sessionId"), asked.get("chatInput")
        if not isinstance(session, str) or not session:
            raise WorkflowError("No session ID found")
        if not isinstance(text, str) or not text:
            raise WorkflowError("No prompt specified")
        messages = self._sessions.setdefault(session, [])
        self._sessions.move_to_end(session)
        messages.append(Message("user", text))
        # The clock of the machine that it runs on is what a user expects to hear.
        reply = reply_to(messages, datetime.now().astimezone())
        messages.append(Message("assistant", reply))
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return reply


class Webhooks:
    """The workflow's webhooks."""

    def __init__(self, api_key: str, controls: Controls[N8nSettings], recorder: RequestLog) -> None:
        self._api_key = api_key
        self._controls = controls
        self._recorder = recorder
        self._memory = Memory()

    def routes(self) -> list[web.RouteDef]:
        """Return routes to add to an application."""
        return [
            web.get("/healthz", self._health),
            web.route("*", "/webhook/{path:.+}", self._production),
            web.route("*", "/webhook-test/{path:.+}", self._test),
        ]

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _production(self, request: web.Request) -> web.StreamResponse:
        active = self._controls.settings.oddities.active
        return await self._receive(request, registered=active, test=False)

    async def _test(self, request: web.Request) -> web.StreamResponse:
        armed = self._controls.settings.oddities.armed
        if armed and request.method != "OPTIONS":
            self._controls.change({"oddities": {"armed": False}})
        return await self._receive(request, registered=armed, test=True)

    async def _receive(
        self, request: web.Request, *, registered: bool, test: bool
    ) -> web.StreamResponse:
        record = begin_record(self._recorder, request)
        for name, value in record.headers.items():
            if self._api_key in value:  # the header has any name
                record.headers[name] = REDACTED
        try:
            if request.method == "OPTIONS":
                response: web.StreamResponse = self._options(request, registered=registered)
            else:
                response = await self._run(request, record, registered=registered, test=test)
            record.status = response.status
            return response
        finally:
            record.end()

    def _options(self, request: web.Request, *, registered: bool) -> web.Response:
        headers = {}
        if "Origin" in request.headers:
            methods = [self._controls.settings.oddities.method] if registered else []
            headers["Access-Control-Allow-Methods"] = ", ".join(["OPTIONS", *methods])
        return web.Response(status=204, headers=headers)

    async def _run(
        self, request: web.Request, record: RequestRecord, *, registered: bool, test: bool
    ) -> web.StreamResponse:
        delays, oddities = self._controls.settings.delays, self._controls.settings.oddities
        path = request.match_info["path"]
        fault = self._controls.take_fault("webhook")
        if delays.handshake_ms:
            await asyncio.sleep(delays.handshake_ms / 1000)
        if fault and fault.refuse:
            reset_connection(request)
        record.body = await _read_json(request)
        if fault and fault.stall == "before":
            await stall(request)
        if fault and fault.status is not None:
            return answer_fault(fault, request)
        if not registered:
            return answer_not_registered(request.method, path, test=test)
        if request.method != oddities.method:
            return answer_wrong_method(request.method, oddities.method)
        is_chat = path.endswith("/chat")
        if is_chat and not oddities.public and not test:
            return web.Response(status=404)
        refusal = refuse_stranger(request, oddities, self._api_key)
        if refusal is not None:
            return refusal
        asked = record.body if isinstance(record.body, dict) else {}
        if is_chat and asked.get("action") == "loadPreviousSession":
            return web.json_response({"data": []})
        return await self._answer(request, record, asked, fault)

    async def _answer(
        self,
        request: web.Request,
        record: RequestRecord,
        asked: dict[str, Any],
        fault: Fault | None,
    ) -> web.StreamResponse:
        oddities = self._controls.settings.oddities
        if oddities.respond == "streaming":
            return await self._stream(request, record, asked, fault)
        if oddities.respond == "immediately":
            return web.json_response({"message": "Workflow was started"})
        if oddities.respond == "response_nodes":
            started = {"executionStarted": True, "executionId": "7", "resumeToken": "r"}
            return web.json_response(started)
        await asyncio.sleep(self._controls.settings.delays.first_item_ms / 1000)
        if fault and (fault.cut is not None or fault.stall == "after"):
            reset_connection(request)
        if fault and fault.garbage:
            return web.Response(text='{"output": "He', content_type="application/json")
        if oddities.fails in ("before", "after"):
            return web.json_response({"message": "Error in workflow"}, status=500)
        try:
            reply = self._memory.reply(asked)
        except WorkflowError:
            return web.json_response({"message": "Error in workflow"}, status=500)
        record.frame("out", {"reply": reply})
        return _whole_answer(reply, oddities)

    async def _stream(
        self,
        request: web.Request,
        record: RequestRecord,
        asked: dict[str, Any],
        fault: Fault | None,
    ) -> web.StreamResponse:
        began = time.monotonic()
        settings = self._controls.settings
        response = web.StreamResponse(headers={"Cache-Control": "no-cache", "Content-Type": JSON})
        response.enable_chunked_encoding()
        # Before anything has run: neither these nor the status say that anything works.
        await response.prepare(request)
        if fault and fault.cut == 0:
            reset_connection(request)
        try:
            pieces, oddities = tokens(self._memory.reply(asked)), settings.oddities
        except WorkflowError:
            pieces, oddities = [], N8nOddities(fails="before")
        due = began + settings.delays.first_item_ms / 1000
        items = 0
        for line in stream_reply(pieces, oddities):
            is_item = line.startswith('{"type":"item"')
            if is_item:
                await sleep_until(due)
                due += settings.delays.item_ms / 1000
                if fault and fault.garbage and not items:
                    line = '{"type":"item","con\n'
            record.frame("out", line)
            await _write(response, line, settings.oddities.written_bytes)
            items += is_item
            if fault and is_item and fault.cut == items:
                reset_connection(request)
            if fault and is_item and fault.stall == "after":
                await stall(request)
        await sleep_until(due if not items else 0)
        await response.write_eof()
        return response


async def _read_json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError:
        return None


async def _write(response: web.StreamResponse, line: str, size: int) -> None:
    whole = line.encode()
    for at in range(0, len(whole), size or len(whole)):
        await response.write(whole[at : at + (size or len(whole))])
        if size:
            await asyncio.sleep(0)


def _whole_answer(reply: str, oddities: N8nOddities) -> web.Response:
    """Answer as the last node or the Respond to Webhook node does."""
    match oddities.respond_with:
        case "items":
            return web.json_response([{oddities.field: reply}])
        case "text":
            return web.Response(text=reply, content_type="text/html", charset="utf-8")
        case "file":
            return web.Response(body=b"RIFF", content_type="audio/wav")
        case "redirect":
            return web.Response(status=307, headers={"Location": "https://example.com/"})
        case "nothing" if oddities.respond == "respond_node":
            return web.Response(content_type="application/json")
        case "nothing":
            message = "Workflow executed successfully but no data was returned"
            return web.json_response({"message": message})
    return web.json_response({oddities.field: reply})


@web.middleware
async def refuse_pages_but_preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 403 to what a page sends. With an Origin, OPTIONS asks for a webhook's methods."""
    if request.method == "OPTIONS":
        return await handler(request)
    return await refuse_pages(request, handler)


def build_app(api_key: str, _engines: Engines) -> web.Application:
    """Return the n8n stand-in as an application.

    Args:
        api_key: the one that the workflow's trigger asks for.
    """
    recorder = RequestLog()
    controls = Controls(N8nSettings())
    app = web.Application(
        middlewares=[refuse_pages_but_preflights, ignore_dropped], client_max_size=MAX_BODY_BYTES
    )
    app.add_routes(ControlApi(controls, recorder).routes())
    app.add_routes(Webhooks(api_key, controls, recorder).routes())
    return app
