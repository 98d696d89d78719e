"""Calls of functions of the application: asked over the connection, answered through the inbox."""

from __future__ import annotations

import asyncio
import contextlib

from parley.protocol.messages import ClientCall
from parley.storage.inbox_entries import ToolResultEntry
from parley.tools.tool import Answer, Invocation, ToolFailed, ToolSpec
from parley.turn.context import TurnContext
from parley.turn.input.poll_rhythm import REPLY_S


class ClientCalls:
    """Asks the client to run functions."""

    def __init__(self, turn: TurnContext) -> None:
        self._turn = turn

    async def call(self, spec: ToolSpec, invocation: Invocation) -> Answer:
        """Ask the client, and wait for its answer.

        Raises:
            ToolFailed: the function failed, or nobody answered.
        """
        turn = self._turn
        turn.outbox.add_event(
            ClientCall(
                turn.request.turn_id,
                0,
                invocation.key,
                spec.name,
                dict(invocation.arguments),
                round(invocation.timeout_s * 1000),
            )
        )
        turn.sender.wake()
        try:
            async with asyncio.timeout(invocation.timeout_s):
                found = await self._result(invocation.key)
        except TimeoutError:
            raise ToolFailed("no_answer", acted=True) from None
        if found.error is not None:
            # The application says so itself: nothing is unknown.
            raise ToolFailed("error", acted=False, told=found.error)
        return Answer(found.result)

    async def _result(self, call_id: str) -> ToolResultEntry:
        request, inboxes = self._turn.request, self._turn.services.turns.inboxes
        while True:
            with contextlib.suppress(Exception):  # a table that fails is asked again
                found = await asyncio.to_thread(
                    inboxes.get_tool_result, request.session, request.turn_id, call_id
                )
                if found is not None:
                    return found
            await asyncio.sleep(REPLY_S)
