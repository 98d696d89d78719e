"""Answers the requests of an application's backend: facts for a session, words for its agent."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from msgspec import Struct

from parley.auth.identity import Identity
from parley.errors import ParleyError
from parley.http.backend import check_backend
from parley.http.bodies import ContextBody, SayBody, bad_field, read_identifier, read_json
from parley.http.framework import HttpAnswer, HttpRequest
from parley.http.route import Route, Success
from parley.ids import new_ulid
from parley.limits.request_rates import RequestRates
from parley.principal import SessionRef
from parley.sessions.agent_turns import AgentTurns
from parley.sessions.backend_words import BackendWords
from parley.storage.sessions import SessionStore


class ContextAnswer(Struct):
    """A fact that is known. The same `id` again changes nothing."""

    id: str


class SayAnswer(Struct):
    """What the agent says in a turn of its own. The same `id` again starts no other."""

    id: str
    turn_id: str
    state: Literal["started", "waiting"]
    """Whether it is said on the session's connection, or when its client comes."""


class WordHandlers:
    """Answers the requests about what a backend tells.

    Args:
        agent_turns: starts the agent's turns.
        requests: counts the requests; None if they are not limited.
    """

    def __init__(
        self,
        sessions: SessionStore,
        agent_turns: AgentTurns,
        requests: RequestRates | None = None,
    ) -> None:
        self._words = BackendWords(sessions, agent_turns, _not_found_error)
        self._requests = requests

    def tell(self, request: HttpRequest, identity: Identity) -> HttpAnswer:
        """Tell a session a fact."""
        ref = self._authorize(request, identity)
        body = read_json(request, ContextBody)
        note_id = body.id or new_ulid()
        self._words.tell(ref, note_id, _words(body.text), request.received_at_ms)
        return HttpAnswer.from_content(ContextAnswer(note_id), HTTPStatus.ACCEPTED)

    def say(self, request: HttpRequest, identity: Identity) -> HttpAnswer:
        """Have a session's agent say something."""
        ref = self._authorize(request, identity)
        body = read_json(request, SayBody)
        note_id = body.id or new_ulid()
        turn_id, started = self._words.say(ref, note_id, _words(body.text), request.received_at_ms)
        answer = SayAnswer(note_id, turn_id, "started" if started else "waiting")
        return HttpAnswer.from_content(answer, HTTPStatus.ACCEPTED)

    def _authorize(self, request: HttpRequest, identity: Identity) -> SessionRef:
        check_backend(identity)
        session_id = read_identifier(request, "session_id")
        if self._requests is not None:
            self._requests.count_request(identity.principal, "says")
        return identity.principal.session(session_id)


def _words(text: str) -> str:
    if not text.strip():
        raise bad_field("text", "expected at least one character that is not white space")
    return text


def _not_found_error() -> ParleyError:
    return ParleyError(
        "session_not_found",
        "The user whom the token names has no such session, or it is over.",
        field="session_id",
    )


FOR_BACKENDS = "The token names the session's user, and has the claim `parley_backend`."
ROUTES = (
    Route(
        "POST /sessions/{session_id}/context",
        WordHandlers.tell,
        "Tell a session a fact that the next reply knows.",
        {HTTPStatus.ACCEPTED: Success("It is known.", (ContextAnswer,))},
        (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
        description=FOR_BACKENDS,
        body=ContextBody,
    ),
    Route(
        "POST /sessions/{session_id}/say",
        WordHandlers.say,
        "Have the agent say something now, or when its user comes.",
        {HTTPStatus.ACCEPTED: Success("It is said.", (SayAnswer,))},
        (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
        description=f"{FOR_BACKENDS} It interrupts what the agent says, as a newer turn does.",
        body=SayBody,
    ),
)
