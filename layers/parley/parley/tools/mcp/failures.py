"""Why a server gave no result, as a call is told of it.

What counts for a write is `acted`: only what was certainly refused before it ran may be called
failed.
"""

from __future__ import annotations

import httpx

from parley.tools.mcp.messages import (
    CAPABILITY_MISSING,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    URL_NEEDED,
    RpcError,
)
from parley.tools.tool import FailureReason, ToolFailed

NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""No byte has left: the request may be sent again, whatever it asks for."""
_ASKED_IN_MID_RUN = (INVALID_REQUEST, METHOD_NOT_FOUND, CAPABILITY_MISSING)
"""What comes of a tool's own question to the client, whatever the tool has done before: the SDK
hands it on as the answer to the call."""
_REFUSED = (PARSE_ERROR, URL_NEEDED)
_NEVER_SENT = (*NOT_CONNECTED, httpx.UnsupportedProtocol, httpx.LocalProtocolError)


class Refused(Exception):
    """The server answered with a status that is no success.

    Attributes:
        status: of HTTP.
        error: what the body says; None if it is no answer of JSON-RPC.
    """

    def __init__(self, status: int, error: RpcError | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.error = error

    @property
    def is_modern(self) -> bool:
        """Whether only a server of 2026-07-28 or later refuses like this."""
        if self.error is None:
            return False
        unknown_method = self.status == 404 and self.error.code == METHOD_NOT_FOUND
        return self.error.is_modern or unknown_method

    @property
    def is_of_tool(self) -> bool:
        """Whether a tool may have said so in mid-run: SDKs turn its error into a status."""
        return self.error is not None and self.error.is_of_request


def lost(cause: str) -> ToolFailed:
    """Return the failure of a request that was sent, and whose answer cannot be had."""
    return ToolFailed("unavailable", acted=True, log_fields={"cause": cause})


def too_large() -> ToolFailed:
    """Return the failure of a request whose answer is larger than it may be."""
    return ToolFailed("too_large", acted=True)


def failure_of(error: Exception) -> ToolFailed:
    """Return what a call is told of an error."""
    if isinstance(error, ToolFailed):
        return error
    if isinstance(error, Refused):
        return _failure_of_status(error)
    if isinstance(error, RpcError):
        return _failure_of_error(error)
    name = type(error).__name__
    if isinstance(error, _NEVER_SENT):
        return ToolFailed("unavailable", acted=False, log_fields={"cause": name})
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return ToolFailed("timeout", acted=True, log_fields={"cause": name})
    return lost(name)


def _failure_of_status(refused: Refused) -> ToolFailed:
    if refused.error is not None and refused.is_of_tool and refused.status not in (401, 403):
        return _failure_of_error(refused.error, status=refused.status)
    fields = {"status": refused.status}
    if refused.error is not None:
        fields["code"] = refused.error.code
    reason: FailureReason = "refused" if refused.status in (401, 403) else "unavailable"
    return ToolFailed(reason, acted=refused.status >= 500, log_fields=fields)


def _failure_of_error(error: RpcError, **fields: int) -> ToolFailed:
    fields = {**fields, "code": error.code}
    if error.code == INVALID_PARAMS:
        # Servers of before 2025-11-25 say so of a call's arguments: the model can mend those.
        return ToolFailed("error", acted=False, told=error.text, log_fields=fields)
    if error.code in _ASKED_IN_MID_RUN:
        return ToolFailed("needs_a_form", acted=True, log_fields=fields)
    acted = not error.is_modern and error.code not in _REFUSED
    reason: FailureReason = "needs_a_form" if error.code == URL_NEEDED else "unavailable"
    return ToolFailed(reason, acted=acted, log_fields=fields)
