"""The queue behind asynchronous invocation: runs events, tries them again, tells of the end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from samwire.runtime.call import Call, Result
from samwire.runtime.concurrency import Throttled
from samwire.runtime.destinations import Sender, Settled
from samwire.runtime.retry_policy import Condition, Retry, RetryPolicy
from samwire.template.model import EventInvoke


@dataclass(frozen=True)
class QueuedEvent:
    """An event that is to be run.

    Attributes:
        arn: the function's with the qualifier that was asked for.
        dead_letter: ARN of the queue or topic that the function has for what is given up.
        run: invokes the function; raises `Throttled`.
        never: whether the function reserves zero concurrency, and so is never run.
        delay_s: how long it stays in the queue before it is first run.
    """

    call: Call
    arn: str
    version: str
    settings: EventInvoke
    dead_letter: str
    run: Callable[[Call], Awaitable[Result]]
    log: Callable[[str], None]
    never: bool = False
    delay_s: float = 0.0
    queued_s: float = field(default_factory=time.monotonic)


class EventQueue:
    """Runs events, each by itself.

    Args:
        send: to destinations.
        retry_delay_s: see `RetryPolicy`.
    """

    def __init__(self, send: Sender, retry_delay_s: float) -> None:
        self._send = send
        self._retry_delay_s = retry_delay_s
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, event: QueuedEvent) -> None:
        """Take an event; returns at once."""
        task = asyncio.create_task(self._settle(event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Drop what is still queued."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self, event: QueuedEvent) -> None:
        await asyncio.sleep(event.delay_s)
        settled = await self._run(event)
        if settled.condition is not Condition.SUCCESS:
            event.log(f"asynchronous invocation failed: {event.arn} ({settled.condition})")
            if event.dead_letter:
                body, attributes = event.call.event.decode(), settled.dead_letter_attributes()
                await self._tell(event, event.dead_letter, body, attributes)
        succeeded = settled.condition is Condition.SUCCESS
        destination = event.settings.on_success if succeeded else event.settings.on_failure
        if destination:
            await self._tell(event, destination, json.dumps(settled.record()), {})

    async def _run(self, event: QueuedEvent) -> Settled:
        """Run an event until it succeeds or is given up."""
        policy = RetryPolicy(event.settings, self._retry_delay_s)
        attempts = 0
        result: Result | None = None
        next_step: Retry | Condition = Retry(0)
        if event.never:
            next_step = Condition.ZERO_RESERVED_CONCURRENCY
        while isinstance(next_step, Retry):
            await asyncio.sleep(next_step.delay_s)
            attempts += 1
            try:
                result = await event.run(event.call)
            except Throttled:
                next_step = policy.throttled(time.monotonic() - event.queued_s)
                continue
            if result.error:
                next_step = policy.failed(time.monotonic() - event.queued_s)
            else:
                next_step = Condition.SUCCESS
        return Settled(
            request_id=event.call.request_id,
            arn=event.arn,
            version=event.version,
            event=event.call.event,
            condition=next_step,
            attempts=attempts,
            result=result,
        )

    async def _tell(
        self, event: QueuedEvent, arn: str, body: str, attributes: dict[str, dict[str, str]]
    ) -> None:
        try:
            await self._send(arn, body, attributes)
        except (BotoCoreError, ClientError, LookupError) as problem:
            event.log(f"{arn} could not be told of an asynchronous invocation: {problem}")
