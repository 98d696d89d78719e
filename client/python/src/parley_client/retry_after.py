"""The header `Retry-After` (RFC 9110, 10.2.3): a number of seconds, or a date."""

from __future__ import annotations

from email.utils import parsedate_to_datetime


def retry_after_ms(value: str | None, now_s: float) -> int | None:
    """How long to wait, in ms.

    Args:
        value: of the header; None without one.
        now_s: the time, in s since the epoch.

    Returns:
        None if the header says nothing that can be understood.
    """
    value = (value or "").strip()
    try:
        if value.isascii() and value.isdigit():
            return int(value) * 1000
        until_s = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0, round((until_s - now_s) * 1000))
