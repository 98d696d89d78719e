"""Answers the requests about turns: the same turns as over a WebSocket, with one answer each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus

import msgspec
from msgspec import UNSET, Struct, UnsetType

from parley.agents.catalog import AgentCatalog
from parley.auth.identity import Identity
from parley.errors import ParleyError
from parley.http.backend import check_backend
from parley.http.bodies import (
    MAX_AUDIO_S,
    TOKEN_HEADER,
    InterruptBody,
    RequestedTurn,
    SessionBody,
    TurnBody,
    TurnQuery,
    bad_field,
    read_identifier,
    read_json,
    read_turn,
)
from parley.http.framework import HttpAnswer, HttpRequest
from parley.http.route import Route, Success
from parley.http.session_tokens import find_session, rotate_token
from parley.http.stored_answers import StoredAnswers
from parley.http.turn_answer import (
    EventsAnswer,
    TurnAnswer,
    build_turn_answer,
    encode_events,
)
from parley.ids import new_ulid
from parley.limits.request_rates import RequestRates
from parley.limits.rules import RequestKind
from parley.limits.turn_quota import Admission
from parley.principal import ANONYMOUS, Principal, SessionRef
from parley.protocol.agent_overrides import NO_OVERRIDES, AgentOverrides
from parley.protocol.messages import Choices, Settings, Stage
from parley.protocol.turn_request import TurnRequest
from parley.sessions.interruption import Interruption, TurnState
from parley.sessions.opener import open_session
from parley.sessions.settings_policy import SettingsPolicy
from parley.sessions.sweep import sweep_if_erased
from parley.storage.inbox_entries import InterruptEntry
from parley.storage.item_codec import Session
from parley.storage.sessions import SessionStore
from parley.storage.turns import TurnStore
from parley.turn.finish import Outcome

BACKEND_FIELDS = tuple(name for name in AgentOverrides.__struct_fields__ if name != "agent")
IF_NOT_IN_BODY = "The session's resume token, if the body does not have it."


class OpenedSession(Struct, omit_defaults=True):
    """A new session. `settings` has every setting in force, `choices` what may be set."""

    session_id: str
    resume_token: str
    settings: Settings
    choices: Choices
    stand_ins: list[Stage] = msgspec.field(default_factory=list)
    agent: str | UnsetType = UNSET
    """The session's agent, where the deployment has several."""


class InterruptAnswer(Struct, omit_defaults=True):
    """The result of an interruption. `heard` is the part of an ended reply that was heard, if that
    is known. A turn that runs stops, and its answer says what was heard. A `pending` turn stops
    when it begins."""

    turn_id: str
    state: TurnState
    heard: str | None = None
    heard_estimated: bool = False


