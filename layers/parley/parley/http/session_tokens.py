"""Sessions as HTTP requests open and name them: by id and resume token, on every request."""

from __future__ import annotations

import time
from http import HTTPStatus

from parley.errors import ParleyError
from parley.http.framework import HttpError
from parley.ids import new_resume_token, token_hash, token_matches
from parley.principal import SessionRef
from parley.protocol.messages import Settings
from parley.storage.item_codec import Session
from parley.storage.sessions import SessionStore


class SessionTokens:
    """Opens sessions, and lets in who shows a session's token."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    def opened(self, ref: SessionRef, settings: Settings, signed: Settings) -> tuple[Session, str]:
        """A new session, and its resume token. It is on no connection.

        Args:
            signed: the settings of the token that asks for it.
        """
        token = new_resume_token()
        session = Session(
            ref=ref,
            token_hash=token_hash(token),
            connection_id="",
            settings=settings,
            status="active",
            signed=signed,
        )
        self._store.put_session(session)
        return session, token

    def shown(self, ref: SessionRef, token: str | None) -> Session:
        """The session whose token, the latest or the one before, is shown.

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
        session = self._store.session(ref)
        if session is None or session.is_over(time.time()):
            raise ParleyError(
                "session_not_found",
                "There is no such session, or it is over, or nobody came back to it in time. "
                "Leave session_id out for a new one.",
                field="session_id",
            )
        # Both, whatever the first says: how long it takes must not tell.
        latest = token_matches(token, session.token_hash)
        previous = token_matches(token, session.previous_hash)
        if not (latest or previous):
            raise ParleyError(
                "resume_denied",
                "The resume token is not the session's latest. Leave session_id out for a new "
                "session.",
                field="resume_token",
            )
        return session

    def next_token(self, session: Session, shown: str, turn_id: str) -> str | None:
        """The session's next token, with the answer of its newest turn; None with another's."""
        token = new_resume_token()
        rotated = self._store.rotate_token(
            session.ref, turn_id, shown_hash=token_hash(shown), new_hash=token_hash(token)
        )
        return token if rotated else None
