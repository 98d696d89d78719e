"""Webhooks: `POST /tools/NAME` runs a tool with the body as its arguments.

A request has to be signed as Standard Webhooks says: HMAC-SHA256 over id, time and body.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping

from aiohttp import web

from parley_standins.control_api import begin_record
from parley_standins.request_log import RequestLog, RequestRecord
from parley_standins.tool_ledger import ToolRefused
from parley_standins.tool_runs import FailedWith, ToolRuns

TOLERANCE_S = 300
"""How old a signature may be, and how far ahead: five minutes, as the standard's libraries do."""
_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """Return the key that a secret stands for: of `whsec_…` the base64's bytes, else its text."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        return secret.encode()


def signature_problem(headers: Mapping[str, str], body: bytes, secret: str, now_s: float) -> str:
    """Say why a request is not from who knows the secret; empty if it is."""
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    given, at, signatures = (headers.get(name, "") for name in names)
    if not (given and at and signatures):
        return "Missing required headers"
    if not at.isdecimal() or abs(now_s - int(at)) > TOLERANCE_S:
        return "Message timestamp too old or too new"
    signed = f"{given}.{at}.".encode() + body
    right = base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()
    versions = (part.partition(",") for part in signatures.split())
    if any(
        version == "v1" and hmac.compare_digest(value.encode(), right.encode())
        for version, _, value in versions
    ):
        return ""
    return "No matching signature found"


class Webhooks:
    """The handler."""

    def __init__(self, runs: ToolRuns, recorder: RequestLog) -> None:
        self._runs = runs
        self._recorder = recorder

    def routes(self) -> list[web.RouteDef]:
        """Return routes to add to an application."""
        return [web.post("/tools/{name}", self._run)]

    async def _run(self, request: web.Request) -> web.Response:
        record = begin_record(self._recorder, request)
        response = await self._answer(request, record)
        record.end(status=response.status)
        return response

    async def _answer(self, request: web.Request, record: RequestRecord) -> web.Response:
        body = await request.read()
        secret = self._runs.controls.settings.oddities.secret
        if problem := signature_problem(request.headers, body, secret, time.time()):
            self._recorder.refusals["signature"] += 1
            return _error(401, problem)
        key = request.headers.get("Idempotency-Key", "")
        if key != request.headers["webhook-id"]:
            self._recorder.refusals["idempotency_key"] += 1
            return _error(400, "Idempotency-Key has to be the webhook-id.")
        try:
            arguments = json.loads(body or b"{}")
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            self._recorder.refusals["body"] += 1
            return _error(400, "The body has to be a JSON object.")
        record.body = arguments
        try:
            answer = await self._runs.run(request, request.match_info["name"], arguments, key)
        except KeyError:
            return _error(404, "There is no such tool.")
        except ToolRefused as refused:
            return _error(422, str(refused))
        except FailedWith as failed:
            return _error(failed.status, str(failed))
        return web.json_response(answer)


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