class TurnHandlers:
    """Answers the requests about turns.

    Args:
        run_turn: runs a turn, with its admission, to its end; returns None if the turn is or was
            run for another request.
        policy: which settings hold, and what clients may choose.
        admit_turn: counts a turn of a session; takes the session and whether the turn is spoken.
        stand_ins: the stages whose provider stands in for a real one.
        utterance_s: the deployment's longest utterance, in s; 0 for no limit of its own.
        requests: counts the sessions that are opened without a turn, the interruptions, and the
            answers that are given again; None if they are not limited.
        agents: the deployment's agents; None for the one that its variables describe.
    """

    def __init__(
        self,
        sessions: SessionStore,
        turns: TurnStore,
        run_turn: Callable[[TurnRequest, Admission], Outcome | None],
        policy: SettingsPolicy,
        *,
        admit_turn: Callable[[SessionRef, bool], Admission],
        utterance_s: int = 0,
        stand_ins: Sequence[Stage] = (),
        requests: RequestRates | None = None,
        agents: AgentCatalog | None = None,
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._run_turn = run_turn
        self._admit_turn = admit_turn
        self._stored_answers = StoredAnswers(turns, requests)
        self._policy = policy
        self._agents = agents or AgentCatalog("", policy)
        self._stand_ins = list(stand_ins)
        self._max_audio_s = min(MAX_AUDIO_S, utterance_s or MAX_AUDIO_S)
        self._requests = requests

    def open_session(self, request: HttpRequest, identity: Identity) -> HttpAnswer:
        """Open a session without a turn, so that its first turn can be repeated safely too."""
        body = read_json(request, SessionBody)
        chosen, said = self._read_agent(body, identity)
        name = self._agents.choose(chosen, said.merged_with(identity.agent))
        policy = self._agents.policy_for(name)
        policy.check_settings(body.settings, identity.settings, "settings.")
        self._count(identity.principal, "sessions")
        ref = identity.principal.session(new_ulid())
        session, token = open_session(
            self._sessions,
            ref,
            body.settings,
            identity.settings,
            agent=chosen,
            signed_agent=identity.agent,
            backend_agent=said,
        )
        settings = policy.merge_settings(session.settings, session.signed, session.heard_language)
        choices = self._agents.list_choices(session)
        opened = OpenedSession(
            session.session_id, token, settings, choices, self._stand_ins, name or UNSET
        )
        return HttpAnswer.from_content(opened, HTTPStatus.CREATED)

    def _read_agent(self, body: SessionBody, identity: Identity) -> tuple[str, AgentOverrides]:
        """Return the agent that a client chose, and what the backend says of it.

        Raises:
            ParleyError: the client may not say so, or there is no such agent.
        """
        said = body.agent
        self._agents.check_overrides(identity.agent, "parley_agent.agent")
        if said.agents is not UNSET:
            raise bad_field("agent.agents", "only a token says what a client may choose from")
        if identity.is_backend:
            self._agents.check_overrides(said, "agent.agent")
            return "", said
        if said.agent is UNSET or said != AgentOverrides(agent=said.agent):
            if said != NO_OVERRIDES:
                field = next(name for name in BACKEND_FIELDS if getattr(said, name) is not UNSET)
                check_backend(identity, f"agent.{field}")
            return "", NO_OVERRIDES
        self._agents.check_choice(said.agent, identity.agent, "agent.agent")
        return said.agent, NO_OVERRIDES

    def run_turn(self, request: HttpRequest, identity: Identity) -> HttpAnswer:
        """Run a turn, or give the answer of a turn again that was run before.

        Raises:
            ParleyError: whatever keeps the turn from running. A turn that a limit refuses has
                written nothing, and the token that was shown stays the latest.
        """
        principal = identity.principal
        requested = read_turn(request, self._max_audio_s)
        body = requested.body
        if requested.audio is not None:  # the request ends where the utterance does
            self._policy.check_endpointing("manual", "audio", body.turn_id)
        turn_id = body.turn_id or new_ulid()
        ref = principal.session(body.session_id or new_ulid())
        token: str | None = None
        session: Session | None = None
        if body.session_id is not None:
            # Before the count: where authentication is off, all share one account.
            session = find_session(self._sessions, ref, body.resume_token)
        signed = identity.settings if session is None else session.signed
        if session is None:
            self._agents.check_overrides(identity.agent, "parley_agent.agent")
            policy = self._agents.policy_for(self._agents.choose("", identity.agent))
        else:
            policy = self._agents.policy_of(session)
        policy.check_settings(body.settings, signed, requested.settings_path)
        admission = self._admit_turn(ref, requested.text is None)
        if admission.refused is not None and not self._is_repeated(body, ref):
            raise admission.refused
        if session is None:
            session, token = open_session(
                self._sessions, ref, body.settings, signed, signed_agent=identity.agent
            )
        elif (
            admission.refused is None
            and body.settings != Settings()
            and not self._is_repeated(body, ref)  # it would undo newer settings
        ):
            self._sessions.change_settings(ref, body.settings)
        outcome = None
        if admission.refused is None:
            turn = _make_turn_request(requested, ref, turn_id, request.received_at_ms)
            outcome = self._run_turn(turn, admission)
        if outcome is None:
            frames = self._stored_answers.read_events(
                principal, ref, turn_id, complete=not body.events
            )
        else:
            frames = encode_events(outcome.events)
        if token is None and body.resume_token is not None:
            token = rotate_token(self._sessions, session, body.resume_token, turn_id)
        return _make_answer(requested, session, turn_id, frames, token)

    def interrupt_turn(self, request: HttpRequest, identity: Identity) -> HttpAnswer:
        """Stop a turn, also one that has not begun; store what was heard of one that has ended."""
        principal = identity.principal
        session_id = read_identifier(request, "session_id")
        turn_id = read_identifier(request, "turn_id")
        body = read_json(request, InterruptBody)
        token = body.resume_token or request.headers.get(TOKEN_HEADER)
        ref = principal.session(session_id)
        if principal != ANONYMOUS:
            self._count(principal, "interrupts")
        find_session(self._sessions, ref, token)
        if principal == ANONYMOUS:  # all share one account: count only with a good token
            self._count(principal, "interrupts")
        entry = InterruptEntry(body.played_ms, request.received_at_ms)
        result = Interruption(self._sessions, self._turns).interrupt(ref, turn_id, entry)
        if sweep_if_erased(self._sessions, ref):
            raise ParleyError(
                "session_not_found",
                "This session has been erased. Leave session_id out for a new one.",
                field="session_id",
            )
        return HttpAnswer.from_content(
            InterruptAnswer(turn_id, result.state, result.heard, result.heard_estimated)
        )

    def _is_repeated(self, body: TurnBody, ref: SessionRef) -> bool:
        """Return whether the request was sent before, so that its answer needs no turn."""
        if body.session_id is None or body.turn_id is None:
            return False
        return self._stored_answers.is_repeated(ref, body.turn_id, body.attempt)

    def _count(self, principal: Principal, kind: RequestKind) -> None:
        if self._requests is not None:
            self._requests.count_request(principal, kind)


def _make_turn_request(
    requested: RequestedTurn, ref: SessionRef, turn_id: str, received_at_ms: int
) -> TurnRequest:
    return TurnRequest(
        session=ref,
        turn_id=turn_id,
        connection_id="",
        endpoint="",
        received_at_ms=received_at_ms,
        text=requested.text,
        format=requested.format,
        attempt=requested.body.attempt,
        audio=requested.audio,
    )


def _make_answer(
    requested: RequestedTurn, session: Session, turn_id: str, frames: list[bytes], token: str | None
) -> HttpAnswer:
    if not requested.body.events:
        return HttpAnswer.from_content(build_turn_answer(session.session_id, frames, token))
    events = [msgspec.Raw(frame) for frame in frames]
    return HttpAnswer.from_content(EventsAnswer(session.session_id, turn_id, events, token))


ROUTES = (
    Route(
        "POST /turns",
        TurnHandlers.run_turn,
        "Say something, and get the whole reply.",
        {
            HTTPStatus.OK: Success(
                "The turn has ended; `events` asks for an EventsAnswer.",
                (TurnAnswer, EventsAnswer),
            )
        },
        (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.GONE),
        description="The fields of a turn are the body's, or the query's if the body is audio. "
        "audio/wave, audio/vnd.wave, audio/x-wav and audio/x-pn-wav are audio/wav. A repeated "
        "turn_id is not run again: its answer is given once more.",
        body=TurnBody,
        audio_types=("audio/wav", "audio/pcm"),
        query=(TurnQuery, Settings),
        query_note="If the body is audio.",
        resume_token=IF_NOT_IN_BODY,
    ),
    Route(
        "POST /sessions",
        TurnHandlers.open_session,
        "Open a session without a turn.",
        {HTTPStatus.CREATED: Success("It is open.", (OpenedSession,))},
        (HTTPStatus.FORBIDDEN,),
        body=SessionBody,
    ),
    Route(
        "POST /sessions/{session_id}/turns/{turn_id}/interrupt",
        TurnHandlers.interrupt_turn,
        "Stop a turn, or say how much of its reply was heard.",
        {HTTPStatus.OK: Success("It is noted.", (InterruptAnswer,))},
        (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
        body=InterruptBody,
        resume_token=IF_NOT_IN_BODY,
    ),
)
