"""What is checked of every client message where it arrives, before anything is done for it.

Two functions receive messages: the turn function those that begin a turn, the message function all
others. Both check size, rate, form, and whose the message is. So this imports nothing that only one
of them needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from parley.aws.management_api import endpoint_url
from parley.errors import BadMessage, ConnectionGone, ParleyError, PostRefused
from parley.ids import ulid_ms
from parley.limits.connection_lease import INIT_WITHIN_S
from parley.limits.errors import too_many_messages
from parley.limits.message_rates import CallName, MessageRates, TooFast
from parley.limits.rules import LimitRules
from parley.principal import SessionRef, parse_session_id
from parley.protocol.decoder import Decoder
from parley.protocol.messages import (
    MAX_MESSAGE_BYTES,
    AudioStart,
    ClientMessage,
    Config,
    Context,
    Error,
    ServerEvent,
    Silence,
    UserMessage,
    encode,
)
from parley.protocol.turn_request import TurnRequest, check_turn_id
from parley.sessions.settings_policy import SettingsPolicy
from parley.storage.sessions import SessionStore
from parley.websocket.session_binding import SessionBinding
from parley.websocket.session_end import Log, SessionEnd, log_nothing

WANTS_MORE = (UserMessage, AudioStart, Config, Context, Silence)
"""What a session that has lasted too long does no more. The rest belongs to turns that run."""


class ConnectionsApi(Protocol):
    """API Gateway's `@connections`; see `parley.aws.management_api.ManagementApi`."""

    def post(self, endpoint: str, connection_id: str, frame: bytes) -> None:
        """Send one text frame; raise `ConnectionGone` if the connection is closed."""

    def close(self, endpoint: str, connection_id: str) -> None:
        """Close a connection, if it is open."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Where a message came from.

    Attributes:
        endpoint: base URL of the `@connections` API.
        received_at_ms: when API Gateway received it, in ms since the epoch.
        message_id: API Gateway's id; the same if it delivers a message twice.
        connected_at_ms: API Gateway's `connectedAt`, in ms since the epoch; None for now.
    """

    connection_id: str
    endpoint: str
    received_at_ms: int
    message_id: str = ""
    connected_at_ms: int | None = None

    @classmethod
    def of(cls, context: Mapping[str, Any], custom_domain: str) -> Envelope:
        """Return the envelope of an event.

        Args:
            context: the event's `requestContext`.
            custom_domain: the API's own domain name, if it has one.
        """
        return cls(
            connection_id=context["connectionId"],
            endpoint=endpoint_url(context["domainName"], context["stage"], custom_domain),
            received_at_ms=context["requestTimeEpoch"],
            message_id=context.get("messageId", ""),
            connected_at_ms=context["connectedAt"],
        )

    @property
    def opened_at_ms(self) -> int:
        """Return when the connection was opened, in ms since the epoch."""
        return self.received_at_ms if self.connected_at_ms is None else self.connected_at_ms

    @property
    def age_s(self) -> float:
        """Return how long the connection had been open, in s."""
        return (self.received_at_ms - self.opened_at_ms) / 1000


Answer = Callable[[ClientMessage, Envelope], ServerEvent | None]
"""Does what a message asks for, and returns the event that answers it."""


