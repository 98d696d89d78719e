"""boto3's clients of a local stack, each made once: making one costs more than most calls."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import boto3

from samwire_tests.own_key import own_key

_made: list[Any] = []


@functools.cache
def client(
    service: str, endpoint: str, verify: str | None = None, key: str = "x", secret: str = "x"
) -> Any:
    """A client of what answers at an endpoint.

    Args:
        verify: a file with the authority of its certificate.
        key: of whom the requests are.
    """
    made = boto3.client(
        service,  # type: ignore[call-overload]  # the stubs want a literal
        endpoint_url=endpoint,
        verify=verify,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )
    _made.append(made)
    return made


def close_connections() -> None:
    """Close what the clients keep open; they open it again when they need it."""
    for made in _made:
        made.close()


def own_client(service: str, info: Mapping[str, Any], endpoint: str, verify: str = "") -> Any:
    """A client that has the stack's own key, as the developer's tools have it.

    Args:
        endpoint: its name in what the stack says, such as `aws_endpoint`.
        verify: likewise, of the file with the authority.
    """
    key = own_key(info)
    given = (key["aws_access_key_id"], key["aws_secret_access_key"])
    return client(service, info[endpoint], info[verify] if verify else None, *given)
