"""Where to connect and with which token, each of which may be asked for at every attempt."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from parley_client.errors import BadInput, ConnectFailed, ParleyClientError

UrlSource: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""A URL, or who is asked for it before each attempt."""
TokenSource: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""A token, or who is asked for it before each attempt, since it may expire."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What a subprotocol may consist of (RFC 9110, 5.6.2); every JWT does."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a conversation's connections go."""

    url: UrlSource
    token: TokenSource | None = None

    @property
    def may_change(self) -> bool:
        """Whether asking again may give another token."""
        return callable(self.token) or callable(self.url)

    async def resolve(self, timeout_s: float) -> tuple[str, str | None]:
        """The URL and the token for an attempt.

        Raises:
            BadInput: one of them is of the wrong kind.
            ConnectFailed: one could not be had, or not in time.
        """
        url = await _asked(self.url, "URL to connect to", timeout_s)
        if self.token is None:
            return url, None
        token = await _asked(self.token, "token", timeout_s)
        if token and not _TOKEN.fullmatch(token):
            raise BadInput(
                "The token has characters that none may have: letters, digits and - . _ ~ are "
                "usual."
            )
        return url, token or None


async def _asked(source: UrlSource, what: str, timeout_s: float) -> str:
    if isinstance(source, str):
        return source
    try:
        found = source()
        if inspect.isawaitable(found):
            async with asyncio.timeout(timeout_s):
                found = await found
    except ParleyClientError:
        raise
    except TimeoutError:
        raise ConnectFailed(f"The {what} was not known within {timeout_s:g} s.") from None
    except Exception as theirs:  # whatever it asks may be back by the next attempt
        raise ConnectFailed(f"Asking for the {what} failed: {theirs!r}.") from theirs
    if not isinstance(found, str):
        raise BadInput(f"The {what} must be a str, not {type(found).__name__}.")
    return found
