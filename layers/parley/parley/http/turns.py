"""Turns over HTTP: the same turn as over a WebSocket, with its events as one answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus

import msgspec
from msgspec import Struct

from parley.auth.identity import Identity
from parley.clock import now_ms
from parley.errors import ParleyError
from parley.http.bodies import (
    MAX_AUDIO_S,
    TOKEN_HEADER,
    AskedTurn,
    InterruptBody,
    SessionBody,
    TurnBody,
    TurnQuery,
    identifier,
    read_json,
    read_turn,
)
from parley.http.framework import HttpAnswer, HttpRequest
from parley.http.route import Route, Success
from parley.http.session_tokens import find_session, rotate_token
from parley.http.turn_answer import (
    EventsAnswer,
    TurnAnswer,
    broken_off,
    frames_of,
    is_rest,
    is_whole,
    turn_answer,
)
from parley.ids import new_ulid
from parley.limits.request_rates import RequestRates
from parley.limits.rules import RequestKind
from parley.limits.turn_quota import Admission
from parley.principal import ANONYMOUS, Principal, SessionRef
from parley.protocol.messages import Choices, Settings, Stage
from parley.protocol.turn_request import TurnRequest
from parley.sessions.interruption import Interruption, TurnState
from parley.sessions.opener import open_session
from parley.sessions.settings_policy import SettingsPolicy
from parley.storage.inbox_entries import InterruptEntry
from parley.storage.item_codec import Session
from parley.storage.sessions import SessionStore
from parley.storage.turns import TurnStore
from parley.turn.finish import Outcome

RETRY_AFTER_MS = 1000
"""When to ask again for a turn that still runs."""
TOKEN_NOT_IN_BODY = "The session's resume token, if the body does not have it."  # noqa: S105  # nosec B105 - a description


class OpenedSession(Struct, omit_defaults=True):
    """A new session. `settings` holds every setting in force, `choices` what may be set."""

    session_id: str
    resume_token: str
    settings: Settings
    choices: Choices
    stand_ins: list[Stage] = msgspec.field(default_factory=list)


class InterruptAnswer(Struct, omit_defaults=True):
    """`heard` is what of a reply that has ended was heard, where that is known. A turn that
    runs stops, and its answer says what was heard; one that has not begun (`pending`) stops when it
    does."""

    turn_id: str
    state: TurnState
    heard: str | None = None


class TurnHandlers:
    """Answers the requests about turns.

    Args:
        run: runs a turn that has been admitted to its end; None if somebody else runs it or has
            run it.
        policy: which settings hold, and what clients may choose.
        admit: counts a turn of a session; the argument is whether it is spoken.
        stand_ins: the stages whose provider stands in for a real one.
        utterance_s: the deployment's longest utterance; 0 for no limit of its own.
        requests: counts sessions that are opened without a turn, and answers that are given once
            more; None if they are not limited.
    """

    def __init__(
        self,
        store: SessionStore,
        turns: TurnStore,
        run: Callable[[TurnRequest, Admission], Outcome | None],
        policy: SettingsPolicy,
        *,
        admit: Callable[[SessionRef, bool], Admission],
        utterance_s: int = 0,
        stand_ins: Sequence[Stage] = (),
        requests: RequestRates | None = None,
    ) -> None:
        self._store = store
        self._turns = turns
        self._run = run
        self._admit = admit
        self._policy = policy
        self._stand_ins = list(stand_ins)
        self._max_audio_s = min(MAX_AUDIO_S, utterance_s or MAX_AUDIO_S)
        self._requests = requests

    def open_session(self, request: HttpRequest, identity: Identity) -> HttpAnswer:
        """Open a session without a turn, so that its first turn can be repeated safely too."""
        body = read_json(request, SessionBody)
        self._policy.check(body.settings, identity.settings, "settings.")
        self._count(identity.principal, "sessions")
        ref = identity.principal.session(new_ulid())
        session, token = open_session(self._store, ref, body.settings, identity.settings)
        settings = self._policy.in_force(session.settings, session.signed)
        choices = self._policy.choices(session.signed)
        opened = OpenedSession(session.session_id, token, settings, choices, self._stand_ins)
        return HttpAnswer.of(opened, HTTPStatus.CREATED)

    def run_turn(self, request: HttpRequest, identity: Identity) -> HttpAnswer:
        """Run a turn, or give once more the answer of one that was run.

        Count it before anything is written: a turn that a limit does not let begin leaves
        nothing, and the token that was shown stays the latest.
        """
        principal = identity.principal
        asked = read_turn(request, self._max_audio_s)
        body = asked.body
        turn_id = body.turn_id or new_ulid()
        ref = principal.session(body.session_id or new_ulid())
        token: str | None = None
        session: Session | None = None
        if body.session_id is not None:
            # Before the count: where authentication is off, all share one account.
            session = find_session(self._store, ref, body.resume_token)
        signed = identity.settings if session is None else session.signed
        self._policy.check(body.settings, signed, asked.settings_path)
        admission = self._admit(ref, asked.text is None)
        if admission.refused is not None and not self._was_here(asked, ref):
            raise admission.refused
        if session is None:
            session, token = open_session(self._store, ref, body.settings, signed)
        elif (
            admission.refused is None
            and body.settings != Settings()
            and not self._was_here(asked, ref)  # it would not run, and the session has gone on
        ):
            self._store.change_settings(ref, body.settings)
        outcome = None
        if admission.refused is None:
            turn = _turn_request(asked, ref, turn_id, request.received_at_ms)
            outcome = self._run(turn, admission)
        if outcome is None:
            frames = self._answered_before(principal, ref, turn_id, whole=not body.events)
        else:
            frames = frames_of(outcome.events)
        if token is None and body.resume_token is not None:
            token = rotate_token(self._store, session, body.resume_token, turn_id)
        return _answer(asked, session, turn_id, frames, token)

    def interrupt_turn(self, request: HttpRequest, identity: Identity) -> HttpAnswer:
        """Stop a turn, also one that has not begun, or note what was heard of one that has
        ended."""
        principal = identity.principal
        session_id, turn_id = identifier(request, "session_id"), identifier(request, "turn_id")
        body = read_json(request, InterruptBody)
        token = body.resume_token or request.headers.get(TOKEN_HEADER)
        ref = principal.session(session_id)
        if principal != ANONYMOUS:
            self._count(principal, "interrupts")
        find_session(self._store, ref, token)
        if principal == ANONYMOUS:  # all share one account: nobody counts who shows no token
            self._count(principal, "interrupts")
        entry = InterruptEntry(body.played_ms, request.received_at_ms)
        done = Interruption(self._store, self._turns).interrupt(ref, turn_id, entry)
        self._look_for(ref)
        return HttpAnswer.of(InterruptAnswer(turn_id, done.state, done.heard))

    def _look_for(self, ref: SessionRef) -> None:
        """The session may have been erased meanwhile: nothing may be left of what has just
        been written for it (see `parley.sessions.erasure`)."""
        if not self._store.is_there(ref):
            self._store.sweep(ref)
            raise ParleyError(
                "session_not_found",
                "This session has been erased. Leave session_id out for a new one.",
                field="session_id",
            )

    def _count(self, principal: Principal, kind: RequestKind) -> None:
        if self._requests is not None:
            self._requests.take(principal, kind)

    # --- answers once more ------------------------------------------------------------

    def _was_here(self, asked: AskedTurn, ref: SessionRef) -> bool:
        """Whether the same request has come before, whose answer costs no turn: one that would not
        run, whatever the limits say."""
        body = asked.body
        if body.session_id is None or body.turn_id is None:
            return False
        turn = self._turns.turn(ref, body.turn_id)
        if turn is None:
            return False
        if body.attempt is not None:
            return turn.claim.attempt >= body.attempt
        return turn.lease_until_ms > now_ms() if turn.running else turn.state != "failed"

    def _answered_before(
        self, principal: Principal, ref: SessionRef, turn_id: str, *, whole: bool
    ) -> list[bytes]:
        """The events of a turn that is not this request's to run.

        Args:
            principal: who asks, and is counted as reading: an answer may have megabytes.
            whole: all of them are needed. A client that follows the events itself has perhaps
                had the first ones over its WebSocket.

        Raises:
            ParleyError: `turn_running`, `turn_over` or `rate_limited`.
        """
        turn = self._turns.turn(ref, turn_id)
        if turn is not None and not turn.running:
            self._count(principal, "reads")
            attempt = turn.claim.attempt
            frames = self._turns.answer(ref, turn_id, attempt) or [
                stored.frame
                for stored in self._turns.undelivered_of(ref, turn_id, turn.claim.started_ms)
                if stored.attempt == attempt
            ]
            if is_whole(frames) or (not whole and is_rest(frames)):
                return frames
        if turn is not None and turn.running and turn.lease_until_ms <= now_ms():
            dead = self._turns.fail_turn(ref, turn_id, None, turn.claim.attempt)
            if dead is not None:  # and this request names the attempt, so it is not run again
                frames = broken_off(turn_id, dead.attempt)
                self._turns.put_answer(ref, turn_id, dead.attempt, frames)
                return frames
        if turn is None or turn.running or turn.lease_until_ms > now_ms():
            raise ParleyError(
                "turn_running",
                "This turn runs already. Send the same request again for its answer.",
                retryable=True,
                turn_id=turn_id,
                retry_after_ms=RETRY_AFTER_MS,
            )
        raise ParleyError(
            "turn_over",
            "This turn has ended, and its answer is no longer kept. What was said is in the "
            "session's history.",
            turn_id=turn_id,
        )


def _turn_request(
    asked: AskedTurn, ref: SessionRef, turn_id: str, received_at_ms: int
) -> TurnRequest:
    return TurnRequest(
        session=ref,
        turn_id=turn_id,
        connection_id="",
        endpoint="",
        received_at_ms=received_at_ms,
        text=asked.text,
        format=asked.format,
        attempt=asked.body.attempt,
        audio=asked.audio,
    )


def _answer(
    asked: AskedTurn, session: Session, turn_id: str, frames: list[bytes], token: str | None
) -> HttpAnswer:
    if not asked.body.events:
        return HttpAnswer.of(turn_answer(session.session_id, frames, token))
    events = [msgspec.Raw(frame) for frame in frames]
    return HttpAnswer.of(EventsAnswer(session.session_id, turn_id, events, token))


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
        resume_token=TOKEN_NOT_IN_BODY,
    ),
    Route(
        "POST /sessions",
        TurnHandlers.open_session,
        "Open a session without a turn.",
        {HTTPStatus.CREATED: Success("It is open.", (OpenedSession,))},
        body=SessionBody,
    ),
    Route(
        "POST /sessions/{session_id}/turns/{turn_id}/interrupt",
        TurnHandlers.interrupt_turn,
        "Stop a turn, or say how much of its reply was heard.",
        {HTTPStatus.OK: Success("It is noted.", (InterruptAnswer,))},
        (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
        body=InterruptBody,
        resume_token=TOKEN_NOT_IN_BODY,
    ),
)
