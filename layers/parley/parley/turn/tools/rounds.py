"""The rounds of tool calls of one turn: recorded, run, and settled whatever stops the turn.

A round is recorded before anything of it runs, fenced by the turn's lease. Another attempt at the
turn goes on from what is recorded, and never asks the model for it again. A read is cancelled with
the turn. A call that acts is finished outside of it, and its result is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from parley.aio.tasks import cancel_tasks
from parley.clock import now_ms
from parley.errors import ProviderError
from parley.protocol.messages import Settings
from parley.protocol.tool_rounds import CallResult, ToolCalls, ToolRound
from parley.providers.llm import Prompt, Speaker
from parley.storage.rounds import Recorded, RoundStore
from parley.tools.sentences import NO_TIME, NOT_RUN, RATE_LIMITED, UNKNOWN
from parley.tools.tool import ToolSpec
from parley.tools.toolbox import BUILT_IN, CLIENT, Toolbox
from parley.turn.context import TurnContext
from parley.turn.language import TurnLanguage
from parley.turn.stop import StopReason
from parley.turn.tools.built_in import BuiltInTools
from parley.turn.tools.calls import CallRunner
from parley.turn.tools.plan import MAX_ROUNDS, PlannedCall, fit_request, plan_round
from parley.turn.tools.silence import AudibleSpeech, Fillers

POLL_S = 0.2
"""How often the result of a call is looked for that another attempt may still run."""
GRACE_S = 1.0
"""How much longer than a call may take its result is waited for."""


class Reply(Protocol):
    """The reply that the rounds are of."""

    speech_error: ProviderError | None
    """Why it is not spoken, or no more."""

    def fill(self, sentence: str) -> None:
        """Say something to fill a silence."""

    def change_settings(self, settings: Settings) -> None:
        """Speak what follows with other settings."""


class ToolRounds:
    """The tools of one turn, and what it has called.

    Args:
        specs: the tools by name.
        language: the turn's.
        asked_before: the rounds of the turn before.

    Attributes:
        rounds: those that are complete, oldest first.
        called: the names of the tools that were called, in order.
    """

    def __init__(
        self,
        turn: TurnContext,
        toolbox: Toolbox,
        specs: Mapping[str, ToolSpec],
        store: RoundStore,
        language: TurnLanguage,
        asked_before: Sequence[ToolRound],
    ) -> None:
        self._turn = turn
        self._specs = specs
        self._store = store
        self._language = language
        self._asked_before = asked_before
        self.built_in = BuiltInTools(turn, language, self._change_voice)
        self._calls = CallRunner(turn, toolbox, store, language, self.built_in)
        self._fillers = Fillers(self._may_fill, self._fill)
        self._reply: Reply | None = None
        self._user_text = ""
        self._waits_from_s: float | None = None
        """Since when the reply waits for tools; None if it does not."""
        self.rounds: list[ToolRound] = []
        self.called: list[str] = []

    @property
    def speech(self) -> AudibleSpeech:
        """What the listener hears."""
        return self._fillers.speech

    @property
    def unknown(self) -> int:
        """Of how many calls nobody knows whether they acted."""
        return self._calls.unknown

    @property
    def fillers(self) -> int:
        """How often something was said to fill a silence."""
        return self._fillers.count

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
        self, user_text: str, speaker: Speaker, reply: Reply, metadata: Mapping[str, Any]
    ) -> None:
        """Note what the user has said, before the model is asked.

        Args:
            metadata: what the backend says of the session.
        """
        self._user_text, self._reply = user_text, reply
        self._calls.begin(speaker, metadata)
        self.speech.note_silence()

    async def load(self) -> None:
        """Read what earlier attempts at the turn have recorded."""
        try:
            self.rounds = await asyncio.to_thread(self._store.read_rounds, *self._where)
        except Exception as error:
            # The model is asked again, but what is recorded stays: that round is followed then.
            self._turn.services.log("rounds_not_read", {"error": type(error).__name__})

    async def complete(self) -> bool:
        """See to it that every call of an earlier attempt has a result.

        Returns:
            Whether the model is to be asked.
        """
        loaded, self.rounds = self.rounds, []
        names = [call.name for each in loaded for call in _open_calls(each)]
        self._start_filler([self._specs[name] for name in names if name in self._specs])
        for each in loaded:
            self.rounds.append(await self._complete(each))
        return not self.built_in.skips_turn

    def note_text(self) -> None:
        """Note that there is something to say: nothing needs to fill the silence."""
        self._fillers.stop()
        self.speech.note_silence()

    def stop_filling(self) -> None:
        """Fill no silence any more: the reply is over, or the turn is."""
        self._fillers.stop()

    def expects_more(self, request: ToolCalls, text: str) -> bool:
        """Return whether something will be said after the calls of a round, unless they fail."""
        specs = [self._specs.get(call.name) for call in request.calls]
        targets = {spec.target for spec in specs if spec is not None and spec.kind == BUILT_IN}
        return "skip_turn" not in targets and not ("end_session" in targets and text.strip())

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
        self._waits_from_s = time.monotonic()
        request = fit_request(request)
        planned: Sequence[PlannedCall] = self._plan(request)
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
            done = await self._complete(recorded.round)
        else:
            if not may_run:
                planned = [_refused(each) for each in planned]
            self._start_filler([each.spec for each in planned if each.runs], spoken=bool(text))
            done = await self._run_planned(recorded.round, planned)
        self.rounds.append(done)
        self._note_waited()
        return not self.built_in.skips_turn and not (self.built_in.ends_session and text.strip())

    def _plan(self, request: ToolCalls) -> list[PlannedCall]:
        return plan_round(
            request,
            self._specs,
            earlier=self.rounds,
            asked_before=self._asked_before,
        )

    async def settle(self, timeout_s: float) -> None:
        """Wait for what acts beyond the end of its turn, at most for so long.

        Call it before the function returns: Lambda freezes what is left.
        """
        await self._calls.settle(timeout_s)

    # --- a round is recorded ----------------------------------------------------------------

    async def _record(
        self, request: ToolCalls, text: str, planned: Sequence[PlannedCall]
    ) -> Recorded:
        """Record a round. If the turn is stopped meanwhile, keep that nothing of it ran."""
        record = self._calls.act(
            asyncio.to_thread(
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
        )
        try:
            return await asyncio.shield(record)
        except asyncio.CancelledError:
            self._calls.act(self._forgo(record, planned))
            raise

    async def _forgo(self, record: asyncio.Task[Recorded], planned: Sequence[PlannedCall]) -> None:
        """Keep of a round that nobody ran that nothing of it has run."""
        with contextlib.suppress(Exception):
            recorded = await record
            if recorded.outcome != "ours" or recorded.round is None:
                return
            result = NOT_RUN if self._turn.stop.interrupted else NO_TIME
            for each in planned:
                # What may be repeated the attempt that has overtaken this one runs itself.
                theirs = self._turn.stop.superseded and each.spec and _may_repeat(each.spec)
                if each.result is None and not theirs:
                    await self._calls.keep(recorded.round, each.index, result)

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

    # --- a recorded round -------------------------------------------------------------------

    async def _run_planned(self, recorded: ToolRound, planned: Sequence[PlannedCall]) -> ToolRound:
        self.called += [each.call.name for each in planned if each.result is None]
        tasks = {
            each.index: asyncio.create_task(
                self._calls.run(recorded, each.index, each.spec, each.arguments)
            )
            for each in planned
            if each.runs and each.spec is not None
        }
        found: dict[int, CallResult] = {}
        try:
            for index, task in tasks.items():
                found[index] = await task
        except asyncio.CancelledError:
            self._calls.stop()
            self._calls.keep_interrupted(
                recorded, [each.index for each in planned if each.same_as is not None]
            )
            raise
        finally:
            await cancel_tasks(*tasks.values())
        for each in planned:
            if each.same_as is not None:
                found[each.index] = found[each.same_as]
            elif each.result is None or recorded.results[each.index] is not None:
                continue
            else:  # refused since it was recorded
                found[each.index] = each.result
            await self._calls.keep(recorded, each.index, found[each.index])
        results = tuple(found.get(each.index, each.result) for each in planned)
        return _with_results(recorded, results)

    # --- what an earlier attempt has begun --------------------------------------------------

    async def _complete(self, recorded: ToolRound) -> ToolRound:
        """Return a round of another attempt with all of its results."""
        planned = self._plan(recorded.request)
        self.called += [each.call.name for each in planned if each.result is None]
        results = await asyncio.gather(*(self._complete_call(recorded, each) for each in planned))
        return _with_results(recorded, tuple(results))

    async def _complete_call(self, recorded: ToolRound, planned: PlannedCall) -> CallResult:
        index, spec = planned.index, planned.spec
        result = recorded.results[index]
        if result is None and spec is not None and _may_repeat(spec):
            if planned.result is None:
                return await self._calls.run(recorded, index, spec, planned.arguments)
            result = await self._calls.keep(recorded, index, planned.result)
        if result is None:
            result = await self._await_result(recorded, index, spec)
        if spec is not None:
            if spec.kind == BUILT_IN and result.outcome == "done":
                self.built_in.note_done(spec)
            self._calls.tell(recorded, index, spec, result.outcome, planned.arguments, result)
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
        result = await self._calls.keep(recorded, index, UNKNOWN)
        self._calls.unknown += result.outcome == "unknown"
        return result

    # --- what is said meanwhile -------------------------------------------------------------

    def _start_filler(self, specs: Sequence[ToolSpec | None], *, spoken: bool = False) -> None:
        """Have silences filled while tools run."""
        said = [spec.sentences(self._language.code) for spec in specs if spec is not None]
        sentences = next((each for each in said if each), ())
        if self._turn.request.connected:
            self._fillers.start(sentences, spoken=spoken)

    def _may_fill(self) -> bool:
        # A sentence on the screen fills no silence.
        mute = self._reply is None or self._reply.speech_error is not None
        return self._turn.stop.reason is None and not mute

    def _fill(self, sentence: str) -> None:
        assert self._reply is not None, "the turn has begun"
        self._note_waited()
        self._reply.fill(sentence)

    def _change_voice(self, settings: Settings) -> None:
        if self._reply is not None:
            self._reply.change_settings(settings)

    def _note_waited(self) -> None:
        """Note how long the reply has waited for tools: until now, or until it was filled."""
        if self._waits_from_s is not None:
            self._turn.latency.add_tools(time.monotonic() - self._waits_from_s)
            self._waits_from_s = None

    @property
    def _where(self) -> tuple[Any, str, int]:
        request = self._turn.request
        return request.session, request.turn_id, self._turn.attempt.started_ms


def _open_calls(recorded: ToolRound) -> list[Any]:
    """Return the calls of a round that have no result."""
    pairs = zip(recorded.request.calls, recorded.results, strict=True)
    return [call for call, result in pairs if result is None]


def _refused(planned: PlannedCall) -> PlannedCall:
    return replace(planned, result=planned.result or RATE_LIMITED, same_as=None)


def _may_repeat(spec: ToolSpec) -> bool:
    """Return whether a call may run again with the same key: a client runs each once."""
    return spec.effect != "write" or spec.kind in (CLIENT, BUILT_IN)


def _with_results(recorded: ToolRound, results: tuple[CallResult | None, ...]) -> ToolRound:
    return msgspec.structs.replace(recorded, results=results)
