"""The tools of a soak: where they are, and what happens to turns because of where they are."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from parley_client import Conversation, Turn
from parley_client.messages import ToolUpdate
from tests.chaos.booked import Book, Refused
from tests.chaos.ledger import TurnRecord
from tests.chaos.model_door import ModelDoor
from tests.chaos.plan import SoakPlan
from tests.chaos.tool_judge import ToolJudge, ToolVerdict, Troubles
from tests.chaos.tool_plan import Moment, ToolsPlan, tool_name
from tests.chaos.tool_service import build_app, served
from tests.chaos.tool_stack import ToolStack
from tests.e2e.stack import Stack

PLAYED_MS = 400.0
_LOGGED = (
    *("tool_failed", "turn_died", "turn_failed"),
    *("result_not_kept", "rounds_not_read", "inbox_unreadable", "lease_not_renewed"),
)


class ToolSoak:
    """Serves the tools, and has things happen to turns that call them.

    Args:
        folder: of the stack; is made.
    """

    def __init__(self, plan: SoakPlan, folder: Path) -> None:
        self._sockets = [socket.create_server(("127.0.0.1", 0), backlog=512) for _ in range(2)]
        ports = [each.getsockname()[1] for each in self._sockets]
        self._stack = ToolStack(folder, ports[0], plan.mutation, fills=not plan.failover)
        self._model_url = f"http://127.0.0.1:{ports[1]}/v1"
        self.book = Book(self._happened)
        for turns in plan.sessions:
            for turn in turns:
                if turn.tools is not None:
                    self.book.plans[turn.tools.nonce] = turn.tools
        self._due: dict[tuple[str, Moment], Callable[[], Coroutine[Any, Any, None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.hits: Counter[str] = Counter()
        self._door: ModelDoor | None = None

    def close(self) -> None:
        """Let go of the ports."""
        for each in self._sockets:
            each.close()

    @property
    def template(self) -> Path:
        """What the stack is started from."""
        return self._stack.template

    @property
    def parameters(self) -> dict[str, str]:
        """The template's, for the tools."""
        return {**self._stack.parameters, "LlmBaseUrl": self._model_url}

    @contextlib.asynccontextmanager
    async def serving(self, model_url: str) -> AsyncIterator[None]:
        """Serve the tools, and stand before the model."""
        tools, door = self._sockets
        await asyncio.to_thread(_forget_refusals, model_url.removesuffix("/v1"))
        self._door = ModelDoor(model_url, self.book.plans, self._happened)
        async with (
            served(build_app(self.book), tools),
            served(self._door.build_app(), door, handler_cancellation=True),
        ):
            yield

    @property
    def functions(self) -> dict[str, Any]:
        """What the application runs itself."""

        async def book_table(arguments: dict[str, Any]) -> dict[str, Any]:
            try:
                return await self.book.book(arguments)
            except Refused:
                raise RuntimeError("There is no table.") from None

        return {tool_name("client", late=late): book_table for late in (False, True)}

    # --- what happens to a turn -------------------------------------------------------

    def prepare(self, conversation: Conversation, turn: Turn, record: TurnRecord) -> None:
        """Have happen to a turn what is planned, when its moment comes."""
        plan = record.plan.tools
        assert plan is not None
        if plan.kill is not None:
            moment, after_ms = plan.kill
            self._due[plan.nonce, moment] = lambda: self._kill(turn.turn_id, moment, after_ms)
        if plan.overlap is not None:
            moment, after_ms = plan.overlap
            self._due[plan.nonce, moment] = lambda: self._overtake(conversation, turn, after_ms)
        if plan.pause_ms:
            (self._stack.pauses / turn.turn_id).write_text(str(plan.pause_ms))
        if plan.interrupt_ms is not None:
            self._spawn(self._interrupt(turn, record, plan.interrupt_ms))

    def note_event(self, plan: ToolsPlan, event: object) -> None:
        """An event has come to the client."""
        if isinstance(event, ToolUpdate):
            self._happened(plan.nonce, "running" if event.state == "running" else "done")

    def _happened(self, nonce: str, moment: Moment) -> None:
        due = self._due.pop((nonce, moment), None)
        if due is not None:
            self._spawn(due())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _kill(self, turn_id: str, moment: Moment, after_ms: int) -> None:
        await asyncio.sleep(after_ms / 1000)
        for mark in self._stack.marks.glob(f"{turn_id}.*"):
            with contextlib.suppress(OSError, ValueError):
                pid = int(mark.read_text())
                if b"samwire" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
                    self.hits[f"killed after {moment}"] += 1

    async def _overtake(self, conversation: Conversation, turn: Turn, after_ms: int) -> None:
        """Ask for the next attempt, as a client does that waits for this one no longer."""
        await asyncio.sleep(after_ms / 1000)
        if turn.done or conversation.closed:
            return
        self.hits["overtaken by another attempt"] += 1
        turns = conversation._turns
        turn.restart(turn.attempt + 1)
        messages = turn.utterance.next_attempt(turn.attempt)
        turns._attached.spawn(turns._post_all(messages), turn.fail)

    async def _interrupt(self, turn: Turn, record: TurnRecord, after_ms: int) -> None:
        await asyncio.sleep(after_ms / 1000)
        if not turn.done:
            self.hits["interrupted at a random time"] += 1
            record.interrupted_ms = PLAYED_MS
            await turn.interrupt(PLAYED_MS)

    # --- what came of it --------------------------------------------------------------

    def judge(self, records: list[TurnRecord], stack: Stack) -> ToolVerdict:
        """Judge the turns that called tools."""
        logged = _logged(stack.logs())
        left = [mark.name for mark in self._stack.marks.iterdir()]

        def troubles(turn_id: str, nonce: str) -> Troubles:
            calls = [name.split(".")[1] for name in left if name.startswith(f"{nonce}.")]
            return Troubles(
                killed=sum(name.startswith(f"{turn_id}.") for name in left),
                tools_killed=frozenset(calls),
                logged=frozenset(logged.get(turn_id, ())),
            )

        judge = ToolJudge(self.book, troubles)
        for record in records:
            if record.plan.tools is not None:
                events = [list(attempt.events) for attempt in record.attempts]
                judge.judge(record.turn_id, record.plan.tools, events)
        judge.verdict.hits = self.hits
        if self._door is not None:
            for how, count in self._door.kept_waiting.items():
                self.hits[f"model {how}"] += count
        judge.verdict.refused = _refusals(stack.llm.url, judge.verdict.problems)
        return judge.verdict


def _logged(log: str) -> dict[str, set[str]]:
    """What the functions logged of trouble with tools, by turn."""
    found: dict[str, set[str]] = {}
    for line in log.splitlines():
        if not any(name in line for name in _LOGGED):
            continue
        with contextlib.suppress(ValueError):
            entry = json.loads(line[line.index("{") :])
            cause = entry.get("reason") or entry.get("error") or ""
            name = f"{entry.get('message', '')} {cause}"
            if entry.get("error_type") == "Runtime.ExitError":
                name = "tool_died"  # before it could leave a mark
            found.setdefault(entry.get("turn_id", ""), set()).add(name)
    return found


def _forget_refusals(url: str) -> None:
    request = urllib.request.Request(f"{url}/_refusals", method="DELETE")
    urllib.request.urlopen(request, timeout=10).close()


def _refusals(url: str, problems: list[str]) -> int:
    with urllib.request.urlopen(f"{url}/_refusals", timeout=10) as response:
        refusals: dict[str, int] = json.load(response)["refusals"]
    if refusals:
        problems.append(f"the model refused requests: {refusals}")
    return sum(refusals.values())
