"""Signed calls of AWS services, for the tests of what permissions they need."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from samwire.permissions.calls.access import Access
from samwire.permissions.calls.http import HttpCall

ACCOUNT = "123456789012"


def signed(service: str) -> str:
    scope = f"AKIAEXAMPLE/20300101/eu-west-1/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"


def call(
    service: str,
    method: str = "POST",
    path: str = "/",
    query: str = "",
    body: bytes = b"",
    **headers: str,
) -> HttpCall:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpCall(
        method=method,
        path=path,
        query=query,
        headers={"authorization": signed(service), "host": "127.0.0.1:5000", **given},
        body=body,
        source_ip="127.0.0.1",
        account_id=ACCOUNT,
    )


def json_call(service: str, operation: str, **members: Any) -> HttpCall:
    return call(service, body=json.dumps(members).encode(), x_amz_target=f"Target.{operation}")


def form_call(service: str, **members: str) -> HttpCall:
    content_type = "application/x-www-form-urlencoded; charset=utf-8"
    return call(service, body=urlencode(members).encode(), content_type=content_type)


def needed(accesses: list[Access]) -> list[tuple[str, str]]:
    return [(access.action, access.resource) for access in accesses]
