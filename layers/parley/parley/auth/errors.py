"""Why a handshake or a request is denied: a status for the client, a code for the log."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

DenialCode = Literal[
    "no_token",
    "malformed",
    "too_large",
    "wrong_algorithm",
    "unknown_key",
    "bad_signature",
    "no_expiry",
    "expired",
    "not_yet_valid",
    "wrong_issuer",
    "wrong_audience",
    "bad_subject",
    "no_tenant",
    "bad_settings",
    "bad_agent",
    "bad_backend",
    "foreign_origin",
    "keys_unavailable",
]

_FORBIDDEN: frozenset[DenialCode] = frozenset({"foreign_origin", "no_tenant"})


class AccessDenied(Exception):
    """A handshake or a request is denied.

    Attributes:
        code: the reason, for the log; the client does not get it.
        why: details that are safe to log.
    """

    def __init__(self, code: DenialCode, why: str = "") -> None:
        super().__init__(code)
        self.code: DenialCode = code
        self.why = why

    @property
    def status(self) -> int:
        """Return the HTTP status of the answer.

        401 asks for a better token. 403 says that no token would help. 503 says that the token
        cannot be verified now, and that another try may work.
        """
        if self.code == "keys_unavailable":
            return HTTPStatus.SERVICE_UNAVAILABLE
        return HTTPStatus.FORBIDDEN if self.code in _FORBIDDEN else HTTPStatus.UNAUTHORIZED
