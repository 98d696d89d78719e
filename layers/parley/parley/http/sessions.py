"""What is asked about sessions over HTTP: their list, their transcripts, their erasure.

Who is known sees their own sessions. Where nobody is, because authentication is off, a session
is shown and erased to whoever has its resume token, and nobody gets a list.
"""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from typing import Literal

from msgspec import Struct

from parley.errors import ParleyError
from parley.http.bodies import identifier
from parley.http.framework import HttpAnswer, HttpRequest, principal_of
from parley.http.transcripts import SessionSummary, markdown, summary, view, webvtt
from parley.ids import token_matches
from parley.limits.request_rates import RequestRates
from parley.principal import ANONYMOUS, Principal, SessionRef
from parley.sessions.erasure import Erasure
from parley.storage.recordings import Recordings
from parley.storage.session_reader import SessionReader, TooLong
from parley.storage.sessions import ERASED, SessionStore

LIST_LIMIT = 20
MAX_LIST_LIMIT = 100
ERASE_AGAIN_MS = 5_000
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Lambda answers with 6 MB at most ("Lambda quotas"), in JSON, which writes some characters of
the body as two."""
_CURSOR = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)

Format = Literal["json", "md", "vtt"]


class SessionList(Struct, omit_defaults=True):
    """A principal's sessions, newest first."""

    sessions: list[SessionSummary]
    next_cursor: str | None = None
    """`cursor` of the request that goes on; absent when these were the last."""


class ErasureState(Struct):
    """An erasure that takes longer than one request."""

    erased: bool


class SessionRoutes:
    """Answers requests about sessions.

    Args:
        recordings: where turns are recorded; None if they are not.
        requests: counts what is read; None if that is not limited.
    """

    def __init__(
        self,
        store: SessionStore,
        archive: SessionReader,
        erasure: Erasure,
        recordings: Recordings | None,
        requests: RequestRates | None = None,
    ) -> None:
        self._store = store
        self._archive = archive
        self._erasure = erasure
        self._recordings = recordings
        self._requests = requests

    def list(self, request: HttpRequest) -> HttpAnswer:
        """`GET /sessions?limit=&cursor=`: whoever asks, their sessions, newest first."""
        principal = principal_of(request)
        if principal == ANONYMOUS:
            raise ParleyError(
                "unauthorized",
                "Nobody has a list of sessions, because authentication is off: nobody is known. "
                "Ask for one session with GET /sessions/{session_id} and its X-Resume-Token.",
            )
        limit, cursor = _limit(request), request.query.get("cursor", "")
        if cursor and not _CURSOR.fullmatch(cursor):
            raise ParleyError(
                "bad_request",
                "cursor: expected the next_cursor of an earlier answer, as it was.",
                field="cursor",
            )
        self._count(principal)
        found, more = self._archive.newest(principal, limit, cursor)
        now = time.time()
        return HttpAnswer.of(SessionList([summary(each, now) for each in found], more or None))

    def read(self, request: HttpRequest) -> HttpAnswer:
        """`GET /sessions/{session_id}`: what was said, as JSON, Markdown or WebVTT."""
        wanted = _format(request)
        ref = self._counted(request)
        try:
            conversation = self._archive.conversation(ref)
        except TooLong:
            raise ParleyError(
                "too_large",
                "session_id: the session has a longer history than is read at once.",
                field="session_id",
            ) from None
        if conversation is None:
            raise _no_session()
        if wanted == "md":
            body, kind = markdown(conversation).encode(), "text/markdown; charset=utf-8"
        elif wanted == "vtt":
            body, kind = webvtt(conversation).encode(), "text/vtt; charset=utf-8"
        else:
            links = self._recordings.links(ref) if self._recordings is not None else {}
            answer = HttpAnswer.of(view(conversation, time.time(), links))
            body, kind = answer.body, answer.content_type
        if len(body) > MAX_ANSWER_BYTES:
            raise ParleyError(
                "too_large",
                f"The session has {len(body):,} bytes of transcript in this format; an answer has "
                f"at most {MAX_ANSWER_BYTES:,}. format=md is the shortest.",
                field="format",
            )
        return HttpAnswer(HTTPStatus.OK, body, kind)

    def erase(self, request: HttpRequest) -> HttpAnswer:
        """`DELETE /sessions/{session_id}`: erase it, with everything that was said and recorded."""
        ref = self._counted(request)
        known = self._store.session(ref) is not None
        if not self._erasure.erase(ref):
            headers = {"retry-after": str(ERASE_AGAIN_MS // 1000)}
            answer = HttpAnswer.of(ErasureState(erased=False), HTTPStatus.ACCEPTED)
            return HttpAnswer(answer.status, answer.body, headers=headers)
        if not known:
            raise _no_session()
        return HttpAnswer(HTTPStatus.NO_CONTENT)

    def _count(self, principal: Principal) -> None:
        if self._requests is not None:
            self._requests.take(principal, "reads")

    def _counted(self, request: HttpRequest) -> SessionRef:
        """The session that is asked for, once the request has been counted.

        Where nobody is known all share one account, so only who shows a session's token is counted:
        anybody else could use up everybody's reads and erasures.
        """
        principal = principal_of(request)
        if principal == ANONYMOUS:
            ref = self._allowed(request, principal)
            self._count(principal)
            return ref
        self._count(principal)
        return self._allowed(request, principal)

    def _allowed(self, request: HttpRequest, principal: Principal) -> SessionRef:
        """The session that is asked for.

        Raises:
            ParleyError: it is not for whoever asks, or that is not known; or it is no id.
        """
        ref = principal.session(identifier(request, "session_id"))
        if principal != ANONYMOUS:
            return ref
        shown = request.headers.get("x-resume-token", "")
        if not shown:
            raise ParleyError(
                "unauthorized",
                "X-Resume-Token: authentication is off, so only the session's resume token opens "
                "it. Send the header with the token that ready brought.",
                field="X-Resume-Token",
            )
        session = self._store.session(ref)
        if session is None or (session.status == ERASED and request.method == "GET"):
            raise _no_session()
        latest = token_matches(shown, session.token_hash)
        previous = token_matches(shown, session.previous_hash)
        if not (latest or previous):
            raise ParleyError(
                "resume_denied",
                "X-Resume-Token: this is not the session's latest resume token.",
                field="X-Resume-Token",
            )
        return ref


def _limit(request: HttpRequest) -> int:
    text = request.query.get("limit", str(LIST_LIMIT))
    if not re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) or not 1 <= int(text) <= MAX_LIST_LIMIT:
        raise ParleyError(
            "bad_request",
            f"limit: expected a whole number from 1 to {MAX_LIST_LIMIT}.",
            field="limit",
        )
    return int(text)


def _format(request: HttpRequest) -> Format:
    accepted = request.headers.get("accept", "")
    asked = request.query.get("format")
    if asked is None:
        return "md" if "text/markdown" in accepted else "vtt" if "text/vtt" in accepted else "json"
    formats: dict[str, Format] = {"json": "json", "md": "md", "vtt": "vtt"}
    if asked not in formats:
        raise ParleyError("bad_request", "format: expected json, md or vtt.", field="format")
    return formats[asked]


def _no_session() -> ParleyError:
    return ParleyError(
        "session_not_found",
        "There is no such session, or it is not yours, or it has been erased.",
        field="session_id",
    )
