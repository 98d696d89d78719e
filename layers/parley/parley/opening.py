"""The beginning of a turn: claim it, read its session, and refuse what cannot be run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from parley.connections import Address
from parley.ending import Outcome
from parley.errors import ConnectionGone, ParleyError, internal_error
from parley.invocation import TurnRequest
from parley.items import Claim
from parley.limits.usage import Admission
from parley.outbox import Outbox
from parley.posting import Post
from parley.protocol import Metrics, encode
from parley.services import Services
from parley.timings import Timings, monotonic_at
from parley.turn import Turn


async def run_turn(
    request: TurnRequest,
    services: Services,
    post: Post,
    owner: str,
    *,
    remaining_s: Callable[[], float],
    cold: bool,
) -> Outcome | None:
    """Run a turn to its end; None if it is not, or no longer, this invocation's to run.

    Args:
        post: sends a frame to a connection.
        owner: names this invocation in the claim.
        remaining_s: how much of the invocation's time is left.
        cold: whether the environment is fresh.
    """
    try:
        return await _run(request, services, post, owner, remaining_s=remaining_s, cold=cold)
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
) -> Outcome | None:
    if not request.connected:
        post = _nowhere
    timings = Timings()
    if request.complete:
        timings.mark("received", monotonic_at(request.received_at_ms))
        timings.mark("started", time.monotonic())
    claim, read, admission = await asyncio.gather(
        asyncio.to_thread(
            services.turns.claim_turn,
            request.session,
            request.turn_id,
            owner,
            attempt=request.attempt,
            received_at_ms=request.received_at_ms,
        ),
        asyncio.to_thread(services.history.read, request.session),
        _admission(request, services),
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
            return await _refuse(request, services, post, owner, error, _attempt(request, claim))
    assert not isinstance(claim, BaseException)
    assert not isinstance(read, BaseException)
    assert not isinstance(admission, BaseException)
    if admission.refused is not None:
        return await _refuse(request, services, post, owner, admission.refused, claim.attempt)
    session, history = read
    if session is None or session.is_over(time.time()):
        over = ParleyError(
            "session_not_found", "This session is over. Open a new connection and send init."
        )
        return await _refuse(request, services, post, owner, over, claim.attempt)
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
    )
    return await turn.run()


async def _nowhere(_address: Address, _frame: bytes) -> None:
    """For a turn that is one answer: its outbox keeps all of it."""


async def _admission(request: TurnRequest, services: Services) -> Admission:
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


def _attempt(request: TurnRequest, claim: Claim | BaseException) -> int:
    """Which attempt is refused: the one that was claimed, or was to be."""
    return claim.attempt if isinstance(claim, Claim) else request.attempt or 1


async def _refuse(
    request: TurnRequest,
    services: Services,
    post: Post,
    owner: str,
    error: ParleyError,
    attempt: int,
) -> Outcome:
    """End a turn that never began, where it was asked for."""
    with contextlib.suppress(Exception):  # a table that fails is perhaps why it is refused
        await asyncio.to_thread(
            services.turns.fail_turn,
            request.session,
            request.turn_id,
            owner,
            attempt,
        )
    outbox = Outbox(request.turn_id, services.deployment.reply_format, attempt)
    metrics = Metrics()
    outbox.error(error)
    outbox.end("failed", "", metrics, error=error)
    address = Address(request.endpoint, request.connection_id)
    with contextlib.suppress(ConnectionGone):
        while (event := outbox.next(time.monotonic(), everything=True)) is not None:
            await post(address, encode(event))
    events = () if request.connected else outbox.after(0)
    return Outcome("failed", metrics, error, delivered=False, events=events)
