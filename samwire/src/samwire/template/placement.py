"""Where each API of a template answers.

WebSocket APIs share the stack's own address, each at its stage. An API whose stage is
taken there, and every HTTP API (whose paths may be anything), has an address of its own,
as every API on AWS has: otherwise an event's `domainName` and `stage` would name two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from samwire.template.api_parts import required


def placed(
    resources: Mapping[str, Mapping[str, Any]],
    resolve: Callable[[Any], Any],
    ref: Callable[[str], Any],
    shared: str,
    another: Callable[[], str],
) -> dict[str, str]:
    """Return host and port of each API, by logical id.

    Args:
        resources: after the transform, unresolved.
        shared: host and port of the stack's own address.
        another: gives host and port of one more address.
    """
    stages: dict[Any, list[str]] = {}
    for logical_id, resource in resources.items():
        if resource["Type"] == "AWS::ApiGatewayV2::Stage":
            properties = resource.get("Properties") or {}
            api_id = resolve(required(logical_id, properties, "ApiId"))
            name = resolve(required(logical_id, properties, "StageName"))
            if isinstance(api_id, str) and isinstance(name, (str, int, float)):
                stages.setdefault(api_id, []).append(str(name))
    found: dict[str, str] = {}
    taken: set[str] = set()
    for logical_id, resource in resources.items():
        if resource["Type"] != "AWS::ApiGatewayV2::Api":
            continue
        own = set(stages.get(ref(logical_id), []))
        if not own or (_is_websocket(resource, resolve) and not own & taken):
            taken |= own
            found[logical_id] = shared
        else:
            found[logical_id] = another()
    return found


def _is_websocket(resource: Mapping[str, Any], resolve: Callable[[Any], Any]) -> bool:
    properties = resource.get("Properties") or {}
    return bool(resolve(properties.get("ProtocolType")) == "WEBSOCKET")
