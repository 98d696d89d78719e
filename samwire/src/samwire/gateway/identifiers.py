"""Identifiers and times as API Gateway writes them."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterable
from datetime import UTC, datetime

_SHARED = 7
"""Characters that ids of one connection have in common, its padding included."""


def new_id(kin: str = "") -> str:
    """Return 11 bytes as base64url with padding: 16 characters that end in `=`.

    The first bytes follow the clock, as on AWS; `-`, `_` and `=` do occur there too, and
    break code that puts an id into a URL as it is.

    Args:
        kin: an id whose last characters the new one shares, as a message's are its
            connection's.
    """
    seconds = int(time.time()).to_bytes(5, "big")[1:]
    made = base64.urlsafe_b64encode(seconds + os.urandom(7)).decode()
    return made[:-_SHARED] + kin[-_SHARED:] if kin else made


def forwarded_for(given: Iterable[str], source_ip: str) -> str:
    """Return `X-Forwarded-For`: what the client says of those before it, and last who it is.

    Args:
        given: values of the header in the request.
    """
    before = [value.strip() for value in given if value.strip()]
    return ", ".join([*before, source_ip])


def request_time(epoch_ms: int) -> str:
    """Return `requestTime`, e.g. `29/Nov/2023:08:04:01 +0000`."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")


def iso_time(epoch_ms: int) -> str:
    """Return a time in the management API, e.g. `2024-02-19T07:11:42.789Z`."""
    moment = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{epoch_ms % 1000:03d}Z"


def now_ms() -> int:
    """Return the time in ms since the epoch."""
    return int(time.time() * 1000)
