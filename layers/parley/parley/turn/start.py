"""The beginning of a turn: claim it, read its session, and refuse what cannot be run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from parley.aws.management_api import Address
from parley.clock import now_ms
from parley.errors import ParleyError, internal_error
from parley.limits.turn_quota import Admission
from parley.protocol.messages import Metrics, TurnEndReason, encode
from parley.protocol.turn_request import TurnRequest
from parley.sessions.store_and_forward import StoreAndForward, stored_frames
from parley.storage.inbox_entries import InterruptEntry
from parley.storage.item_codec import TurnClaim
from parley.turn.context import Services
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
    services: Services,
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
        owner: names this invocation in the claim.
        remaining_s: how much of the invocation's time is left.
        cold: whether the environment is fresh.
        admission: of a turn that has been counted already; None counts it now.
    """
    try:
        return await _run(
            request,
            services,
            post,
            owner,
            remaining_s=remaining_s,
            cold=cold,
            admitted=admission,
        )
    finally:
        await _leave_nothing_erased(request, services)


async def _leave_nothing_erased(request: TurnRequest, services: Services) -> None:
    """The session may have been erased while the turn ran: what it has written since goes too.

    Looked for after the last write, so that either this finds the session erased, or whoever
    erases it finds what was written.
    """
    ref = request.session
    try:
        if await asyncio.to_thread(services.store.is_there, ref):
            return
        await asyncio.to_thread(services.store.sweep, ref)
        if services.recordings is not None:
            await asyncio.to_thread(services.recordings.delete_turn, ref, request.turn_id)
    except Exception as error:
        services.log("not_swept", {"error": type(error).__name__})


async def _run(
    request: TurnRequest,
    services: Services,
    post: Post,
    owner: str,
    *,
    remaining_s: Callable[[], float],
    cold: bool,
    admitted: Admission | None,
) -> Outcome | None:
    if not request.connected:
        post = _nowhere
    timings = TurnLatency()
    if request.complete:
        timings.mark("received", monotonic_at(request.received_at_ms))
        timings.mark("started", time.monotonic())
    claim, read, admission, interruptions = await asyncio.gather(
        asyncio.to_thread(
            services.turns.claim_turn,
            request.session,
            request.turn_id,
            owner,
            attempt=request.attempt,
            received_at_ms=request.received_at_ms,
        ),
        asyncio.to_thread(services.history.read, request.session),
        _admission(request, services, admitted),
        _interruptions(request, services),
        return_exceptions=True,  # none is left running when another fails
    )
    if claim is None:
        if isinstance(admission, Admission):
            await _give_back(admission, services)
        return None
    if isinstance(claim, Exception) and isinstance(admission, Admission):
        await _give_back(admission, services)
    for failed in (claim, read, admission):
        if isinstance(failed, Exception):
            error = internal_error(failed, services.log)
            return await _refuse(request, services, post, owner, error, claim)
    assert not isinstance(claim, BaseException)
    assert not isinstance(read, BaseException)
    assert not isinstance(admission, BaseException)
    session, history = read
    if isinstance(interruptions, BaseException):
        interruptions = []  # the turn reads its inbox itself
    stop = TurnStop()
    for each in interruptions:
        if each.stops(claim.attempt, request.received_at_ms):
            stop.request(StopReason.INTERRUPTED, each)
    passed = session is not None and session.has_passed(request.turn_id, request.received_at_ms)
    if passed:
        stop.request(StopReason.OVERTAKEN)
    if admission.refused is not None:
        # Who has stopped it does not want to hear that it was one too many.
        refused = None if stop.reason is not None else admission.refused
        return await _refuse(request, services, post, owner, refused, claim)
    if session is None or (session.is_over(time.time()) and not passed):
        over = ParleyError(
            "session_not_found", "This session is over. Open a new connection and send init."
        )
        return await _refuse(request, services, post, owner, over, claim)
    turn = Turn(
        request,
        claim,
        owner,
        session,
        history,
        services,
        post,
        remaining_s=remaining_s,
        cold=cold,
        timings=timings,
        stop=stop,
    )
    return await turn.run()


