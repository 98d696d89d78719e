"""Sessions as HTTP requests name them: by id and resume token, on every request."""

from __future__ import annotations

import time
from http import HTTPStatus

from parley.errors import ParleyError
from parley.http.framework import HttpError
from parley.ids import new_resume_token, token_hash
from parley.principal import SessionRef
from parley.sessions.token import TokenErrors, check_resume
from parley.storage.item_codec import Session
from parley.storage.sessions import SessionStore


def find_session(sessions: SessionStore, ref: SessionRef, token: str | None) -> Session:
    """Return the session that a token resumes: its latest, or the one before.

    Raises:
        ParleyError: `session_not_found`, `resume_denied`, or `bad_request` without a token.
    """
    if not token:
        raise HttpError(
            HTTPStatus.BAD_REQUEST,
            "bad_request",
            "resume_token: required with a session_id, in the body or as X-Resume-Token.",
            field="resume_token",
        )
    return check_resume(sessions.get_session(ref), token, time.time(), TOKEN_ERRORS)


def rotate_token(sessions: SessionStore, session: Session, token: str, turn_id: str) -> str | None:
    """Give the session its next token, with the answer of its newest turn.

    Args:
        token: the one that the client showed.
        turn_id: the turn that is answered.

    Returns:
        The next token; None if a newer turn has come, whose answer brings it.
    """
    next_token = new_resume_token()
    rotated = sessions.rotate_token(
        session.ref, turn_id, shown_hash=token_hash(token), new_hash=token_hash(next_token)
    )
    return next_token if rotated else None


def _not_found_error() -> ParleyError:
    return ParleyError(
        "session_not_found",
        "There is no such session, or it is over, or nobody came back to it in time. "
        "Leave session_id out for a new one.",
        field="session_id",
    )


def _denied_error() -> ParleyError:
    return ParleyError(
        "resume_denied",
        "The resume token is not the session's latest. Leave session_id out for a new session.",
        field="resume_token",
    )


TOKEN_ERRORS = TokenErrors(_not_found_error, _denied_error)
