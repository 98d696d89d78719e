"""Why a handshake is refused: a status for the client, a code for the log, nothing else."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

RefusalCode = Literal[
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
    "foreign_origin",
    "keys_unavailable",
]

_FORBIDDEN: frozenset[RefusalCode] = frozenset({"foreign_origin", "no_tenant"})


class Refused(Exception):
    """A handshake that is not let in.

    Attributes:
        code: for the log; the client does not get it.
        why: details that are safe to log, where the code does not say enough.
    """

    def __init__(self, code: RefusalCode, why: str = "") -> None:
        super().__init__(code)
        self.code: RefusalCode = code
        self.why = why

    @property
    def status(self) -> int:
        """The HTTP status that answers the handshake.

        401 asks for a (better) token, 403 says that none would help, 503 that it cannot be
        told now and is worth another try.
        """
        if self.code == "keys_unavailable":
            return HTTPStatus.SERVICE_UNAVAILABLE
        return HTTPStatus.FORBIDDEN if self.code in _FORBIDDEN else HTTPStatus.UNAUTHORIZED
