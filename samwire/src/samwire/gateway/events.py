"""The events that Lambda functions receive from a WebSocket API, key for key.

Shapes and order as captured on AWS; see "Set up a WebSocket API integration request".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multidict import CIMultiDictProxy, MultiMapping

from samwire.gateway.identifiers import forwarded_for, new_id, now_ms, request_time

_NOT_PASSED_ON = frozenset(
    {
        *("connection", "upgrade", "content-length", "host", "x-amzn-trace-id"),
        *("x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"),
    }
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is on the other end of a connection, and where it connected to.

    Attributes:
        user_agent: None when the client sent none: the key is left out then.
        authorizer: what an authorizer said of it; None without one.
    """

    connection_id: str
    connected_at_ms: int
    api_id: str
    stage: str
    domain_name: str
    source_ip: str
    user_agent: str | None
    stage_variables: Mapping[str, str]
    authorizer: Mapping[str, Any] | None = None


def connect_event(
    caller: Caller,
    headers: CIMultiDictProxy[str],
    query: MultiMapping[str],
    *,
    port: int,
    secure: bool,
) -> dict[str, Any]:
    """Return the event of `$connect`.

    Args:
        headers: what the client sent; API Gateway adds who it was, and which host it wanted.
        port: that the client connected to.
    """
    passed = [(k, v) for k, v in headers.items() if k.lower() not in _NOT_PASSED_ON]
    passed = [("Host", caller.domain_name), *passed]
    passed += [
        ("X-Amzn-Trace-Id", f"Root=1-{int(now_ms() / 1000):08x}-{os.urandom(12).hex()}"),
        ("X-Forwarded-For", forwarded_for(headers.getall("X-Forwarded-For", []), caller.source_ip)),
        ("X-Forwarded-Port", str(port)),
        ("X-Forwarded-Proto", "https" if secure else "http"),
    ]
    event: dict[str, Any] = {
        "headers": dict(passed),
        "multiValueHeaders": _multi(passed),
    }
    if query:
        pairs = list(query.items())
        event["queryStringParameters"] = dict(pairs)
        event["multiValueQueryStringParameters"] = _multi(pairs)
    event |= _stage_variables(caller)
    event["requestContext"] = _context(caller, "$connect", "CONNECT")
    event["isBase64Encoded"] = False
    return event


def message_event(caller: Caller, route_key: str, body: str) -> dict[str, Any]:
    """Return the event of a message."""
    context = _context(caller, route_key, "MESSAGE", {"messageId": new_id(caller.connection_id)})
    return {
        **_stage_variables(caller),
        "requestContext": context,
        "body": body,
        "isBase64Encoded": False,
    }


def disconnect_event(caller: Caller, code: int, reason: str) -> dict[str, Any]:
    """Return the event of `$disconnect`."""
    headers = {
        "Host": caller.domain_name,
        "x-api-key": "",
        "X-Forwarded-For": "",
        "x-restapi": "",
    }
    closed = {"disconnectStatusCode": code, "disconnectReason": reason}
    return {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        **_stage_variables(caller),
        "requestContext": _context(caller, "$disconnect", "DISCONNECT", closed),
        "isBase64Encoded": False,
    }


def _context(
    caller: Caller, route_key: str, event_type: str, extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    request_id, at_ms = new_id(), now_ms()
    more = dict(extra or {})
    identity: dict[str, str] = {}
    if caller.user_agent is not None:
        identity["userAgent"] = caller.user_agent
    identity["sourceIp"] = caller.source_ip
    context: dict[str, Any] = {"routeKey": route_key}
    if caller.authorizer is not None:
        context["authorizer"] = dict(caller.authorizer)
    context |= {key: more[key] for key in ("messageId", "disconnectStatusCode") if key in more}
    context |= {
        "eventType": event_type,
        "extendedRequestId": request_id,
        "requestTime": request_time(at_ms),
        "messageDirection": "IN",
    }
    context |= {key: more[key] for key in ("disconnectReason",) if key in more}
    return context | {
        "stage": caller.stage,
        "connectedAt": caller.connected_at_ms,
        "requestTimeEpoch": at_ms,
        "identity": identity,
        "requestId": request_id,
        "domainName": caller.domain_name,
        "connectionId": caller.connection_id,
        "apiId": caller.api_id,
    }


def _stage_variables(caller: Caller) -> dict[str, Any]:
    return {"stageVariables": dict(caller.stage_variables)} if caller.stage_variables else {}


def _multi(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values
