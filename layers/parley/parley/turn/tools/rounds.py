"""The rounds of tool calls of one turn: recorded, run, and settled whatever stops the turn.

A round is recorded before anything of it runs, fenced by the turn's lease. Another attempt at the
turn goes on from what is recorded, and never asks the model for it again. A read is cancelled with
the turn. A call that acts is finished outside of it, and its result is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from parley.aio.tasks import cancel_tasks
from parley.clock import now_ms
from parley.principal import parse_session_id
from parley.protocol.messages import Custom, ToolState, ToolUpdate
from parley.protocol.tool_rounds import CallResult, ToolCalls, ToolRound, call_key
from parley.providers.llm import Prompt, Speaker
from parley.storage.item_codec import Session
from parley.storage.rounds import Recorded, RoundStore
from parley.tools.results import result_of, result_of_failure
from parley.tools.sentences import INTERRUPTED, NOT_RUN, RATE_LIMITED, UNKNOWN
from parley.tools.tool import Answer, Invocation, ToolFailed, ToolSpec
from parley.tools.toolbox import BUILT_IN, CLIENT, Toolbox
from parley.turn.context import TurnContext
from parley.turn.stop import StopReason
from parley.turn.tools.built_in import BuiltInTools
from parley.turn.tools.client_calls import ClientCalls
from parley.turn.tools.plan import MAX_ROUNDS, PlannedCall, fit_request, plan_round
from parley.turn.tools.silence import FILL_AFTER_S, FILL_AGAIN_AFTER_S, AudibleSpeech, Filler

T = TypeVar("T")

MAX_AT_ONCE = 4
"""How many calls of a round run at once."""
POLL_S = 0.2
"""How often the result of a call is looked for that another attempt may still run."""
CALL_MARGIN_S = 4.0
"""What is kept of the function's time when a call begins: its result has to be kept and told."""
GRACE_S = 1.0
"""How much longer than a call may take its result is waited for."""


