"""Runs the calls of one turn: each within its time, its result kept, and the client told of it.

A call that acts goes on when its turn is stopped, and its result is kept. A read does not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from parley.principal import parse_session_id
from parley.protocol.messages import Custom, ToolState, ToolUpdate, encode
from parley.protocol.tool_rounds import CallResult, ToolRound, call_key
from parley.providers.llm import Speaker
from parley.storage.rounds import RoundStore
from parley.tools.results import result_of, result_of_failure
from parley.tools.sentences import INTERRUPTED, NO_TIME, NOT_RUN
from parley.tools.tool import Answer, Invocation, ToolFailed, ToolSpec
from parley.tools.toolbox import BUILT_IN, CLIENT, Toolbox
from parley.turn.context import TurnContext
from parley.turn.language import TurnLanguage
from parley.turn.tools.built_in import BuiltInTools
from parley.turn.tools.client_calls import ClientCalls

T = TypeVar("T")

MAX_AT_ONCE = 4
"""How many calls of a round run at once."""
CALL_MARGIN_S = 4.0
"""What is kept of the function's time when a call begins: its result has to be kept and told."""
MAX_EVENT_BYTES = 262_144
"""Of a turn's custom events: with its speech they are one answer over HTTP, of 6 MB."""
LEAST_CALL_S = 0.5
"""A call that has less time does not begin: nobody would know whether it acted."""
OVERTIME_S = 0.2
"""How much longer than it may a call takes at most. What runs it ends it in time, and knows better
why, and whether it has acted."""


