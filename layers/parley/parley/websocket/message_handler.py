"""Handles the messages of clients that begin no turn: answers them, or hands them to a turn.

It writes what a running turn needs into the inbox, and starts the agent's own turns. It is
synchronous and quick: what takes time happens in the turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatchmethod

from msgspec import UNSET

from parley.agents.catalog import AgentCatalog
from parley.aws.management_api import Address
from parley.clock import now_ms
from parley.errors import BadMessage, ParleyError
from parley.ids import new_ulid
from parley.limits.connection_slots import ConnectionSlots
from parley.limits.errors import too_many_messages
from parley.limits.request_rates import RequestRates
from parley.limits.rules import NO_LIMITS, LimitRules
from parley.principal import ANONYMOUS, Principal, SessionRef, parse_session_id
from parley.protocol.messages import (
    PROTOCOL_VERSION,
    Ack,
    AudioChunk,
    AudioEnd,
    AudioStart,
    ClientMessage,
    Config,
    ConfigUpdated,
    Context,
    End,
    Init,
    Interrupt,
    Limits,
    Ping,
    Pong,
    Ready,
    ServerEvent,
    Settings,
    Silence,
    SpeechPaused,
    SpeechResumed,
    Stage,
    ToolResult,
    UserMessage,
)
from parley.protocol.turn_request import AGENT_TURN, TurnRequest, WakeRequest
from parley.sessions.agent_turns import GREETING_TURN, AgentTurns
from parley.sessions.interruption import Interruption
from parley.sessions.opener import open_session
from parley.sessions.recovery import Recovery
from parley.sessions.settings_policy import SettingsPolicy
from parley.sessions.silence import SilencePolicy, silence_turn_id
from parley.storage.inbox_entries import (
    AckEntry,
    ChunkEntry,
    EndEntry,
    InterruptEntry,
    PauseEntry,
    ToolResultEntry,
)
from parley.storage.item_codec import Connection, Session
from parley.storage.sessions import SessionStore
from parley.storage.turns import TurnStore
from parley.websocket.arrival import Arrivals, ConnectionsApi, Envelope
from parley.websocket.resume import (
    SessionResume,
    fit_history,
    not_found_error,
)
from parley.websocket.session_binding import DuplicateInit, StaleInit
from parley.websocket.session_end import Log, log_nothing


class MessageHandler:
    """Handles the messages of many connections.

    Args:
        management_api: posts to connections and closes them.
        start_turn: invokes the turn function, asynchronously.
        policy: which settings hold, and what clients may choose.
        history_messages: how many messages a resumed session's `ready` carries.
        slots: the slots of connections; None if they are not limited.
        requests: counts the sessions that are opened and resumed; None if they are not limited.
        limits: how large and how frequent messages may be.
        stand_ins: the stages whose provider stands in for a real one.
        agents: the deployment's agents; None for the one that its variables describe.
        silence: what is done about a user who is silent.
        max_session_s: how long a session may last; 0 for no limit.
        wake: invokes the turn function, asynchronously, to be warm for a session's next turn; never
            raises.
        log: told of sessions that end, and of trouble; takes an event name and fields.
    """

    def __init__(
        self,
        sessions: SessionStore,
        turns: TurnStore,
        management_api: ConnectionsApi,
        start_turn: Callable[[TurnRequest], None],
        *,
        policy: SettingsPolicy,
        history_messages: int,
        slots: ConnectionSlots | None = None,
        requests: RequestRates | None = None,
        limits: LimitRules = NO_LIMITS,
        stand_ins: Sequence[Stage] = (),
        agents: AgentCatalog | None = None,
        silence: SilencePolicy = SilencePolicy(),  # noqa: B008 - is frozen
        max_session_s: int = 0,
        wake: Callable[[WakeRequest], None] = lambda _: None,
        log: Log = log_nothing,
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._management_api = management_api
        self._start_turn = start_turn
        self._wake = wake
        self._agent_turns = AgentTurns(sessions, turns, self._start_any_turn)
        self._policy = policy
        self._agents = agents or AgentCatalog("", policy)
        self._silence = silence
        self._stand_ins = list(stand_ins)
        self._requests = requests
        self._resume = SessionResume(
            sessions, turns, management_api, history_messages, slots, requests
        )
        self._recovery = Recovery(sessions, turns, management_api.post)
        self._interruption = Interruption(sessions, turns)
        self._arrivals = Arrivals(
            sessions,
            management_api,
            policy=policy,
            limits=limits,
            max_session_s=max_session_s,
            log=log,
        )
        self._binding = self._arrivals.binding

    def handle(self, envelope: Envelope, body: str) -> ParleyError | None:
        """Handle one message; return the error that was sent to the client, if one was."""
        return self._arrivals.handle(envelope, body, self._answer)

    def report_fault(self, envelope: Envelope, body: str) -> None:
        """Tell the client that its message failed by our fault, and which turn did not begin."""
        self._arrivals.report_fault(envelope, body)

    # --- one method per message -------------------------------------------------

    @singledispatchmethod
    def _answer(self, message: ClientMessage, envelope: Envelope) -> ServerEvent | None:
        raise NotImplementedError(type(message).__name__)

    @_answer.register
    def _answer_init(self, message: Init, envelope: Envelope) -> ServerEvent | None:
        if message.protocol != PROTOCOL_VERSION:
            raise ParleyError(
                "unsupported_protocol",
                f"init.protocol: this server speaks version {PROTOCOL_VERSION}; "
                f"got {message.protocol}.",
                field="init.protocol",
            )
        # Before anything changes: a refused init must not cost a session its token.
        try:
            unbound = self._binding.find_unbound(envelope.connection_id, envelope.message_id)
            if message.session_id is None:
                self._check_agent(message, unbound)
                self._count_session(unbound.principal)
                self._open_session(message, unbound, envelope)
                return None
            if unbound.principal == ANONYMOUS:
                # All share one account, so a client without a good token must not be counted.
                ref = unbound.principal.session(message.session_id)
                self._resume.check_token(ref, message.resume_token)
            self._count_session(unbound.principal)
            self._resume_session(message, message.session_id, unbound, envelope)
        except (DuplicateInit, StaleInit):
            pass
        return None

    @_answer.register
    def _answer_turn(self, message: UserMessage | AudioStart, envelope: Envelope) -> None:
        """Start a turn that came here in place of the turn function.

        API Gateway routes it here while a deployment without its route is being updated.
        """
        request = self._arrivals.request_turn(message, envelope)
        if request is not None:
            self._start_turn(request)

    @_answer.register
    def _answer_audio_chunk(self, message: AudioChunk, envelope: Envelope) -> None:
        ref = self._arrivals.find_session(envelope)
        self._turns.inboxes.put_chunk(ref, message.turn_id, ChunkEntry(message.seq, message.audio))

    @_answer.register
    def _answer_speech_paused(self, message: SpeechPaused, envelope: Envelope) -> None:
        ref = self._arrivals.find_session(envelope)
        entry = PauseEntry(message.pause, message.chunks)
        self._turns.inboxes.put_pause(ref, message.turn_id, entry)

    @_answer.register
    def _answer_speech_resumed(self, message: SpeechResumed, envelope: Envelope) -> None:
        ref = self._arrivals.find_session(envelope)
        entry = PauseEntry(message.pause, is_over=True)
        self._turns.inboxes.put_pause(ref, message.turn_id, entry)

    @_answer.register
    def _answer_audio_end(self, message: AudioEnd, envelope: Envelope) -> None:
        ref = self._arrivals.find_session(envelope)
        entry = EndEntry(message.chunks, envelope.received_at_ms, message.pause)
        self._turns.inboxes.put_end(ref, message.turn_id, entry)

    @_answer.register
    def _answer_interrupt(self, message: Interrupt, envelope: Envelope) -> None:
        too_fast = self._arrivals.count_call("interrupts_per_minute", envelope.connection_id)
        if too_fast is not None:
            if too_fast.tell:
                raise too_many_messages(too_fast, "interrupt", None)
            return
        ref = self._arrivals.find_session(envelope)
        entry = InterruptEntry(message.played_ms, envelope.received_at_ms)
        self._interruption.interrupt(ref, message.turn_id, entry)

    @_answer.register
    def _answer_config(self, message: Config, envelope: Envelope) -> ServerEvent:
        ref = self._arrivals.find_session(envelope)

        def check(session: Session) -> None:
            policy = self._agents.policy_of(session)
            policy.check_settings(message.settings, session.signed, "config.settings.")

        session = self._sessions.change_settings(ref, message.settings, check)
        if session is None:
            raise not_found_error()
        return ConfigUpdated(self._settings_of(session))

    @_answer.register
    def _answer_ack(self, message: Ack, envelope: Envelope) -> None:
        """Note what has arrived: it need not be stored for a replay."""
        ref = self._arrivals.find_session(envelope)
        self._turns.inboxes.put_ack(ref, message.turn_id, AckEntry(message.attempt, message.seq))

    @_answer.register
    def _answer_ping(self, message: Ping, envelope: Envelope) -> ServerEvent:
        # A ping above the rate is answered as if it named no turn: it also keeps the connection.
        if message.turn_id is not None and not self._arrivals.count_call(
            "pings_per_minute", envelope.connection_id
        ):
            self._recover_turn(message, message.turn_id, envelope)
        return Pong(message.sent_at)

    @_answer.register
    def _answer_end(self, message: End, envelope: Envelope) -> ServerEvent:
        ref = self._arrivals.find_session(envelope)
        session, event = self._arrivals.session_end.end(ref, envelope.received_at_ms)
        running = None if session is None else session.active_turn
        turn = self._turns.get_turn(ref, running) if running is not None else None
        if running is not None and turn is not None and turn.running:
            self._turns.inboxes.put_interrupt(
                ref, running, InterruptEntry(None, envelope.received_at_ms)
            )
        return event

    @_answer.register
    def _answer_tool_result(self, message: ToolResult, envelope: Envelope) -> None:
        ref = self._arrivals.find_session(envelope)
        if not message.call_id.startswith(f"{parse_session_id(ref)}.{message.turn_id}."):
            raise BadMessage(
                "bad_request",
                "tool_result.call_id: expected that of a call of this turn, as client_call had it.",
                field="tool_result.call_id",
                turn_id=message.turn_id,
            )
        entry = ToolResultEntry(message.call_id, message.result or "", message.error)
        self._turns.inboxes.put_tool_result(ref, message.turn_id, entry)

    @_answer.register
    def _answer_context(self, message: Context, envelope: Envelope) -> None:
        ref = self._arrivals.find_session(envelope)
        if not self._policy.takes_context:
            raise BadMessage(
                "bad_request",
                "context: this deployment takes it from its backend only (ClientContext).",
                field="context",
            )
        if not message.text.strip():
            raise BadMessage(
                "bad_request",
                "context.text: expected at least one character that is not white space.",
                field="context.text",
            )
        too_fast = self._arrivals.count_call("turns_per_minute", envelope.connection_id)
        if too_fast is None:
            note_id = envelope.message_id or new_ulid()
            self._sessions.words.put_context(ref, note_id, message.text, envelope.received_at_ms)
        elif too_fast.tell:
            raise too_many_messages(too_fast, "context", None)

    @_answer.register
    def _answer_silence(self, message: Silence, envelope: Envelope) -> ServerEvent | None:
        ref = self._arrivals.find_session(envelope)
        if self._silence.rules is None:
            raise BadMessage(
                "bad_request", "silence: this deployment does nothing about it.", field="silence"
            )
        if self._arrivals.count_call("turns_per_minute", envelope.connection_id) is not None:
            return None
        session = self._sessions.get_session(ref)
        if session is None or session.status != "active" or self._is_replying(session):
            return None
        due = self._silence.decide(session, envelope.received_at_ms)
        if due == "end":
            return self._arrivals.session_end.end(ref, envelope.received_at_ms, "silence")[1]
        if due == "ask":
            self._ask_silent_user(session, envelope.received_at_ms)
        return None

    def _is_replying(self, session: Session) -> bool:
        """Return whether the newest turn still runs: whoever waits for a reply is not silent."""
        if session.active_turn is None:
            return False
        turn = self._turns.get_turn(session.ref, session.active_turn)
        return turn is not None and turn.running and turn.lease_until_ms > now_ms()

    def _ask_silent_user(self, session: Session, received_at_ms: int) -> None:
        questions = self._agents.find_agent(session).silence_prompts
        language = str(self._settings_of(session).language)
        question = questions.get(language) or questions.get("") or self._silence.prompt
        turn_id = silence_turn_id(session)
        self._agent_turns.start(session, turn_id, "silence", question, received_at_ms)

    # --- sessions ---------------------------------------------------------------

    def _check_agent(self, message: Init, unbound: Connection) -> None:
        """Refuse a new session's agent, or settings that it may not have."""
        overrides = unbound.signed_agent
        if message.agent is not None:
            self._agents.check_choice(message.agent, overrides, "init.agent")
        self._agents.check_overrides(overrides, "parley_agent.agent")
        name = self._agents.choose(message.agent or "", overrides)
        policy = self._agents.policy_for(name)
        policy.check_settings(message.settings, unbound.signed, "init.settings.")

    def _open_session(self, message: Init, unbound: Connection, envelope: Envelope) -> None:
        session, token = open_session(
            self._sessions,
            unbound.principal.session(new_ulid()),
            message.settings,
            unbound.signed,
            connection_id=envelope.connection_id,
            endpoint=envelope.endpoint,
            connected_at_ms=envelope.opened_at_ms,
            woken_at_ms=envelope.received_at_ms,
            client_tools=message.tools,
            agent=message.agent or "",
            signed_agent=unbound.signed_agent,
        )
        self._bind(envelope, session.ref)
        self._binding.remember(envelope.connection_id, session.ref)
        self._arrivals.send(envelope, self._make_ready(session, token, resumed=False))
        if not self._greet(session, envelope, is_new=True):
            self._wake_turn(session)

    def _resume_session(
        self, message: Init, session_id: str, unbound: Connection, envelope: Envelope
    ) -> None:
        ref = unbound.principal.session(session_id)
        address = Address(envelope.endpoint, envelope.connection_id)
        before, session, token, history = self._resume.move_session(
            ref,
            message.resume_token or "",
            address,
            envelope.opened_at_ms,
            envelope.received_at_ms,
            unbound,
            lambda: self._bind(envelope, ref),
            message.tools,
        )
        self._binding.remember(envelope.connection_id, session.ref)
        ready = self._make_ready(session, token, resumed=True)
        ready.history = fit_history(history)
        self._arrivals.send(envelope, ready)  # before any event of a turn
        self._resume.send_missed(before, session, message.received)
        is_due = session.woken_at_ms != before.woken_at_ms
        if not self._greet(session, envelope) and is_due:
            self._wake_turn(session)

    def _wake_turn(self, session: Session) -> None:
        """Have the turn function be warm for what the user says next."""
        self._wake(WakeRequest(session.ref, session.connection_id, session.endpoint))

    def _greet(self, session: Session, envelope: Envelope, *, is_new: bool = False) -> bool:
        """Have the agent greet a client, once in a session, and before anything else is said.

        What the backend wants said comes instead of it.

        Returns:
            Whether a turn was started for it, which is as good as a wake.
        """
        if self._agent_turns.say_pending(session, envelope.received_at_ms):
            return True
        if session.active_turn in (None, GREETING_TURN):
            greeting = self._agents.find_agent(session).greeting
            at_ms = envelope.received_at_ms
            return self._agent_turns.greet(session, greeting, at_ms, is_new=is_new)
        return False

    def _make_ready(self, session: Session, token: str, *, resumed: bool) -> Ready:
        agent = self._agents.find_name(session)
        return Ready(
            session_id=session.session_id,
            resume_token=token,
            resumed=resumed,
            settings=self._settings_of(session),
            limits=Limits(max_message_bytes=self._arrivals.max_message_bytes),
            protocol=1,
            choices=self._agents.list_choices(session),
            stand_ins=self._stand_ins,
            agent=agent or UNSET,
            silence=self._silence.rules or UNSET,
        )

    def _settings_of(self, session: Session) -> Settings:
        policy = self._agents.policy_of(session)
        return policy.merge_settings(session.settings, session.signed, session.heard_language)

    def _count_session(self, principal: Principal) -> None:
        if self._requests is not None:
            self._requests.count_request(principal, "sessions")

    def _bind(self, envelope: Envelope, ref: SessionRef) -> None:
        self._binding.bind(envelope.connection_id, ref, envelope.message_id)

    # --- turns --------------------------------------------------------------------

    def _start_any_turn(self, request: TurnRequest) -> None:
        self._start_turn(request)

    def _recover_turn(self, ping: Ping, turn_id: str, envelope: Envelope) -> None:
        """Help a client that has waited long for an attempt at a turn, or heard of a request that
        failed.

        Send what is stored of it. Otherwise end it if nobody runs it, or report again that it has
        failed.
        """
        ref = self._arrivals.find_session(envelope)
        turn, session = self._turns.get_turn(ref, turn_id), self._sessions.get_session(ref)
        if session is None:
            return
        begun = turn is not None and turn.attempt.number >= ping.attempt
        if ping.request_id is not None and not begun:
            return  # what failed may be another message, and this attempt about to begin
        if turn is not None and not turn.running:
            started_ms = turn.attempt.started_ms
            if self._resume.replay_turn(session, turn_id, started_ms, ping.attempt) != 0:
                return  # also if the limit forbids to read: stored events must not become void
        is_dead = turn is not None and ping.request_id is not None and turn.owner == ping.request_id
        owner = ping.request_id if is_dead else None
        if self._recovery.end_dead_turn(ref, turn_id, owner, ping.attempt):
            self._restart_agent_turn(session, turn_id, envelope)
        elif turn is not None and turn.state == "failed":
            self._recovery.report_failed_turn(ref, turn_id, turn.attempt)
            self._restart_agent_turn(session, turn_id, envelope)

    def _restart_agent_turn(self, session: Session, turn_id: str, envelope: Envelope) -> None:
        """Start a turn again that the agent had begun: its client cannot."""
        if turn_id.startswith(AGENT_TURN):
            self._greet(session, envelope)
