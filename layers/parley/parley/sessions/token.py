"""The check of a session's resume token, the same for a connection and for an HTTP request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parley.errors import ParleyError
from parley.ids import token_matches
from parley.storage.item_codec import Session
from parley.storage.sessions import ERASED


@dataclass(frozen=True, slots=True)
class TokenErrors:
    """The errors of a check, in the words of the client's transport.

    Attributes:
        not_found: makes the error `session_not_found`.
        denied: makes the error `resume_denied`.
    """

    not_found: Callable[[], ParleyError]
    denied: Callable[[], ParleyError]


def check_resume(session: Session | None, token: str, at_s: float, errors: TokenErrors) -> Session:
    """Return the session, if the token resumes it.

    Args:
        session: as it is stored; None if there is none.
        at_s: the time, in s since the epoch.

    Raises:
        ParleyError: `session_not_found` if it is over, or `resume_denied`.
    """
    if session is None or session.is_over(at_s):
        raise errors.not_found()
    return _check_token(session, token, errors)


def check_read(session: Session | None, token: str, errors: TokenErrors) -> Session:
    """Return the session, if the token lets its transcript be read, also after its end.

    Raises:
        ParleyError: `session_not_found` if it has been erased, or `resume_denied`.
    """
    if session is None or session.status == ERASED:
        raise errors.not_found()
    return _check_token(session, token, errors)


def check_erasure(session: Session | None, token: str, errors: TokenErrors) -> Session:
    """Return the session, if the token lets it be erased, also once more.

    Raises:
        ParleyError: `session_not_found` or `resume_denied`.
    """
    if session is None:
        raise errors.not_found()
    return _check_token(session, token, errors)


def _check_token(session: Session, token: str, errors: TokenErrors) -> Session:
    # Compare with both, whatever the first comparison says: the time must not tell which it was.
    is_latest = token_matches(token, session.token_hash)
    is_previous = token_matches(token, session.previous_hash)
    if not (is_latest or is_previous):
        raise errors.denied()
    return session
