"""boto3's clients of a local stack, each made once: making one costs more than most calls."""

from __future__ import annotations

import functools
from typing import Any

import boto3


@functools.cache
def client(
    service: str, endpoint: str, verify: str | None = None, key: str = "x", secret: str = "x"
) -> Any:
    """A client of what answers at an endpoint.

    Args:
        verify: a file with the authority of its certificate.
        key: of whom the requests are.
    """
    return boto3.client(
        service,  # type: ignore[call-overload]  # the stubs want a literal
        endpoint_url=endpoint,
        verify=verify,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )
