"""Lambda authorizers of `$connect`: who is asked, with what, and what the answer means.

"Create an AWS Lambda REQUEST authorizer"; answers are never kept for WebSocket APIs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from samwire.gateway.mapping import Source, mapped
from samwire.gateway.policies import allows
from samwire.runtime.call import Result
from samwire.template.api_model import Authorizer
from samwire.template.intrinsics import ACCOUNT_ID, PARTITION

MAX_RESULT_BYTES = 8 * 1024
"""What an authorizer may answer ("Amazon API Gateway quotas")."""

_UNAUTHORIZED = "Unauthorized"


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a request.

    Attributes:
        status: 200 to go on, 401, 403 or 500.
        context: what later events carry as `requestContext.authorizer`.
        reason: why it was refused, for the log.
    """

    status: int
    context: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


def method_arn(region: str, api_id: str, stage: str, rest: str) -> str:
    """Return what a policy has to allow, e.g. `…:abcdef123/prod/$connect`."""
    return f"arn:{PARTITION}:execute-api:{region}:{ACCOUNT_ID}:{api_id}/{stage}/{rest}"


def is_identified(authorizer: Authorizer, source: Source) -> bool:
    """Return whether a request has all that the authorizer needs; it is 401 otherwise."""
    return all(mapped(expression, source) for expression in authorizer.identity_sources)


def authorizer_event(connect: Mapping[str, Any], arn: str) -> dict[str, Any]:
    """Return the event of an authorizer, from that of `$connect`.

    It has the headers of the handshake that `$connect` does not see, and every map, even
    if it is empty.
    """
    handshake = {"Connection": "upgrade", "content-length": "0", "Upgrade": "websocket"}
    headers = {**connect["headers"], **handshake}
    multi = {**connect["multiValueHeaders"], **{k: [v] for k, v in handshake.items()}}
    return {
        "type": "REQUEST",
        "methodArn": arn,
        "headers": dict(sorted(headers.items())),
        "multiValueHeaders": dict(sorted(multi.items())),
        "queryStringParameters": connect.get("queryStringParameters", {}),
        "multiValueQueryStringParameters": connect.get("multiValueQueryStringParameters", {}),
        "stageVariables": connect.get("stageVariables", {}),
        "requestContext": connect["requestContext"],
    }


def decided(result: Result, arn: str, latency_ms: int) -> Decision:
    """Return what an authorizer's result means.

    Args:
        latency_ms: how long it took; passed on as `integrationLatency`.
    """
    answer = _json(result.payload)
    if result.error:
        if isinstance(answer, dict) and answer.get("errorMessage") == _UNAUTHORIZED:
            return Decision(401, reason="the authorizer raised Unauthorized")
        return Decision(500, reason="the authorizer failed")
    if len(result.payload) > MAX_RESULT_BYTES:
        return Decision(500, reason="the authorizer's answer is larger than 8 KB")
    if not isinstance(answer, dict):
        return Decision(500, reason="the authorizer's answer is no object")
    return policy_decision(answer, arn, {"integrationLatency": latency_ms})


def policy_decision(answer: Mapping[str, Any], arn: str, more: Mapping[str, Any]) -> Decision:
    """Return what an answer with `principalId` and `policyDocument` means."""
    principal = answer.get("principalId")
    if not isinstance(principal, str) or not principal:
        return Decision(500, reason="the authorizer's answer has no principalId")
    context = answer.get("context") or {}
    if not isinstance(context, dict) or not all(map(_is_flat, context.values())):
        return Decision(
            500, reason="the authorizer's context may hold strings, numbers and booleans only"
        )
    allowed = allows(answer.get("policyDocument"), "execute-api:Invoke", arn)
    if allowed is None:
        return Decision(500, reason="the authorizer's policyDocument is no policy")
    if not allowed:
        return Decision(403, reason=f"the authorizer's policy does not allow {arn}")
    return Decision(200, {**context, "principalId": principal, **more})


def _is_flat(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return None
