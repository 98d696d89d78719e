"""Runs a soak on the local stack: real sockets, real functions, and everything going wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from parley_client import Conversation, Reconnect, Timeouts, Turn
from parley_client.errors import ParleyClientError, TurnFailed
from parley_client.events import Restarted
from parley_client.messages import Audio, Message, TurnEnd
from samwire_tests.own_key import own_key, signed_put
from tests.chaos.ledger import Attempt, Ledger, TurnRecord, Verdict, spoken_key
from tests.chaos.plan import SECOND_PROVIDERS, SoakPlan, TurnPlan
from tests.chaos.tool_judge import ToolVerdict
from tests.chaos.tool_soak import ToolSoak
from tests.chaos.wire import Wire, relayed
from tests.e2e.raw import opened
from tests.e2e.stack import (
    ROOT,
    STANDIN_KEY,
    Control,
    Stack,
    Standins,
    running_stack,
    running_standins,
)

RECONNECT = Reconnect(attempts=40, base_s=0.05, cap_s=1.0, stable_s=1.0)
TIMEOUTS = Timeouts(connect_s=6, request_s=6, answer_s=30, gap_s=2)
MAX_RETRIES = 8
TURN_LIMIT_S = 90.0
PLAYED_MS = 400.0
PARAMETERS = {"HistoryMessages": "200"}


class Session:
    """One conversation of the soak."""

    def __init__(self, soak: Soak, turns: list[TurnPlan]) -> None:
        self._soak = soak
        self._plans = turns
        self.records: list[TurnRecord] = []
        self.history: tuple[Message, ...] = ()
        self._resume: dict[str, Any] = {}

    async def run(self) -> None:
        """Hold the conversation."""
        address = urlsplit(self._soak.stack.url)
        async with relayed(address.hostname or "", address.port or 0) as wire:
            url = f"ws://127.0.0.1:{wire.port}{address.path}"
            conversation = await _connected(url, self._soak.functions)
            for plan in self._plans:
                record = TurnRecord(plan)
                self.records.append(record)
                try:
                    async with asyncio.timeout(TURN_LIMIT_S):
                        await self._hold(conversation, wire, record)
                except TimeoutError:
                    record.problem = f"no end after {TURN_LIMIT_S:g} s"
                except ParleyClientError as error:
                    record.problem = f"{type(error).__name__}: {error}"
                    if conversation.closed:
                        break
            self._resume = {
                "session_id": conversation.session_id,
                "resume_token": conversation.resume_token,
            }
            await conversation.close()
        self._soak.faults["cut connection"] += wire.cuts
        self._soak.faults["half-open connection"] += wire.silences

    async def _hold(self, conversation: Conversation, wire: Wire, record: TurnRecord) -> None:
        plan = record.plan
        if plan.provider is not None:
            surface, fault = plan.provider
            self._soak.break_provider(surface, {**fault, "times": 1})
        if plan.spoken:
            turn = conversation.speak(self._soak.speech[plan.text])
        else:
            turn = conversation.say(plan.text)
        record.turn_id = turn.turn_id
        if plan.cut_after == 0:
            _lose(wire, plan)
        if self._soak.tools is not None and plan.tools is not None:
            self._soak.tools.prepare(conversation, turn, record)
        for _ in range(MAX_RETRIES):
            try:
                await self._follow(turn, wire, record)
                await turn
                return
            except TurnFailed as failed:
                if not failed.retryable:
                    raise
                turn.retry()
        await turn

    async def _follow(self, turn: Turn, wire: Wire, record: TurnRecord) -> None:
        """Take the events of an attempt as an application does, and do what is planned."""
        clock = asyncio.get_running_loop().time
        attempt = Attempt(turn.attempt)
        record.attempts.append(attempt)
        record.interrupted_ms = None
        last_s = clock()
        async for event in turn:
            if isinstance(event, Restarted):
                attempt = Attempt(event.attempt)
                record.attempts.append(attempt)
                record.interrupted_ms = None
                continue
            speaking = record.plan.spoken and not turn.utterance_over.is_set()
            if not speaking:
                record.longest_silence_s = max(record.longest_silence_s, clock() - last_s)
            last_s = clock()
            attempt.events.append(event)
            await self._act(turn, wire, record, attempt)

    async def _act(self, turn: Turn, wire: Wire, record: TurnRecord, attempt: Attempt) -> None:
        plan = record.plan
        first_time = len(record.attempts) == 1
        if first_time and plan.cut_after is not None and len(attempt.events) == plan.cut_after:
            _lose(wire, plan)
        if self._soak.tools is not None and plan.tools is not None:
            self._soak.tools.note_event(plan.tools, attempt.events[-1])
        audio = sum(isinstance(event, Audio) for event in attempt.events)
        ended = isinstance(attempt.events[-1], TurnEnd)
        if plan.interrupt_after == audio and not ended and isinstance(attempt.events[-1], Audio):
            record.interrupted_ms = PLAYED_MS
            await turn.interrupt(PLAYED_MS)

    async def remember(self) -> None:
        """The server's own history, when nothing breaks any more."""
        async with opened(self._soak.stack.url, **self._resume) as client:
            self.history = tuple(
                Message(m["role"], m["text"], m["turn_id"], m.get("heard"))
                for m in client.ready.get("history", [])
            )