class CallRunner:
    """Runs calls of one turn.

    Attributes:
        unknown: of how many calls nobody knows whether they acted.
    """

    def __init__(
        self,
        turn: TurnContext,
        toolbox: Toolbox,
        store: RoundStore,
        language: TurnLanguage,
        built_in: BuiltInTools,
    ) -> None:
        self._turn = turn
        self._toolbox = toolbox
        self._store = store
        self._language = language
        self._built_in = built_in
        self._clients = ClientCalls(turn)
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._acting: set[asyncio.Task[Any]] = set()
        self._over = False
        self._event_bytes = 0
        self._speaker = Speaker()
        self._metadata: Mapping[str, Any] = {}
        self.unknown = 0

    def begin(self, speaker: Speaker, metadata: Mapping[str, Any]) -> None:
        """Note who speaks, and what the backend says of the session, before anything is called."""
        self._speaker, self._metadata = speaker, metadata

    async def run(
        self, recorded: ToolRound, index: int, spec: ToolSpec, arguments: Mapping[str, Any]
    ) -> CallResult:
        """Run a call and keep its result; return the result that counts.

        Raises:
            asyncio.CancelledError: the turn is stopped. A call that acts goes on.
        """
        running = self.act(self._call(recorded, index, spec, arguments))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self.stop()
            if spec.effect == "read":
                running.cancel()
            raise

    def stop(self) -> None:
        """Begin no call any more, and tell the client of none: the turn is over.

        Of an attempt that another one has overtaken, the calls that wait begin all the same: who
        recorded a call is the one to run it.
        """
        self._over = not self._turn.stop.superseded

    def act(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start what may go on beyond the end of the turn."""
        task = asyncio.create_task(work)
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)
        return task

    async def settle(self, timeout_s: float) -> None:
        """Wait for what acts beyond the end of its turn, at most for so long."""
        until_s = time.monotonic() + timeout_s
        while self._acting and (left_s := until_s - time.monotonic()) > 0:
            await asyncio.wait(set(self._acting), timeout=left_s)

    # --- one call ---------------------------------------------------------------------------

    async def _call(
        self, recorded: ToolRound, index: int, spec: ToolSpec, arguments: Mapping[str, Any]
    ) -> CallResult:
        try:
            async with self._slots:
                begun_s, result = time.monotonic(), self._refusal()
                told = result is None
                if result is None:
                    self.tell(recorded, index, spec, "running", arguments)
                    result = await self._invoke(recorded, index, spec, arguments)
        except asyncio.CancelledError:
            self.keep_interrupted(recorded, [index])
            raise
        if spec.effect == "read" and self._turn.attempt.number == 1:
            # The model does not wait for it: an attempt that does not find it reads again.
            self.act(self.keep(recorded, index, result))
        else:
            result = await self.keep(recorded, index, result)
        if told:
            ms = round((time.monotonic() - begun_s) * 1000)
            self.tell(recorded, index, spec, result.outcome, arguments, result, ms)
        self.unknown += result.outcome == "unknown"
        return result

    def _refusal(self) -> CallResult | None:
        """Return the result of a call that must not begin now; None of one that may."""
        if self._turn.stop.interrupted:
            return NOT_RUN
        return NO_TIME if self._over or self._left_s() < LEAST_CALL_S else None

    def _left_s(self) -> float:
        return self._turn.invocation.remaining_s() - CALL_MARGIN_S

    async def _invoke(
        self, recorded: ToolRound, index: int, spec: ToolSpec, arguments: Mapping[str, Any]
    ) -> CallResult:
        timeout_s = min(spec.timeout_s, self._left_s())
        invocation = Invocation(
            key=self._key(recorded, index),
            arguments=arguments,
            timeout_s=timeout_s,
            turn_id=self._turn.request.turn_id,
            attempt=self._turn.attempt.number,
            session=self._speaker.session,
            language=self._language.code,
            metadata=self._metadata,
        )
        if not self._toolbox.circuits.admit(spec.name):
            return result_of_failure(spec, ToolFailed("unavailable", acted=False))
        try:
            async with asyncio.timeout(timeout_s + OVERTIME_S):
                answer = await self._answer(spec, invocation)
        except TimeoutError:
            return self._failure(spec, ToolFailed("timeout", acted=True))
        except ToolFailed as error:
            return self._failure(spec, error)
        except Exception as error:
            log_fields = {"error": type(error).__name__}
            return self._failure(spec, ToolFailed("unavailable", acted=True, log_fields=log_fields))
        self._toolbox.circuits.record_success(spec.name)
        self._send_events(answer)
        return result_of(spec, answer)

    async def _answer(self, spec: ToolSpec, invocation: Invocation) -> Answer:
        if spec.kind == CLIENT:
            return await self._clients.call(spec, invocation)
        if spec.kind == BUILT_IN:
            return await self._built_in.call(spec, invocation)
        return await self._toolbox.runner(spec).call(invocation)

    def _failure(self, spec: ToolSpec, error: ToolFailed) -> CallResult:
        self._toolbox.circuits.record_failure(spec.name, error)
        fields = {"tool": spec.name, "reason": error.reason, "acted": error.acted}
        self._turn.services.log("tool_failed", fields | error.log_fields)
        return result_of_failure(spec, error)

    # --- its result -------------------------------------------------------------------------

    async def keep(self, recorded: ToolRound, index: int, result: CallResult) -> CallResult:
        """Keep a result; return the one that counts. A table that fails costs the record only."""
        turn = self._turn
        try:
            return await asyncio.to_thread(
                self._store.set_result,
                turn.request.session,
                turn.request.turn_id,
                turn.attempt.started_ms,
                recorded.index,
                index,
                result,
            )
        except Exception as error:
            turn.services.log("result_not_kept", {"error": type(error).__name__})
            return result

    def keep_interrupted(self, recorded: ToolRound, indexes: Iterable[int]) -> None:
        """Keep that nobody waited for these reads, if it was the user who did not."""
        # Another attempt runs a read again: it must not find that nobody waited for it.
        if self._turn.stop.interrupted and not self._turn.stop.superseded:
            for index in indexes:
                self.act(self.keep(recorded, index, INTERRUPTED))

    # --- what the client is told ------------------------------------------------------------

    @property
    def _is_silent(self) -> bool:
        """Whether the client is to hear no more of this turn, or its end has been told."""
        return self._over or self._turn.stop.reason is not None

    def _send_events(self, answer: Answer) -> None:
        if self._is_silent:
            return
        for each in answer.events:
            event = Custom(self._turn.request.turn_id, 0, each.name, each.data)
            self._event_bytes += len(encode(event))
            if self._event_bytes > MAX_EVENT_BYTES:
                self._turn.services.log("events_dropped", {"tool_events": len(answer.events)})
                break
            self._turn.outbox.add_event(event)
        self._turn.sender.wake()

    def tell(
        self,
        recorded: ToolRound,
        index: int,
        spec: ToolSpec,
        state: ToolState,
        arguments: Mapping[str, Any],
        result: CallResult | None = None,
        ms: int | None = None,
    ) -> None:
        """Tell the client what a call does, as far as the tool shows it."""
        if self._is_silent:
            return
        update = ToolUpdate(
            self._turn.request.turn_id,
            0,
            self._key(recorded, index),
            spec.name,
            spec.title or spec.name,
            state,
            ms,
        )
        if spec.show != "name" and arguments:
            update.arguments = dict(arguments)
        if spec.show == "all" and result is not None:
            update.result = result.text
        self._turn.outbox.add_event(update)
        self._turn.sender.wake()

    def _key(self, recorded: ToolRound, index: int) -> str:
        request = self._turn.request
        return call_key(parse_session_id(request.session), request.turn_id, recorded.index, index)