class Arrivals:
    """Checks the messages of many connections.

    Args:
        management_api: posts to connections and closes them.
        policy: which settings hold, and what clients may choose.
        limits: how large and how frequent messages may be.
        max_session_s: how long a session may last; 0 for no limit.
        log: told of sessions that end, and of trouble; takes an event name and fields.

    Attributes:
        binding: which session each connection has.
        session_end: ends sessions.
        max_message_bytes: the longest message.
    """

    def __init__(
        self,
        sessions: SessionStore,
        management_api: ConnectionsApi,
        *,
        policy: SettingsPolicy,
        limits: LimitRules,
        max_session_s: int = 0,
        log: Log = log_nothing,
    ) -> None:
        self.binding = SessionBinding(sessions)
        self.max_message_bytes = limits.message_bytes or MAX_MESSAGE_BYTES
        self.session_end = SessionEnd(sessions, log)
        self._management_api = management_api
        self._policy = policy
        self._max_session_s = max_session_s
        self._decoder = Decoder(self.max_message_bytes)
        self._rates = MessageRates(limits)

    def handle(self, envelope: Envelope, body: str, answer: Answer) -> ParleyError | None:
        """Have one message answered; return the error that was sent to the client, if one was."""
        too_fast = self._rates.count_message(
            envelope.connection_id, len(body), time.monotonic() * 1000
        )
        if too_fast is not None:
            return self._drop_message(envelope, body, too_fast)
        if envelope.age_s > INIT_WITHIN_S and self.binding.is_uninitialised(envelope.connection_id):
            return self._close_uninitialised(envelope)
        error: ParleyError | None = None
        event: ServerEvent | None
        try:
            event = self._process(self._decoder.decode(body), envelope, answer)
        except ParleyError as problem:
            error, event = problem, Error.from_error(problem)
        if event is not None:
            self.send(envelope, event)
        return error

    def take_turn(self, envelope: Envelope, body: str) -> TurnRequest | ParleyError | None:
        """Take a message that begins a turn.

        Returns:
            The request for the turn. The error that the client was sent if there is none; None if
            the client was told before, or told something else.
        """
        asked: list[TurnRequest] = []

        def request(message: ClientMessage, envelope: Envelope) -> None:
            if not isinstance(message, UserMessage | AudioStart):
                # API Gateway has read another `type` than the decoder: not one client does that.
                raise BadMessage(
                    "bad_request",
                    "type: expected user_message or audio_start, by which API Gateway has routed "
                    f"the message; got {message.__struct_config__.tag}.",
                    field="type",
                )
            if (turn := self.request_turn(message, envelope)) is not None:
                asked.append(turn)

        refused = self.handle(envelope, body, request)
        return asked[0] if asked else refused

    def request_turn(
        self, message: UserMessage | AudioStart, envelope: Envelope
    ) -> TurnRequest | None:
        """Return the request for the turn that a message begins.

        Returns:
            None if the connection asks for too many turns, and has been told.

        Raises:
            ParleyError: no such turn can be had, or the connection asks for too many.
        """
        kind = str(message.__struct_config__.tag)
        if isinstance(message, AudioStart):
            self._policy.check_endpointing(
                message.endpointing, "audio_start.endpointing", message.turn_id
            )
        check_turn_id(message.turn_id, f"{kind}.turn_id")
        request = TurnRequest(
            session=self.find_session(envelope),
            turn_id=message.turn_id,
            connection_id=envelope.connection_id,
            endpoint=envelope.endpoint,
            received_at_ms=envelope.received_at_ms,
            attempt=message.attempt,
        )
        # Counted in memory: to refuse a turn by the table costs calls as well.
        too_fast = self.count_call("turns_per_minute", envelope.connection_id)
        if too_fast is not None:
            if too_fast.tell:
                raise too_many_messages(too_fast, kind, message.turn_id)
            return None
        if isinstance(message, UserMessage):
            return msgspec.structs.replace(request, text=message.text)
        return msgspec.structs.replace(
            request,
            format=message.format,
            endpointing=message.endpointing,
            pauses=message.pauses,
        )

    def find_session(self, envelope: Envelope) -> SessionRef:
        """Find the session of a message; raise `BadMessage` if its connection has none."""
        return self.binding.find_session(envelope.connection_id)

    def count_call(self, name: CallName, connection_id: str) -> TooFast | None:
        """Count a message that costs calls; return None if it is within its rate."""
        return self._rates.count_call(name, connection_id, time.monotonic() * 1000)

    def report_fault(self, envelope: Envelope, body: str) -> None:
        """Tell the client that its message failed by our fault, and which turn did not begin."""
        field, turn_id = self._read_type_and_turn(body)
        error = ParleyError(
            "internal",
            "Something went wrong on our side. Send the message again.",
            retryable=True,
            field=field,
            turn_id=turn_id,
        )
        self.send(envelope, Error.from_error(error))

    def send(self, envelope: Envelope, event: ServerEvent) -> None:
        """Send an event to where a message came from. A client that has left gets none."""
        try:
            self._management_api.post(envelope.endpoint, envelope.connection_id, encode(event))
        except PostRefused:
            raise  # a permission is missing, or API Gateway fails: the log must say so
        except ConnectionGone:
            return

    def _drop_message(self, envelope: Envelope, body: str, too_fast: TooFast) -> ParleyError | None:
        """Drop a message; report the first of many, and close a connection that does not stop."""
        if too_fast.close:
            self._management_api.close(envelope.endpoint, envelope.connection_id)
        if not too_fast.tell:
            return None
        error = too_many_messages(too_fast, *self._read_type_and_turn(body))
        if not too_fast.close:
            self.send(envelope, Error.from_error(error))
        return error

    def _close_uninitialised(self, envelope: Envelope) -> ParleyError:
        """Close a connection that sent no `init` in time: another may have its slot by now."""
        error = BadMessage(
            "not_initialised",
            f"init: expected within {INIT_WITHIN_S} seconds of connecting. This connection is "
            "closed; open another one.",
            field="init",
            retryable=True,
        )
        self.send(envelope, Error.from_error(error))
        self._management_api.close(envelope.endpoint, envelope.connection_id)
        return error

    def _read_type_and_turn(self, body: str) -> tuple[str | None, str | None]:
        """Return the type of a message, and the id of the turn that it asks for, if any."""
        try:
            message = self._decoder.decode(body)
        except ParleyError:
            return None, None
        turn_id = message.turn_id if isinstance(message, (UserMessage, AudioStart)) else None
        return str(message.__struct_config__.tag), turn_id

    def _process(
        self, message: ClientMessage, envelope: Envelope, answer: Answer
    ) -> ServerEvent | None:
        try:
            if isinstance(message, WANTS_MORE) and self._is_too_long(envelope):
                return self._end_too_long(envelope)
            return answer(message, envelope)
        finally:
            if not isinstance(message, UserMessage | AudioStart):  # a turn checks that itself
                self.binding.check_not_erased(envelope.connection_id)

    def _is_too_long(self, envelope: Envelope) -> bool:
        """Return whether a connection's session has lasted as long as it may."""
        if not self._max_session_s:
            return False
        opened_ms = ulid_ms(parse_session_id(self.find_session(envelope)))
        ends_ms = envelope.received_at_ms - 1000 * self._max_session_s
        return opened_ms is not None and opened_ms <= ends_ms

    def _end_too_long(self, envelope: Envelope) -> ServerEvent:
        """End a session that has lasted too long. A reply that is being spoken goes on."""
        ref = self.find_session(envelope)
        return self.session_end.end(ref, envelope.received_at_ms, "too_long")[1]
