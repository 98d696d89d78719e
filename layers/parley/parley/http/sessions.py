"""Answers the requests about sessions: their list, their transcripts, their erasure.

A known user reads and erases their own sessions. Where authentication is off, the resume token of a
session opens it, and nobody gets a list.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from parley.auth.identity import Identity
from parley.errors import ParleyError
from parley.http.bodies import TOKEN_HEADER, bad_field, read_identifier, read_query
from parley.http.framework import HttpAnswer, HttpRequest
from parley.http.route import Route, Success
from parley.http.transcripts import (
    SessionSummary,
    SessionView,
    render_markdown,
    render_webvtt,
    summarize_session,
    view_session,
)
from parley.limits.request_rates import RequestRates
from parley.principal import ANONYMOUS, Principal, SessionRef
from parley.protocol.messages import END
from parley.sessions.erasure import Erasure
from parley.sessions.token import TokenErrors, check_erasure, check_read
from parley.storage.item_codec import Session
from parley.storage.recordings import Recordings
from parley.storage.session_reader import SessionReader, TooLong
from parley.storage.sessions import SessionStore

LIST_LIMIT = 20
MAX_LIST_LIMIT = 100
ERASE_AGAIN_MS = 5_000
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Lambda answers with at most 6 MB ("Lambda quotas") of JSON, in which some characters of the body
take two."""

Cursor = Annotated[
    str,
    Meta(pattern="^[A-Za-z0-9_-]{0,64}" + END, description="next_cursor of the answer before."),
]
Format = Literal["json", "md", "vtt"]
TokenCheck = Callable[[Session | None, str, TokenErrors], Session]
"""A check of `parley.sessions.token`."""


class ListQuery(Struct):
    """Which page of the list."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LIST_LIMIT)] = LIST_LIMIT
    cursor: Cursor = ""


LIST_RULES = {
    "limit": f"expected a whole number from 1 to {MAX_LIST_LIMIT}",
    "cursor": "expected the next_cursor of an earlier answer, as it was",
}


class ReadQuery(Struct):
    """How a transcript is written."""

    format: Annotated[Format, Meta(description="Instead of an Accept header.")] | UnsetType = UNSET


READ_RULES = {"format": "expected json, md or vtt"}


class SessionList(Struct, omit_defaults=True):
    """A principal's sessions, newest first."""

    sessions: list[SessionSummary]
    next_cursor: str | None = None
    """`cursor` of the request for the next page; absent on the last page."""


class ErasureState(Struct):
    """The state of an erasure that takes longer than one request."""

    erased: bool


