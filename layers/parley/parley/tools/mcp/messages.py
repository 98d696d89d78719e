"""The messages of the Model Context Protocol, as plain objects: JSON-RPC 2.0, no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from parley.version import VERSION

MODERN = "2026-07-28"
"""The revision without sessions: each request says all of itself."""
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26")
"""Revisions that begin with `initialize`, newest first."""
CLIENT_INFO = {"name": "parley", "version": VERSION}
IDEMPOTENCY_KEY = "dev.parley/idempotency-key"
"""In the `_meta` of a call. The protocol has no such key; servers ignore what they do not know."""

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
URL_NEEDED = -32042
"""2025-11-25: the user would have to open a page first."""
CAPABILITY_MISSING = -32021
UNSUPPORTED_VERSION = -32022


class RpcError(Exception):
    """The server answered with an error of JSON-RPC.

    Attributes:
        code: see `basic/index`, "Error Codes", in the specification.
        text: the server's words, for the model at most.
        supported: the revisions that it speaks, if it says so.
        is_of_request: whether it names the request. What names none comes from before any tool.
    """

    def __init__(
        self,
        code: int,
        text: str = "",
        supported: tuple[str, ...] = (),
        *,
        is_of_request: bool = True,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.text = text
        self.supported = supported
        self.is_of_request = is_of_request

    @property
    def is_modern(self) -> bool:
        """Whether only a server of `MODERN` or later says so.

        The specification has kept -32020 to -32099 for itself since then, and uses the first few;
        servers of before may use the others as they like.
        """
        return -32029 <= self.code <= -32020


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as it is sent."""
    return json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode()


def decode(data: str | bytes) -> dict[str, Any] | None:
    """Return a message; None for what is none."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_answer(message: Mapping[str, Any], request_id: int) -> bool:
    """Return whether a message answers a request: with a result or an error."""
    if "method" in message or not ("result" in message or "error" in message):
        return False
    # What could not be read has no id to answer with.
    return message.get("id") == request_id or (message.get("id") is None and "error" in message)


def is_request(message: Mapping[str, Any]) -> bool:
    """Return whether the server asks for something, and waits."""
    return isinstance(message.get("method"), str) and message.get("id") is not None


def decline(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a request of the server's: Parley does nothing for servers."""
    return {"id": message["id"], "error": {"code": METHOD_NOT_FOUND, "message": "Not supported."}}


def result_of(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the result in an answer.

    Raises:
        RpcError: it is an error.
    """
    if (error := error_of(message)) is not None:
        raise error
    result = message.get("result")
    return result if isinstance(result, dict) else {}


def error_of(message: Mapping[str, Any] | None, request_id: int | None = None) -> RpcError | None:
    """Return the error in an answer to a request; None if it has none."""
    error = message.get("error") if message else None
    if message is None or not isinstance(error, dict):
        return None
    code, data = error.get("code"), error.get("data")
    supported = data.get("supported") if isinstance(data, dict) else None
    return RpcError(
        code if isinstance(code, int) else 0,
        str(error.get("message") or ""),
        tuple(str(each) for each in supported) if isinstance(supported, list) else (),
        is_of_request=request_id is not None and message.get("id") == request_id,
    )