class Soak:
    """Every session of a plan, at once.

    Args:
        tools: what is called; None if there are no tools.
    """

    def __init__(self, stack: Stack, plan: SoakPlan, tools: ToolSoak | None = None) -> None:
        self.tools = tools
        self.stack = stack
        self.plan = plan
        self.verdict = Verdict()
        self.faults = self.verdict.faults
        self.speech: dict[str, bytes] = {}
        self._spoken: dict[str, list[bytes]] = {}
        self._seen: dict[str, int] = {}

    @property
    def functions(self) -> dict[str, Any]:
        """What the application offers to run itself."""
        return self.tools.functions if self.tools is not None else {}

    async def run(self) -> Verdict:
        """Hold all conversations, then judge them."""
        async with contextlib.AsyncExitStack() as own:
            if self.tools is not None:
                await own.enter_async_context(self.tools.serving(self.stack.standins.llm_url))
            return await self._run()

    async def _run(self) -> Verdict:
        texts = {turn.text for turns in self.plan.sessions for turn in turns if turn.spoken}
        for text in texts:
            self.speech[text] = await asyncio.to_thread(self.stack.standins.speech, text)
        await asyncio.to_thread(self._gateway, "PUT", self.plan.gateway)
        await asyncio.to_thread(self._table, self.plan.table)
        sessions = [Session(self, turns) for turns in self.plan.sessions]
        collecting = asyncio.create_task(self._collect())
        try:
            await asyncio.gather(*(session.run() for session in sessions))
        finally:
            collecting.cancel()
        await asyncio.to_thread(self._mend)
        await asyncio.gather(*(session.remember() for session in sessions))
        return await asyncio.to_thread(self._judge, sessions)

    def break_provider(self, surface: str, fault: dict[str, Any]) -> None:
        """Have a provider fail once."""
        control = self.stack.llm if surface == "llm" else self.stack.elevenlabs
        control.put(faults={surface: fault})
        self.faults[f"{surface} {next(iter(fault))}"] += 1

    def _mend(self) -> None:
        """Nothing goes wrong from here on; what has is counted."""
        counts = json.loads(self._gateway("GET"))
        for fault in counts["faults"]:
            self.faults[_name(fault)] += fault["fired"]
        self._gateway("DELETE")
        throttled = json.loads(self._table({"throttling": []}))["happened"]
        self.faults["throttled by DynamoDB"] += throttled

    def _judge(self, sessions: list[Session]) -> Verdict:
        self._look_at_synthesis()
        ledger = Ledger(self._spoken)
        ledger.verdict = self.verdict
        for session in sessions:
            for record in session.records:
                ledger.judge(record)
                self.verdict.faulty += _is_faulty(record.plan)
            ledger.judge_history(session.records, session.history)
        planned = sum(len(turns) for turns in self.plan.sessions)
        self.verdict.endless += planned - self.verdict.turns
        if self.tools is not None:
            records = [record for session in sessions for record in session.records]
            self.verdict.tools = self.tools.judge(records, self.stack)
        return self.verdict

    # --- the stack ----------------------------------------------------------------

    async def _collect(self) -> None:
        """The stand-in forgets its oldest records: look at them in time."""
        while True:
            await asyncio.sleep(5)
            await asyncio.to_thread(self._look_at_synthesis)

    def _look_at_synthesis(self) -> None:
        self._look_at(self.stack.elevenlabs, "multi-stream", "text")
        self._look_at(self.stack.standins.control("cartesia"), "/tts/websocket", "transcript")

    def _look_at(self, voice: Control, path: str, field: str) -> None:
        """Take note of what a voice was given to say, and what it made of it.

        Args:
            path: of the requests that are looked at.
            field: of a frame that has text.
        """
        records = voice.requests(after=self._seen.get(path, 0))
        open_records = [r["id"] for r in records if r["ended_ms"] is None]
        for record in records:
            if path not in record["path"]:
                continue
            audio = voice.audio(record["id"], "out")
            for text, begin, end in _replies(record["frames"], field, len(audio)):
                made = self._spoken.setdefault(spoken_key(text), [])
                if audio[begin:end] not in made:
                    made.append(audio[begin:end])
        if records:
            self._seen[path] = min([*open_records, records[-1]["id"] + 1]) - 1

    def _gateway(self, method: str, body: dict[str, Any] | None = None) -> bytes:
        address = urlsplit(self.stack.url)
        request = urllib.request.Request(
            f"http://{address.netloc}/_local/faults",
            data=json.dumps(body).encode() if body is not None else None,
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return bytes(response.read())

    def _table(self, body: dict[str, Any]) -> bytes:
        request = signed_put(
            f"{self.stack.info['aws_endpoint']}/_local/faults",
            json.dumps(body).encode(),
            own_key(self.stack.info),
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return bytes(response.read())


def _replies(
    frames: list[dict[str, Any]], field: str, audio_bytes: int
) -> Iterable[tuple[str, int, int]]:
    """Yield the text of each reply that a connection carried, and where its audio begins and ends.

    Of frames that do not say how much audio they have, all is one reply's.
    """
    texts: dict[str, str] = {}
    ends: dict[str, int] = {}
    sounded = 0
    for each in frames:
        frame = each["frame"]
        if not isinstance(frame, dict):
            continue
        name = str(frame.get("context_id"))
        if each["direction"] == "in":
            texts[name] = texts.get(name, "") + (frame.get(field) or "")
        elif str(frame.get("data", "")).endswith(" bytes"):
            sounded += int(frame["data"].split()[0])
            ends[name] = sounded
    if not ends:
        yield "".join(texts.values()), 0, audio_bytes
        return
    begin = 0
    for name, end in ends.items():  # one context follows the other
        yield texts.get(name, ""), begin, end
        begin = end


async def _connected(url: str, functions: dict[str, Any]) -> Conversation:
    """A conversation. Connecting is not tried again by the client: that is the application's."""
    while True:
        try:
            return await Conversation.connect(
                url, timeouts=TIMEOUTS, reconnect=RECONNECT, tools=functions
            )
        except ParleyClientError as error:
            if not error.retryable:
                raise


def _lose(wire: Wire, plan: TurnPlan) -> None:
    if plan.silent:
        wire.fall_silent()
    else:
        wire.cut(away_s=plan.away_s, again=plan.cut_again)


def _is_faulty(plan: TurnPlan) -> bool:
    return plan.cut_after is not None or plan.provider is not None


def _name(fault: dict[str, Any]) -> str:
    details = [fault[name] for name in ("on", "status", "function") if fault.get(name)]
    return " ".join(str(part) for part in [fault["kind"].replace("_", " "), *details])


def run_soak(
    plan: SoakPlan, folder: Path | None = None, standins: Standins | None = None
) -> Verdict:
    """Start a stack, run the soak on it, stop it.

    Args:
        folder: for the stack's logs; None for one that is removed afterwards.
        standins: those that it talks to; its own if there are none.
    """
    with contextlib.ExitStack() as own:
        logs = folder or Path(own.enter_context(tempfile.TemporaryDirectory()))
        standins = standins or own.enter_context(running_standins(logs))
        parameters = PARAMETERS
        if plan.failover:
            second = {
                "CartesiaApiKey": STANDIN_KEY,
                "FallbackTranscriptionBaseUrl": standins.urls["cartesia"],
                "FallbackSpeechBaseUrl": standins.urls["cartesia"],
                "FallbackLlmBaseUrl": standins.llm_url,
                "FallbackLlmApiKey": STANDIN_KEY,
            }
            parameters = PARAMETERS | SECOND_PROVIDERS | second
        tools = None
        template = ROOT / "template.yaml"
        if plan.has_tools:
            tools = own.enter_context(contextlib.closing(ToolSoak(plan, logs / "stack")))
            parameters, template = parameters | tools.parameters, tools.template
        stack = own.enter_context(
            running_stack(logs, template=template, parameters=parameters, standins=standins)
        )
        return asyncio.run(Soak(stack, plan, tools).run())


def table(plan: SoakPlan, verdict: Verdict) -> Iterable[str]:
    """The verdict, line by line."""
    yield f"seed {plan.seed}: {verdict.turns} turns in {len(plan.sessions)} sessions at once"
    yield f"  with a fault of their own  {verdict.faulty:5d}"
    for name, count in sorted(verdict.faults.items()):
        yield f"    {name:38s} {count:5d}"
    yield f"  completed                  {verdict.completed:5d}"
    yield f"  interrupted by the user    {verdict.interrupted:5d}"
    yield f"  recovered by another try   {verdict.recovered:5d}"
    yield f"  without an end             {verdict.endless:5d}"
    yield f"  events lost                {verdict.lost:5d}"
    yield f"  events doubled             {verdict.doubled:5d}"
    yield f"  stages handed over         {verdict.failed_over:5d}"
    yield f"  words twice, or not at all {verdict.words_differ:5d}"
    yield f"  audio that differs         {verdict.audio_differs:5d}"
    yield f"  histories that differ      {verdict.history_differs:5d}"
    if plan.has_tools:
        yield from _table_of_tools(verdict.tools)
    silence = f"{verdict.longest_silence_s:7.1f} s, in {verdict.longest_in}"
    yield f"  longest silence            {silence}"


def _table_of_tools(verdict: ToolVerdict) -> Iterable[str]:
    yield f"  turns with tools           {verdict.turns:5d}"
    for name, count in sorted(verdict.hits.items()):
        yield f"    {name:38s} {count:5d}"
    for name, count in sorted(verdict.kinds.items()):
        yield f"    {name:38s} {count:5d}"
    yield f"  effects asked for          {verdict.asked:5d}"
    yield f"  effects                    {verdict.effects:5d}"
    yield f"  unknown, and known why     {sum(verdict.unknown.values()):5d}"
    for name, count in sorted(verdict.unknown.items()):
        yield f"    {name:38s} {count:5d}"
    yield f"  unknown without a reason   {verdict.unexplained:5d}"
    yield f"  effects doubled            {verdict.doubled:5d}"
    yield f"  effects lost               {verdict.lost:5d}"
    yield f"  told other than it is      {verdict.told_otherwise:5d}"
    yield f"  refused by the model       {verdict.refused:5d}"
