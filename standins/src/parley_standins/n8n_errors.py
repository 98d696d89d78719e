"""The answers with which n8n refuses a request, in its own words."""

from __future__ import annotations

import base64
import hmac

from aiohttp import web

from parley_standins.faults import Fault
from parley_standins.n8n_settings import N8nOddities

USER = "parley"

_INACTIVE = (
    "The workflow must be active for a production URL to run successfully. You can activate the "
    "workflow using the toggle in the top-right of the editor. Note that unlike test URL calls, "
    "production URL calls aren't shown on the canvas (only in the executions list)"
)
_NOT_ARMED = (
    "Click the 'Execute workflow' button on the canvas, then try again. (In test mode, the webhook "
    "only works for one call after you click this button)"
)
_CLOUDFLARE = "<!DOCTYPE html><html><title>A timeout occurred</title></html>"
_OF_STATUS = {
    404: {"code": 404, "message": 'The requested webhook "POST x" is not registered.'},
    428: {"readyToExecute": False, "credentials": []},
    500: {"message": "Error in workflow"},
    504: {"message": "The workflow did not answer in time"},
}


def answer_not_registered(method: str, path: str, *, test: bool) -> web.Response:
    """Answer for a workflow that is not active, or a test URL that is not armed."""
    return web.json_response(
        {
            "code": 404,
            "message": f'The requested webhook "{method} {path}" is not registered.',
            "hint": _NOT_ARMED if test else _INACTIVE,
        },
        status=404,
    )


def answer_wrong_method(method: str, registered: str) -> web.Response:
    """Answer for a webhook that takes another method."""
    message = (
        f"This webhook is not registered for {method} requests. "
        f"Did you mean to make a {registered} request?"
    )
    return web.json_response({"code": 404, "message": message}, status=404)


def refuse_stranger(
    request: web.Request, oddities: N8nOddities, api_key: str
) -> web.Response | None:
    """Answer who may not run the workflow; None for who may."""
    given = request.headers.get(
        oddities.header if oddities.auth == "header" else "Authorization", ""
    )
    match oddities.auth:
        case "none":
            return None
        case "no_credential":
            return _unauthorized(500, "No authentication data defined on node!")
        case "header":
            wanted = api_key
            missing = 403
        case "jwt":
            wanted = f"Bearer {api_key}"
            missing = 401
        case "basic":
            wanted = "Basic " + base64.b64encode(f"{USER}:{api_key}".encode()).decode()
            missing = 401
    if hmac.compare_digest(given.encode(), wanted.encode()):
        return None
    message = "Authorization data is wrong!" if given else "Authorization is required!"
    return _unauthorized(403 if given else missing, message)


def answer_fault(fault: Fault, request: web.Request) -> web.Response:
    """Answer as a fault has it. A `code` is what n8n says in place of its usual words."""
    assert fault.status is not None
    headers = {"Retry-After": f"{fault.retry_after:g}"} if fault.retry_after is not None else {}
    if fault.status == 524:
        return web.Response(status=524, text=_CLOUDFLARE, content_type="text/html", headers=headers)
    if fault.status in (401, 403):
        return _unauthorized(fault.status, fault.code or "Authorization data is wrong!")
    body = {"code": 0, "message": fault.code} if fault.code else _OF_STATUS.get(fault.status)
    # Some proxies before it repeat what they were sent.
    body = body or {"message": f"Status {fault.status}: {request.headers.get('Authorization')}"}
    return web.json_response(body, status=fault.status, headers=headers)


def _unauthorized(status: int, message: str) -> web.Response:
    headers = {"WWW-Authenticate": 'Basic realm="Webhook"'}
    return web.Response(status=status, text=message, headers=headers)
