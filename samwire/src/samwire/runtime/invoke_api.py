"""Lambda's Invoke API over HTTP, as boto3 calls it."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass

from aiohttp import web

from samwire.runtime.call import MAX_EVENT_BYTES, Result
from samwire.runtime.concurrency import Throttled
from samwire.runtime.service import LambdaService, UnknownFunction

SYNCHRONOUS, ASYNCHRONOUS, DRY_RUN = "RequestResponse", "Event", "DryRun"
MAX_BYTES = {
    SYNCHRONOUS: MAX_EVENT_BYTES,
    DRY_RUN: MAX_EVENT_BYTES,
    ASYNCHRONOUS: 1024 * 1024,
}
"""Payload limits by type of invocation ("Invoke")."""
MAX_CLIENT_CONTEXT_BYTES = 3583
"""Of the base64 text ("Invoke")."""


class _Refused(Exception):
    """A request that the API does not take."""

    def __init__(self, status: int, kind: str, message: str, **more: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind
        self.body = {"Type": "User", "message": message, **more}


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked for."""

    reference: str
    kind: str
    event: bytes
    client_context: str
    wants_log: bool


def routes(service: LambdaService) -> list[web.RouteDef]:
    """Return the routes of the Invoke API."""

    async def invoke(request: web.Request) -> web.Response:
        try:
            return await _invoked(service, await _read(request))
        except _Refused as refused:
            return _error(refused)
        except UnknownFunction as unknown:
            return _error(_Refused(404, "ResourceNotFoundException", str(unknown)))
        except Throttled as throttled:
            said, reason = str(throttled), throttled.reason
            return _error(_Refused(429, "TooManyRequestsException", said, Reason=reason))

    return [web.post("/2015-03-31/functions/{function}/invocations", invoke)]


async def _read(request: web.Request) -> _Request:
    kind = request.headers.get("X-Amz-Invocation-Type", SYNCHRONOUS)
    if kind not in MAX_BYTES:
        raise _Refused(
            400,
            "InvalidParameterValueException",
            f"The invocation type {kind} is none of {', '.join(MAX_BYTES)}.",
        )
    event = await request.read() or b"{}"
    if len(event) > MAX_BYTES[kind]:
        raise _Refused(
            413,
            "RequestTooLargeException",
            f"{len(event)} byte payload is too large for the {kind} invocation type "
            f"(limit {MAX_BYTES[kind]} bytes)",
        )
    try:
        json.loads(event)
    except ValueError as problem:
        raise _Refused(
            400,
            "InvalidRequestContentException",
            f"Could not parse request body into json: {problem}",
        ) from None
    return _Request(
        reference=_reference(request.match_info["function"], request.query.get("Qualifier", "")),
        kind=kind,
        event=event,
        client_context=_client_context(request.headers.get("X-Amz-Client-Context", "")),
        wants_log=request.headers.get("X-Amz-Log-Type") == "Tail",
    )


async def _invoked(service: LambdaService, wanted: _Request) -> web.Response:
    target = service.find(wanted.reference)
    if wanted.kind == DRY_RUN:
        return _answer(204)
    if wanted.kind == ASYNCHRONOUS:
        return _answer(202, request_id=service.invoke_later(wanted.reference, wanted.event))
    request_id = str(uuid.uuid4())
    result = await service.invoke(
        wanted.reference,
        wanted.event,
        request_id=request_id,
        client_context=wanted.client_context,
    )
    headers = {"X-Amz-Executed-Version": target.version, **_about(result, wanted)}
    return _answer(200, result.payload, headers, request_id)


def _about(result: Result, wanted: _Request) -> dict[str, str]:
    headers = {"X-Amz-Function-Error": "Unhandled"} if result.error else {}
    if wanted.wants_log:
        headers["X-Amz-Log-Result"] = base64.b64encode(result.log).decode()
    return headers


def _reference(function: str, qualifier: str) -> str:
    """Return a function's name or ARN with its qualifier, which may come with either."""
    own = function.rsplit(":function:", 1)[-1].partition(":")[2]
    if own and qualifier and own != qualifier:
        raise _Refused(
            400,
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
        )
    return f"{function}:{qualifier}" if qualifier and not own else function


def _client_context(encoded: str) -> str:
    if not encoded:
        return ""
    try:
        if len(encoded) > MAX_CLIENT_CONTEXT_BYTES:
            raise ValueError("too long")
        text = base64.b64decode(encoded, validate=True).decode()
        json.loads(text)
    except ValueError:
        raise _Refused(
            400,
            "InvalidRequestContentException",
            f"Client context must be a JSON object encoded as base64, of at most "
            f"{MAX_CLIENT_CONTEXT_BYTES} bytes.",
        ) from None
    return text


def _answer(
    status: int, body: bytes = b"", headers: dict[str, str] | None = None, request_id: str = ""
) -> web.Response:
    found = {"x-amzn-RequestId": request_id or str(uuid.uuid4()), **(headers or {})}
    return web.Response(status=status, body=body, headers=found, content_type="application/json")


def _error(refused: _Refused) -> web.Response:
    body = json.dumps(refused.body).encode()
    return _answer(refused.status, body, {"x-amzn-ErrorType": refused.kind})
