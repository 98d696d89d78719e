"""Lambda's Invoke API over HTTP, as boto3 calls it."""

from __future__ import annotations

import json
import uuid

from aiohttp import web

from local.runtime.service import LambdaService, Throttled, UnknownFunction

MAX_SYNCHRONOUS_BYTES = 6 * 1024 * 1024
MAX_ASYNCHRONOUS_BYTES = 1024 * 1024
"""Payload limits ("Lambda quotas")."""


def routes(service: LambdaService) -> list[web.RouteDef]:
    """The routes of the Invoke API."""

    async def invoke(request: web.Request) -> web.Response:
        function = request.match_info["function"]
        qualifier = request.query.get("Qualifier")
        reference = f"{function}:{qualifier}" if qualifier else function
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        event = await request.read() or b"{}"
        limit = MAX_ASYNCHRONOUS_BYTES if kind == "Event" else MAX_SYNCHRONOUS_BYTES
        if len(event) > limit:
            return _error(
                413, "RequestTooLargeException", f"{len(event)} byte payload is too large"
            )
        try:
            json.loads(event)
        except ValueError:
            return _error(400, "InvalidRequestContentException", "Could not parse request body")
        try:
            if kind == "DryRun":
                service.find(reference)
                return _answer(204)
            if kind == "Event":
                service.invoke_later(reference, event)
                return _answer(202)
            result = await service.invoke(reference, event)
        except UnknownFunction as unknown:
            return _error(404, "ResourceNotFoundException", str(unknown))
        except Throttled:
            return _error(429, "TooManyRequestsException", "Rate Exceeded.")
        headers = {"X-Amz-Executed-Version": service.find(reference).version}
        if result.error:
            headers["X-Amz-Function-Error"] = "Unhandled"
        return _answer(200, result.payload, headers)

    return [web.post("/2015-03-31/functions/{function}/invocations", invoke)]


def _answer(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> web.Response:
    found = {"x-amzn-RequestId": str(uuid.uuid4()), **(headers or {})}
    return web.Response(status=status, body=body, headers=found, content_type="application/json")


def _error(status: int, kind: str, message: str) -> web.Response:
    body = json.dumps({"Type": "User", "Message": message}).encode()
    return _answer(status, body, {"x-amzn-ErrorType": kind})
