"""The beginning of a turn: acquire its lease, read its session, and refuse what cannot be run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from parley.aws.management_api import Address
from parley.clock import now_ms
from parley.errors import ConfigurationError, MayHaveActed, ParleyError, internal_error
from parley.limits.turn_quota import Admission
from parley.protocol.messages import Metrics, TurnEndReason, encode
from parley.protocol.turn_request import TurnRequest
from parley.sessions.store_and_forward import StoreAndForward, stored_frames
from parley.sessions.sweep import sweep_if_erased
from parley.storage.history import History
from parley.storage.inbox_entries import InterruptEntry
from parley.storage.item_codec import Session, TurnAttempt
from parley.turn.context import Invocation, TurnServices
from parley.turn.finish import Outcome
from parley.turn.output.latency import TurnLatency, monotonic_at
from parley.turn.output.outbox import Numbered, Outbox
from parley.turn.output.sender import Post
from parley.turn.stop import StopReason, TurnStop
from parley.turn.turn import Turn

PROMPT_MS = 150
"""A turn that begins so soon after it was asked for begins at once."""


async def run_turn(
    request: TurnRequest,
    services: TurnServices,
    post: Post,
    owner: str,
    *,
    remaining_s: Callable[[], float],
    cold: bool,
    admission: Admission | None = None,
) -> Outcome | None:
    """Run a turn to its end; None if it is not, or no longer, this invocation's to run.

    Args:
        post: sends a frame to a connection.
        owner: names this invocation in the turn's lease.
        remaining_s: returns how much of the invocation's time is left.
        cold: whether the environment is fresh.
        admission: of a turn that has been counted already; None counts it now.
    """
    services.table_calls.begin()
    invocation = Invocation(owner, post if request.connected else _drop, remaining_s, cold)
    start = TurnStart(request, services, invocation)
    try:
        return await start.run(admission)
    finally:
        await start.sweep_erased_session()


async def _drop(_address: Address, _frame: bytes) -> None:
    """Post a frame of a turn that is one answer nowhere: its outbox keeps all of it."""


class TurnStart:
    """Begin a turn, or refuse it."""

    def __init__(
        self, request: TurnRequest, services: TurnServices, invocation: Invocation
    ) -> None:
        self._request = request
        self._services = services
        self._invocation = invocation

    async def run(self, admitted: Admission | None) -> Outcome | None:
        """Run the turn to its end; None if it is not this invocation's to run.

        Args:
            admitted: of a turn that has been counted already; None counts it now.
        """
        request, services = self._request, self._services
        latency = TurnLatency()
        if request.complete:  # of other spoken turns the clock starts with the end of the utterance
            latency.mark("received", monotonic_at(request.received_at_ms))
            latency.mark("started", time.monotonic())
        attempt, read, admission, interruptions, _ = await asyncio.gather(
            asyncio.to_thread(
                services.turns.acquire_lease,
                request.session,
                request.turn_id,
                self._invocation.owner,
                attempt=request.attempt,
                received_at_ms=request.received_at_ms,
            ),
            asyncio.to_thread(services.history.read, request.session),
            self._admit(admitted),
            self._read_interruptions(),
            services.toolbox.prepare(),
            return_exceptions=True,  # none is left running when another fails
        )
        if not isinstance(attempt, TurnAttempt) and isinstance(admission, Admission):
            # Another delivery of the turn runs and is charged for it, or the table has failed.
            await self._give_back(admission)
        if attempt is None:
            return None
        for failed in (attempt, read, admission):
            if isinstance(failed, Exception):
                return await self._refuse(internal_error(failed, services.log), attempt)
        assert not isinstance(attempt, BaseException)
        assert not isinstance(read, BaseException)
        assert not isinstance(admission, BaseException)
        session, history = read
        if isinstance(interruptions, BaseException):
            interruptions = []  # the turn reads its inbox itself
        return await self._run_attempt(attempt, session, history, admission, interruptions, latency)

    async def _run_attempt(
        self,
        attempt: TurnAttempt,
        session: Session | None,
        history: History,
        admission: Admission,
        interruptions: list[InterruptEntry],
        latency: TurnLatency,
    ) -> Outcome | None:
        request, stop = self._request, TurnStop()
        for each in interruptions:
            if each.stops(attempt.number, request.received_at_ms):
                stop.request(StopReason.INTERRUPTED, each)
        passed = session is not None and session.has_passed(request.turn_id, request.received_at_ms)
        if passed:
            stop.request(StopReason.OVERTAKEN)
        if admission.refused is not None:
            # Who has stopped it does not want to hear that it was one too many.
            refused = None if stop.reason is not None else admission.refused
            return await self._refuse(refused, attempt)
        # A session that the user has ended since still gets the end of its last turn.
        if session is None or (session.is_over(time.time()) and not passed):
            over = ParleyError(
                "session_not_found", "This session is over. Open a new connection and send init."
            )
            return await self._refuse(over, attempt)
        if stop.reason is None and self._may_act_again(attempt):
            return await self._refuse(MayHaveActed(), attempt)
        try:
            agent = self._services.agents.find_agent(session)
        except ConfigurationError as wrong:
            return await self._refuse(internal_error(wrong, self._services.log), attempt)
        turn = Turn(
            request,
            attempt,
            session,
            agent,
            history,
            self._services,
            self._invocation,
            latency,
            stop,
        )
        return await turn.run()

    def _may_act_again(self, attempt: TurnAttempt) -> bool:
        """Return whether a responder that is not repeatable may have acted in an earlier attempt,
        and nobody has asked for another one.

        A client that lost its connection sends what has not ended once more, and names no attempt:
        it does not know that the turn has failed.
        """
        if (
            attempt.number == 1
            or self._request.attempt is not None
            or self._request.say is not None
        ):
            return False
        return not all(each.rules.repeatable for each in self._services.responders())

    async def sweep_erased_session(self) -> None:
        """Delete what the turn has written into a session that was erased while it ran.

        Call it after the last write. Then either it finds the session erased, or the erasure finds
        what was written.
        """
        ref, services = self._request.session, self._services
        try:
            if not await asyncio.to_thread(sweep_if_erased, services.sessions, ref):
                return
            if services.recordings is not None:
                turn_id = self._request.turn_id
                await asyncio.to_thread(services.recordings.delete_turn, ref, turn_id)
        except Exception as error:
            services.log("not_swept", {"error": type(error).__name__})

    async def _read_interruptions(self) -> list[InterruptEntry]:
        """Return the interruptions that came before the turn.

        Not looked for where a turn over a connection begins at once: nobody is so quick, and a
        read would be on the way to every first sound. Should somebody be, the turn's own first
        look at its inbox finds it. A turn over HTTP may be interrupted before it is asked for, and
        has no first sound to hurry for.
        """
        request, inboxes = self._request, self._services.turns.inboxes
        is_prompt = now_ms() - request.received_at_ms < PROMPT_MS
        if request.connected and is_prompt and (request.attempt or 1) == 1:
            return []
        return await asyncio.to_thread(inboxes.list_interruptions, request.session, request.turn_id)

    async def _admit(self, admitted: Admission | None) -> Admission:
        meter = self._services.meter
        if admitted is not None:
            return admitted
        if meter is None:
            return Admission()
        return await meter.admit_turn(self._request.session, spoken=self._request.spoken)

    async def _give_back(self, admission: Admission) -> None:
        if self._services.meter is None:
            return
        try:
            await self._services.meter.return_turn(admission)
        except Exception as error:
            self._services.log("not_given_back", {"error": type(error).__name__})

    # --- refusals -------------------------------------------------------------------

    async def _refuse(
        self, error: ParleyError | None, begun: TurnAttempt | BaseException
    ) -> Outcome:
        """End a turn that never began.

        Args:
            error: why; None for one that the user has stopped.
            begun: the attempt; what went wrong if its lease could not be acquired.
        """
        request, services = self._request, self._services
        number = begun.number if isinstance(begun, TurnAttempt) else request.attempt or 1
        reason: TurnEndReason = "interrupted" if error is None else "failed"
        ended: TurnAttempt | None = None
        with contextlib.suppress(Exception):  # a table that fails is perhaps why it is refused
            ended = await self._end_in_table(error, begun, number)
        outbox = Outbox(request.turn_id, services.deployment.reply_format, number)
        metrics = Metrics()
        if error is not None:
            outbox.add_error(error)
        # Of a turn that was stopped nothing was heard; of one that failed that is not asked.
        heard = "" if error is None else None
        outbox.add_end(reason, "", metrics, heard, error)
        outbox.number_all(time.monotonic())
        events = outbox.unacknowledged(0)
        if not request.connected:
            return Outcome(reason, metrics, error, delivered=False, events=events)
        try:
            await self._tell_refused(ended, events)
        except Exception as trouble:
            services.log("refusal_not_told", {"error": type(trouble).__name__})
        return Outcome(reason, metrics, error, delivered=False)

    async def _end_in_table(
        self, error: ParleyError | None, begun: TurnAttempt | BaseException, number: int
    ) -> TurnAttempt | None:
        """Note that the attempt has ended; return it, or None if somebody else may run it."""
        turns, owner = self._services.turns, self._invocation.owner
        ref, turn_id = self._request.session, self._request.turn_id
        if error is not None:
            return await asyncio.to_thread(turns.fail_turn, ref, turn_id, owner, number)
        finished = await asyncio.to_thread(
            turns.finish_turn, ref, turn_id, owner, reason="interrupted"
        )
        return begun if finished and isinstance(begun, TurnAttempt) else None

    async def _tell_refused(self, ended: TurnAttempt | None, events: Sequence[Numbered]) -> None:
        """Tell the client that its turn is refused, wherever it is, or when it returns.

        Args:
            ended: the attempt that has been ended so; None if somebody else may run it.
        """
        # What posts or stores blocks, as the message function needs it: it runs in a thread here,
        # and leaves the posts to the loop.
        loop = asyncio.get_running_loop()

        async def post(endpoint: str, connection_id: str, frame: bytes) -> None:
            await self._invocation.post(Address(endpoint, connection_id), frame)

        def post_from_thread(endpoint: str, connection_id: str, frame: bytes) -> None:
            posted = post(endpoint, connection_id, frame)
            asyncio.run_coroutine_threadsafe(posted, loop).result()

        request, services = self._request, self._services
        forward = StoreAndForward(services.sessions, services.turns, post_from_thread)
        await asyncio.to_thread(
            forward.post_or_store,
            request.session,
            [encode(event) for event in events],
            stored_frames(request.turn_id, ended, events) if ended is not None else [],
            Address(request.endpoint, request.connection_id),
        )