class ToolRounds:
    """The tools of one turn, and what it has called.

    Args:
        specs: the tools by name.
        session: as it was when the turn began.
        asked_before: the rounds of the turn before.

    Attributes:
        rounds: those that are complete, oldest first.
        called: the names of the tools that were called, in order.
        unknown: of how many calls nobody knows whether they acted.
        fillers: how often something was said to fill a silence.
    """

    def __init__(
        self,
        turn: TurnContext,
        toolbox: Toolbox,
        specs: Mapping[str, ToolSpec],
        store: RoundStore,
        session: Session,
        asked_before: Sequence[ToolRound],
    ) -> None:
        self._turn = turn
        self._toolbox = toolbox
        self._specs = specs
        self._store = store
        self._asked_before = asked_before
        self._clients = ClientCalls(turn)
        self.built_in = BuiltInTools(turn, session)
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._acting: set[asyncio.Task[Any]] = set()
        self._filler: asyncio.Task[None] | None = None
        self._language = ""
        self._speaker = Speaker()
        self._metadata: Mapping[str, Any] = {}
        self._user_text = ""
        self._say: Callable[[str], None] = lambda text: None
        self._over = False
        self.speech = AudibleSpeech()
        self.rounds: list[ToolRound] = []
        self.called: list[str] = []
        self.unknown = 0
        self.fillers = 0

    def prompt(self, prompt: Prompt) -> Prompt:
        """Return the prompt of the next round."""
        return replace(
            prompt,
            tools=[spec.offer for spec in self._specs.values()],
            may_call=len(self.rounds) < MAX_ROUNDS and not self.built_in.ends_session,
            rounds=tuple(self.rounds),
        )

    @property
    def recorded_text(self) -> str | None:
        """What the user had said, of a turn that an earlier attempt has acted on; otherwise
        None."""
        return self.rounds[0].user_text if self.rounds else None

    def begin(
        self,
        user_text: str,
        language: str,
        speaker: Speaker,
        say: Callable[[str], None],
        metadata: Mapping[str, Any],
    ) -> None:
        """Note what the user has said, before the model is asked.

        Args:
            language: ISO 639 code of the language spoken.
            say: says something to fill a silence.
            metadata: what the backend says of the session.
        """
        self._user_text, self._language, self._speaker = user_text, language, speaker
        self._say, self._metadata = say, metadata
        self.speech.note_asked()

    async def load(self) -> None:
        """Read what earlier attempts at the turn have recorded."""
        try:
            self.rounds = await asyncio.to_thread(self._store.read_rounds, *self._where)
        except Exception as error:
            # The model is asked again, but what is recorded stays: that round is followed then.
            self._turn.services.log("rounds_not_read", {"error": type(error).__name__})

    async def complete(self) -> None:
        """See to it that every call of an earlier attempt has a result."""
        loaded, self.rounds = self.rounds, []
        missing = [
            call.name
            for each in loaded
            for call, result in zip(each.request.calls, each.results, strict=True)
            if result is None
        ]
        self._start_filler([self._specs[name] for name in missing if name in self._specs])
        for each in loaded:
            self.rounds.append(await self._complete(each))

    def note_text(self) -> None:
        """Note that there is something to say: nothing needs to fill the silence."""
        if self._filler is not None:
            self._filler.cancel()
            self._filler = None

    async def run(self, request: ToolCalls, text: str) -> bool:
        """Record a round, run its calls, and keep their results.

        Args:
            text: what the model said before it asked for them.

        Returns:
            Whether the model is to be asked again. Not if the turn has been stopped, or another
            attempt has it.

        Raises:
            asyncio.CancelledError: the turn is stopped; what has begun to act goes on.
        """
        begun_s = time.monotonic()
        earlier = sum(len(each.request.calls) for each in self.rounds)
        request = fit_request(request)
        planned: Sequence[PlannedCall] = plan_round(
            request, self._specs, earlier_calls=earlier, asked_before=self._asked_before
        )
        if any(each.spec and each.spec.effect != "read" for each in planned):
            # A reply that the user has already interrupted must not act.
            await self._turn.poller.poll()
        if self._turn.stop.reason is not None:
            return False
        recorded, may_run = await asyncio.gather(
            self._record(request, text, planned), self._count()
        )
        if recorded.round is None:
            self._turn.stop.request(StopReason.SUPERSEDED)
            return False
        if recorded.outcome == "theirs":
            self.rounds.append(await self._complete(recorded.round))
        else:
            if not may_run:
                planned = [_refused(each) for each in planned]
            run = [each.spec for each in planned if each.spec and each.result is None]
            self._start_filler(run, FILL_AGAIN_AFTER_S if text else FILL_AFTER_S)
            self.rounds.append(await self._run_planned(recorded.round, planned))
        took_s = time.monotonic() - begun_s
        self._turn.latency.add_tools(took_s)
        return not self.built_in.skips_turn and not (self.built_in.ends_session and text.strip())

    async def _record(
        self, request: ToolCalls, text: str, planned: Sequence[PlannedCall]
    ) -> Recorded:
        return await asyncio.to_thread(
            self._store.record_round,
            *self._where,
            self._turn.invocation.owner,
            self._turn.attempt.number,
            ToolRound(
                index=len(self.rounds),
                request=request,
                text=text,
                results=tuple(each.result for each in planned),
                recorded_at_ms=now_ms(),
                user_text="" if self.rounds else self._user_text,
            ),
        )

    async def _count(self) -> bool:
        """Count a round. A table that fails refuses nothing."""
        rates = self._turn.services.request_rates
        if rates is None:
            return True
        try:
            return await asyncio.to_thread(rates.count_tools, self._turn.request.session)
        except Exception as error:
            self._turn.services.log("tools_not_counted", {"error": type(error).__name__})
            return True

    async def settle(self, until_s: float) -> None:
        """Wait for what acts beyond the end of its turn, at most for so long.

        Call it before the function returns: Lambda freezes what is left.
        """
        self.note_text()
        if self._acting:
            await asyncio.wait(set(self._acting), timeout=max(0.0, until_s))

    # --- a recorded round -----------------------------------------------------------------

    async def _run_planned(self, recorded: ToolRound, planned: Sequence[PlannedCall]) -> ToolRound:
        tasks = [
            asyncio.create_task(self._run_call(recorded, each))
            for each in planned
            if each.result is None and each.same_as is None
        ]
        self.called += [each.call.name for each in planned if each.spec is not None]
        found: dict[int, CallResult] = {}
        try:
            for task in tasks:
                index, result = await task
                found[index] = result
        except asyncio.CancelledError:
            self._over = not self._turn.stop.superseded  # who recorded a call is the one to run it
            self._keep_interrupted(recorded, [p.index for p in planned if p.same_as is not None])
            raise
        finally:
            await cancel_tasks(*tasks)
        for each in planned:
            if each.same_as is not None:
                found[each.index] = found[each.same_as]
            elif each.result is None or recorded.results[each.index] is not None:
                continue
            else:  # refused since it was recorded
                found[each.index] = each.result
            await self._keep(recorded, each.index, found[each.index])
        results = tuple(found.get(each.index, each.result) for each in planned)
        return _with_results(recorded, results)

    async def _run_call(self, recorded: ToolRound, planned: PlannedCall) -> tuple[int, CallResult]:
        spec = planned.spec
        assert spec is not None
        running = self._act(self._call(recorded, planned.index, spec, planned.arguments))
        try:
            result = await asyncio.shield(running)
        except asyncio.CancelledError:
            if spec.effect == "read":
                running.cancel()
            raise
        return planned.index, result

    async def _call(
        self, recorded: ToolRound, index: int, spec: ToolSpec, arguments: Mapping[str, Any]
    ) -> CallResult:
        """Run a call and keep its result; return the result that counts."""
        begun_s, told = time.monotonic(), False
        try:
            async with self._slots:
                if self._over or self._turn.stop.interrupted:
                    result = NOT_RUN
                else:
                    told = True
                    self._tell(recorded, index, spec, "running", arguments)
                    result = await self._invoke(recorded, index, spec, arguments)
        except asyncio.CancelledError:
            self._keep_interrupted(recorded, [index])
            raise
        result = await self._keep(recorded, index, result)
        if told:
            ms = round((time.monotonic() - begun_s) * 1000)
            self._tell(recorded, index, spec, result.outcome, arguments, result, ms)
        self.unknown += result.outcome == "unknown"
        return result

    def _keep_interrupted(self, recorded: ToolRound, indexes: Iterable[int]) -> None:
        """Keep that nobody waited for these reads, if it was the user who did not."""
        # Another attempt runs a read again: it must not find that nobody waited for it.
        if self._turn.stop.interrupted and not self._turn.stop.superseded:
            for index in indexes:
                self._act(self._keep(recorded, index, INTERRUPTED))

    def _act(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start what may go on beyond the end of the turn."""
        task = asyncio.create_task(work)
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)
        return task

    async def _invoke(
        self, recorded: ToolRound, index: int, spec: ToolSpec, arguments: Mapping[str, Any]
    ) -> CallResult:
        left_s = self._turn.invocation.remaining_s() - CALL_MARGIN_S
        timeout_s = max(0.1, min(spec.timeout_s, left_s))
        invocation = Invocation(
            key=self._key(recorded, index),
            arguments=arguments,
            timeout_s=timeout_s,
            turn_id=self._turn.request.turn_id,
            attempt=self._turn.attempt.number,
            session=self._speaker.session,
            language=self._language,
            metadata=self._metadata,
        )
        if not self._toolbox.circuits.admit(spec.name):
            return result_of_failure(spec, ToolFailed("unavailable", acted=False))
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._answer(spec, invocation)
        except TimeoutError:
            return self._failure(spec, ToolFailed("timeout", acted=True))
        except ToolFailed as error:
            return self._failure(spec, error)
        except Exception as error:
            log_fields = {"error": type(error).__name__}
            return self._failure(spec, ToolFailed("unavailable", acted=True, log_fields=log_fields))
        self._toolbox.circuits.record_success(spec.name)
        for event in answer.events:
            self._turn.outbox.add_event(
                Custom(self._turn.request.turn_id, 0, event.name, event.data)
            )
        self._turn.sender.wake()
        return result_of(spec, answer)

    async def _answer(self, spec: ToolSpec, invocation: Invocation) -> Answer:
        if spec.kind == CLIENT:
            return await self._clients.call(spec, invocation)
        if spec.kind == BUILT_IN:
            return await self.built_in.call(spec, invocation)
        return await self._toolbox.runner(spec).call(invocation)

    def _failure(self, spec: ToolSpec, error: ToolFailed) -> CallResult:
        self._toolbox.circuits.record_failure(spec.name, error)
        fields = {"tool": spec.name, "reason": error.reason, "acted": error.acted}
        self._turn.services.log("tool_failed", fields | error.log_fields)
        return result_of_failure(spec, error)

    async def _keep(self, recorded: ToolRound, index: int, result: CallResult) -> CallResult:
        """Keep a result; return the one that counts. A table that fails costs the record only."""
        try:
            return await asyncio.to_thread(
                self._store.set_result, *self._where, recorded.index, index, result
            )
        except Exception as error:
            self._turn.services.log("result_not_kept", {"error": type(error).__name__})
            return result

    # --- what an earlier attempt has begun ------------------------------------------------

    async def _complete(self, recorded: ToolRound) -> ToolRound:
        """Return a round of another attempt with all of its results."""
        self.called += [call.name for call in recorded.request.calls if call.name in self._specs]
        results = await asyncio.gather(
            *(self._complete_call(recorded, index) for index in range(len(recorded.results)))
        )
        return _with_results(recorded, tuple(results))

    async def _complete_call(self, recorded: ToolRound, index: int) -> CallResult:
        call, spec = (
            recorded.request.calls[index],
            self._specs.get(recorded.request.calls[index].name),
        )
        result = recorded.results[index]
        if result is None and spec is not None and _may_repeat(spec):
            (planned, *_) = plan_round(
                ToolCalls((call,)),
                self._specs,
                earlier_calls=0,
                asked_before=self._asked_before,
            )
            _, result = await self._run_call(
                recorded, PlannedCall(index, call, spec, planned.arguments)
            )
            return result
        if result is None:
            result = await self._await_result(recorded, index, spec)
        if spec is not None:
            self._tell(recorded, index, spec, result.outcome, {}, result)
        return result

    async def _await_result(
        self, recorded: ToolRound, index: int, spec: ToolSpec | None
    ) -> CallResult:
        """Wait for the result of a call that an earlier attempt may still run; then it is
        unknown."""
        wait_s = GRACE_S + (spec.timeout_s if spec is not None else 0.0)
        if self._turn.attempt.after_death:
            wait_s = 0.0  # whoever ran it will not tell
        until_ms = recorded.recorded_at_ms + round(wait_s * 1000)
        while now_ms() < until_ms:
            with contextlib.suppress(Exception):
                rounds = await asyncio.to_thread(self._store.read_rounds, *self._where)
                found = rounds[recorded.index].results[index]
                if found is not None:
                    return found
            await asyncio.sleep(POLL_S)
        result = await self._keep(recorded, index, UNKNOWN)
        self.unknown += result.outcome == "unknown"
        return result

    # --- what is told of it -------------------------------------------------------------------

    def _start_filler(self, specs: Sequence[ToolSpec], after_s: float = FILL_AFTER_S) -> None:
        """Have a silence filled while tools run."""
        self.note_text()
        said = [spec.sentences(self._language) for spec in specs]
        sentences = next((each for each in said if each), ())
        if sentences and self._turn.request.connected:
            filler = Filler(self.speech, sentences, self._fill, after_s)
            self._filler = asyncio.create_task(filler.run())

    def _fill(self, sentence: str) -> None:
        self.fillers += 1
        self._say(sentence)

    def _tell(
        self,
        recorded: ToolRound,
        index: int,
        spec: ToolSpec,
        state: ToolState,
        arguments: Mapping[str, Any],
        result: CallResult | None = None,
        ms: int | None = None,
    ) -> None:
        if self._turn.stop.reason is not None:
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

    @property
    def _where(self) -> tuple[Any, str, int]:
        request = self._turn.request
        return request.session, request.turn_id, self._turn.attempt.started_ms

    def _key(self, recorded: ToolRound, index: int) -> str:
        request = self._turn.request
        return call_key(parse_session_id(request.session), request.turn_id, recorded.index, index)


def _refused(planned: PlannedCall) -> PlannedCall:
    return replace(planned, result=planned.result or RATE_LIMITED, same_as=None)


def _may_repeat(spec: ToolSpec) -> bool:
    """Return whether a call may run again with the same key: a client runs each once."""
    return spec.effect != "write" or spec.kind in (CLIENT, BUILT_IN)


def _with_results(recorded: ToolRound, results: tuple[CallResult | None, ...]) -> ToolRound:
    return msgspec.structs.replace(recorded, results=results)
