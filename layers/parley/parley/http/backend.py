"""The check that a request is the application's backend's own."""

from __future__ import annotations

from http import HTTPStatus

from parley.auth.identity import Identity
from parley.http.framework import HttpError
from parley.principal import ANONYMOUS


def check_backend(identity: Identity, field: str | None = None) -> None:
    """Refuse a request that is not the backend's.

    Args:
        field: what only the backend may say; None for the whole request.

    Raises:
        HttpError: 403.
    """
    if identity.is_backend:
        return
    what = f"{field}: only" if field else "Only"
    why = "this token has not the claim parley_backend"
    if identity.principal == ANONYMOUS:
        why = "AuthMode is off, so nobody is known to be the backend"
    raise HttpError(
        HTTPStatus.FORBIDDEN,
        "unauthorized",
        f"{what} the application's backend may do that; {why}.",
        field=field,
    )
