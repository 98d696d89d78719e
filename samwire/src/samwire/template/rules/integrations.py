"""What API Gateway refuses of integrations: their kinds, and what those need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from samwire.template.problems import Problem

_PAGE = 'AWS, "AWS::ApiGatewayV2::Integration"'
_OF_HTTP = ("AWS_PROXY", "HTTP_PROXY")
_KNOWN = ("AWS", "HTTP", "MOCK")


def integration_problems(
    integrations: Mapping[str, Mapping[str, Any]], *, websocket: bool
) -> Iterator[Problem]:
    """Yield what is wrong with the integrations of an API."""
    for logical_id, properties in integrations.items():
        kind = properties.get("IntegrationType")
        if not websocket and kind in _KNOWN:
            sentence = f"an HTTP API has integrations of {' or '.join(_OF_HTTP)}, not of {kind}."
            yield Problem(logical_id, sentence, _PAGE, ("IntegrationType",))
        if not websocket and kind == "AWS_PROXY" and not properties.get("PayloadFormatVersion"):
            sentence = "PayloadFormatVersion is missing, which an HTTP API needs: 1.0 or 2.0."
            yield Problem(logical_id, sentence, _PAGE, ("PayloadFormatVersion",))
        if properties.get("ConnectionType") == "VPC_LINK" and not properties.get("ConnectionId"):
            sentence = "ConnectionId is missing, which the ConnectionType VPC_LINK needs."
            yield Problem(logical_id, sentence, _PAGE, ("ConnectionId",))