async def _nowhere(_address: Address, _frame: bytes) -> None:
    """For a turn that is one answer: its outbox keeps all of it."""


async def _interruptions(request: TurnRequest, services: Services) -> list[InterruptEntry]:
    """Return the interruptions that came before a turn.

    Not looked for where a turn over a connection begins at once: nobody is so quick, and a read
    would be on the way to every first sound. Should somebody be, the turn's own first look at its
    inbox finds it. A turn over HTTP may be interrupted before it is asked for, and has no first
    sound to hurry for.
    """
    is_prompt = now_ms() - request.received_at_ms < PROMPT_MS
    if request.connected and is_prompt and (request.attempt or 1) == 1:
        return []
    inboxes = services.turns.inboxes
    return await asyncio.to_thread(inboxes.interruptions, request.session, request.turn_id)


async def _admission(
    request: TurnRequest, services: Services, admitted: Admission | None
) -> Admission:
    if admitted is not None:
        return admitted
    if services.meter is None:
        return Admission()
    return await services.meter.admit(request.session, spoken=request.spoken)


async def _give_back(admission: Admission, services: Services) -> None:
    """The turn does not begin here: another delivery of it runs and is charged for it, or
    claiming it failed."""
    if services.meter is None:
        return
    try:
        await services.meter.give_back(admission)
    except Exception as error:
        services.log("not_given_back", {"error": type(error).__name__})


async def _refuse(
    request: TurnRequest,
    services: Services,
    post: Post,
    owner: str,
    error: ParleyError | None,
    claimed: TurnClaim | BaseException,
) -> Outcome:
    """End a turn that never began.

    Args:
        error: why; None for one that the user has stopped.
        claimed: the attempt; what went wrong if it could not be claimed.
    """
    ref, turn_id = request.session, request.turn_id
    attempt = claimed.attempt if isinstance(claimed, TurnClaim) else request.attempt or 1
    reason: TurnEndReason = "interrupted" if error is None else "failed"
    ended: TurnClaim | None = None
    with contextlib.suppress(Exception):  # a table that fails is perhaps why it is refused
        if error is not None:
            ended = await asyncio.to_thread(services.turns.fail_turn, ref, turn_id, owner, attempt)
        elif await asyncio.to_thread(
            services.turns.finish_turn, ref, turn_id, owner, reason=reason
        ) and isinstance(claimed, TurnClaim):
            ended = claimed
    outbox = Outbox(turn_id, services.deployment.reply_format, attempt)
    metrics = Metrics()
    if error is not None:
        outbox.error(error)
    outbox.end(reason, "", metrics, "" if error is None else None, error)
    while outbox.next(time.monotonic(), everything=True) is not None:
        pass  # numbered now; `after` has it
    events = outbox.after(0)
    if not request.connected:
        return Outcome(reason, metrics, error, delivered=False, events=events)
    try:
        await _tell(request, services, post, ended, events)
    except Exception as trouble:
        services.log("refusal_not_told", {"error": type(trouble).__name__})
    return Outcome(reason, metrics, error, delivered=False)


async def _tell(
    request: TurnRequest,
    services: Services,
    post: Post,
    claim: TurnClaim | None,
    events: Sequence[Numbered],
) -> None:
    """Tell the client that its turn is refused, wherever it is, or when it returns.

    Args:
        claim: the attempt that has been ended so; None if somebody else may run it.
    """
    loop = asyncio.get_running_loop()

    async def post_to(endpoint: str, connection_id: str, frame: bytes) -> None:
        await post(Address(endpoint, connection_id), frame)

    def post_from_thread(endpoint: str, connection_id: str, frame: bytes) -> None:
        posted = post_to(endpoint, connection_id, frame)
        asyncio.run_coroutine_threadsafe(posted, loop).result()

    forward = StoreAndForward(services.store, services.turns, post_from_thread)
    await asyncio.to_thread(
        forward.post_or_store,
        request.session,
        [encode(event) for event in events],
        stored_frames(request.turn_id, claim, events) if claim is not None else [],
        Address(request.endpoint, request.connection_id),
    )