class SessionHandlers:
    """Answers the requests about sessions.

    Args:
        recordings: where turns are recorded; None if they are not.
        requests: counts reads and erasures; None if they are not limited.
    """

    def __init__(
        self,
        sessions: SessionStore,
        reader: SessionReader,
        erasure: Erasure,
        recordings: Recordings | None,
        requests: RequestRates | None = None,
    ) -> None:
        self._sessions = sessions
        self._reader = reader
        self._erasure = erasure
        self._recordings = recordings
        self._requests = requests

    def list_sessions(self, request: HttpRequest, identity: Identity) -> HttpAnswer:
        """List the principal's own sessions, newest first."""
        principal = identity.principal
        if principal == ANONYMOUS:
            raise ParleyError(
                "unauthorized",
                "Nobody has a list of sessions, because authentication is off: nobody is known. "
                "Ask for one session with GET /sessions/{session_id} and its X-Resume-Token.",
            )
        query = _read_list_query(request)
        self._count(principal)
        found, more = self._reader.list_newest(principal, query.limit, query.cursor)
        now = time.time()
        return HttpAnswer.from_content(
            SessionList([summarize_session(each, now) for each in found], more or None)
        )

    def read_session(self, request: HttpRequest, identity: Identity) -> HttpAnswer:
        """Answer with what was said, as JSON, Markdown or WebVTT."""
        text_format = _read_format(request)
        ref = self._count_and_authorize(request, identity.principal, check_read)
        try:
            conversation = self._reader.read_conversation(ref)
        except TooLong:
            raise ParleyError(
                "too_large",
                "session_id: the session has a longer history than is read at once.",
                field="session_id",
            ) from None
        if conversation is None:
            raise _not_found_error()
        if text_format == "md":
            body, kind = render_markdown(conversation).encode(), "text/markdown; charset=utf-8"
        elif text_format == "vtt":
            body, kind = render_webvtt(conversation).encode(), "text/vtt; charset=utf-8"
        else:
            links = self._recordings.sign_links(ref) if self._recordings is not None else {}
            answer = HttpAnswer.from_content(view_session(conversation, time.time(), links))
            body, kind = answer.body, answer.content_type
        if len(body) > MAX_ANSWER_BYTES:
            raise ParleyError(
                "too_large",
                f"The session has {len(body):,} bytes of transcript in this format; an answer has "
                f"at most {MAX_ANSWER_BYTES:,}. format=md is the shortest.",
                field="format",
            )
        return HttpAnswer(HTTPStatus.OK, body, kind)

    def erase_session(self, request: HttpRequest, identity: Identity) -> HttpAnswer:
        """Erase a session, with everything that was said and recorded in it."""
        ref = self._count_and_authorize(request, identity.principal, check_erasure)
        known = self._sessions.get_session(ref) is not None
        if not self._erasure.erase(ref):
            headers = {"retry-after": str(ERASE_AGAIN_MS // 1000)}
            answer = HttpAnswer.from_content(ErasureState(erased=False), HTTPStatus.ACCEPTED)
            return HttpAnswer(answer.status, answer.body, headers=headers)
        if not known:
            raise _not_found_error()
        return HttpAnswer(HTTPStatus.NO_CONTENT)

    def _count(self, principal: Principal) -> None:
        if self._requests is not None:
            self._requests.count_request(principal, "reads")

    def _count_and_authorize(
        self, request: HttpRequest, principal: Principal, check: TokenCheck
    ) -> SessionRef:
        """Count the request, and return the session that it may read or erase."""
        # Where authentication is off, all share one account. A request without a good token must
        # not be counted: it could use up everybody's reads.
        if principal == ANONYMOUS:
            ref = self._authorize(request, principal, check)
            self._count(principal)
            return ref
        self._count(principal)
        return self._authorize(request, principal, check)

    def _authorize(
        self, request: HttpRequest, principal: Principal, check: TokenCheck
    ) -> SessionRef:
        """Return the session that the request may read or erase.

        Raises:
            ParleyError: `bad_request` for an invalid id, `unauthorized` or `resume_denied` for a
                missing or wrong token, or `session_not_found`.
        """
        ref = principal.session(read_identifier(request, "session_id"))
        if principal != ANONYMOUS:
            return ref
        token = request.headers.get(TOKEN_HEADER, "")
        if not token:
            raise ParleyError(
                "unauthorized",
                "X-Resume-Token: authentication is off, so only the session's resume token opens "
                "it. Send the header with the token that ready brought.",
                field="X-Resume-Token",
            )
        check(self._sessions.get_session(ref), token, TOKEN_ERRORS)
        return ref


def _read_list_query(request: HttpRequest) -> ListQuery:
    # msgspec would take 1e1 for a whole number.
    if not request.query.get("limit", "0").isdigit():
        raise bad_field("limit", LIST_RULES["limit"])
    return read_query(request, ListQuery, LIST_RULES)


def _read_format(request: HttpRequest) -> Format:
    query = read_query(request, ReadQuery, READ_RULES)
    if query.format is not UNSET:
        return query.format
    accepted = request.headers.get("accept", "")
    return "md" if "text/markdown" in accepted else "vtt" if "text/vtt" in accepted else "json"


def _not_found_error() -> ParleyError:
    return ParleyError(
        "session_not_found",
        "There is no such session, or it is not yours, or it has been erased.",
        field="session_id",
    )


def _denied_error() -> ParleyError:
    return ParleyError(
        "resume_denied",
        "X-Resume-Token: this is not the session's latest resume token.",
        field="X-Resume-Token",
    )


TOKEN_ERRORS = TokenErrors(_not_found_error, _denied_error)
IF_AUTHENTICATION_IS_OFF = "The session's resume token; needed where authentication is off."
ROUTES = (
    Route(
        "GET /sessions",
        SessionHandlers.list_sessions,
        "Your sessions, newest first.",
        {HTTPStatus.OK: Success("One page.", (SessionList,))},
        description="Needs authentication: without it nobody is known.",
        query=(ListQuery,),
    ),
    Route(
        "GET /sessions/{session_id}",
        SessionHandlers.read_session,
        "What was said in a session.",
        {
            HTTPStatus.OK: Success(
                "Its transcript. WebVTT is timed from the session's start.",
                (SessionView,),
                ("text/markdown", "text/vtt"),
            )
        },
        (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
        query=(ReadQuery,),
        resume_token=IF_AUTHENTICATION_IS_OFF,
    ),
    Route(
        "DELETE /sessions/{session_id}",
        SessionHandlers.erase_session,
        "Erase a session with everything that was said and recorded in it.",
        {
            HTTPStatus.ACCEPTED: Success(
                "It can no longer be read or gone on with, but a turn still runs: repeat the "
                "request after Retry-After.",
                (ErasureState,),
            ),
            HTTPStatus.NO_CONTENT: Success("Nothing of it is left."),
        },
        (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
        description="May be repeated. A turn that runs is stopped first.",
        resume_token=IF_AUTHENTICATION_IS_OFF,
    ),
)
