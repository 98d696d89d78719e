"""The functions that an application offers to the agent.

Each call runs once, however often it is asked for: by another attempt at the turn, over another
connection, or by a replay. Its answer is kept, and sent until the server has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeGuard

from parley_client.errors import BadInput, ParleyClientError
from parley_client.message_checks import check_size
from parley_client.messages import (
    MAX_CLIENT_TOOLS,
    MAX_RESULT_CHARS,
    ClientCall,
    ClientMessage,
    ToolResult,
)
from parley_client.notices import Notice, ToolFailed

Tool: TypeAlias = Callable[[dict[str, Any]], object]
"""A function that the agent may call, with its arguments as one dict. An `async` one runs in the
event loop, any other in a thread. It returns text, or what JSON can hold; None tells the agent
`done`. What it raises is told as the reason why it failed."""

MAX_ERROR_CHARS = 1_000
"""Of `tool_result.error`."""
CALLS_KEPT = 500
"""How many calls are remembered, the newest of a session."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


class ToolChannel(Protocol):
    """The part of a channel that tools need."""

    async def post(self, message: ClientMessage, *, always: bool = False) -> None:
        """Send a message, or keep it until there is a connection."""

    def spawn(
        self,
        work: Coroutine[object, object, None],
        failed: Callable[[Exception], None] | None = None,
    ) -> asyncio.Task[None]:
        """Run it until the channel is closed."""

    def announce(self, notice: Notice) -> None:
        """Tell the application."""


class _Late(TimeoutError):
    """A function took longer than the server waits for it."""


@dataclass(slots=True, eq=False)
class _Kept:
    """A call that was asked for."""

    turn_id: str
    is_wanted: bool = True
    """Whether the server may still wait for the answer."""
    answer: ToolResult | None = None
    task: asyncio.Task[None] | None = None


class ClientTools:
    """Runs the functions of an application.

    Args:
        functions: by the names that the deployment declares.
        max_message_bytes: gives how large a message may be.

    Raises:
        BadInput: a name cannot be a tool's, something is no function, or there are too many.
    """

    def __init__(self, functions: Mapping[str, Tool], max_message_bytes: Callable[[], int]) -> None:
        self._functions = dict(functions)
        self._max_message_bytes = max_message_bytes
        self._channel: ToolChannel | None = None
        self._calls: dict[str, _Kept] = {}
        for name, function in functions.items():
            _check_tool(name, function)
        if len(functions) > MAX_CLIENT_TOOLS:
            raise BadInput(
                f"There are {len(functions)} tools; at most {MAX_CLIENT_TOOLS} can be offered."
            )

    def attach(self, channel: ToolChannel) -> None:
        """What the answers are sent through."""
        self._channel = channel

    @property
    def names(self) -> list[str]:
        """What `init` offers."""
        return list(self._functions)

    def called(self, call: ClientCall) -> None:
        """The server asks for a call, perhaps again."""
        kept = self._calls.get(call.call_id)
        if kept is not None:
            kept.is_wanted = True
            self._send(kept)
            return
        kept = self._keep(call)
        kept.task = self._attached.spawn(self._run(call, kept))

    def ended(self, call_id: str) -> None:
        """The server says that a call has ended."""
        if (kept := self._calls.get(call_id)) is not None:
            kept.is_wanted = False

    def turn_ended(self, turn_id: str, *, interrupted: bool) -> None:
        """Nobody waits for answers of this turn; interrupted, its functions stop too."""
        for kept in self._calls.values():
            if kept.turn_id == turn_id:
                kept.is_wanted = False
                if interrupted and kept.task is not None:
                    kept.task.cancel()

    def unconfirmed(self) -> list[ToolResult]:
        """Return the answers that may not have arrived."""
        return [k.answer for k in self._calls.values() if k.answer is not None and k.is_wanted]

    def forget(self) -> None:
        """The session is over, and its calls with it."""
        for kept in self._calls.values():
            if kept.task is not None:
                kept.task.cancel()
        self._calls.clear()

    # --- inside -----------------------------------------------------------------

    @property
    def _attached(self) -> ToolChannel:
        assert self._channel is not None, "attached when the conversation is made"
        return self._channel

    def _keep(self, call: ClientCall) -> _Kept:
        kept = self._calls[call.call_id] = _Kept(call.turn_id)
        surplus = len(self._calls) - CALLS_KEPT
        answered = [call_id for call_id, each in self._calls.items() if each.answer is not None]
        for call_id in answered[: max(0, surplus)]:
            del self._calls[call_id]
        return kept

    async def _run(self, call: ClientCall, kept: _Kept) -> None:
        answer: ToolResult = {
            "type": "tool_result",
            "turn_id": call.turn_id,
            "call_id": call.call_id,
        }
        try:
            answer["result"] = await self._result(call, answer)
        except _Late as late:
            # It may have acted: the agent hears from the server's own clock that nobody knows.
            kept.task = None
            self._attached.announce(ToolFailed(call.turn_id, call.call_id, call.name, late))
            return
        except asyncio.CancelledError:
            # Nobody waits for it, but a replay must not run the function again.
            kept.answer = {**answer, "error": "The function was stopped: its turn is over."}
            raise
        except Exception as failed:
            answer["error"] = _reason_of(failed)
            self._attached.announce(ToolFailed(call.turn_id, call.call_id, call.name, failed))
        finally:
            kept.task = None
        kept.answer = answer
        if kept.is_wanted:
            # at once: a connection that is ready meanwhile would send it too
            await self._post(answer)

    async def _result(self, call: ClientCall, answer: ToolResult) -> str:
        function = self._functions.get(call.name)
        if function is None:
            raise BadInput(f'This application has no function "{call.name}".')
        try:
            async with asyncio.timeout(call.timeout_ms / 1000) as limit:
                result = await _call(function, call.arguments)
        except TimeoutError:
            if not limit.expired():
                raise  # the function's own
            raise _Late(f"The function took longer than {call.timeout_ms:,} ms.") from None
        text = _text_of(result)
        if len(text) > MAX_RESULT_CHARS:
            raise BadInput(
                f"The result has {len(text):,} characters; at most {MAX_RESULT_CHARS:,} can be "
                "sent."
            )
        check_size({**answer, "result": text}, self._max_message_bytes(), "result")
        return text

    def _send(self, kept: _Kept) -> None:
        if kept.answer is not None and kept.is_wanted:
            self._attached.spawn(self._post(kept.answer))

    async def _post(self, answer: ToolResult) -> None:
        with contextlib.suppress(ParleyClientError):  # the conversation is closed
            await self._attached.post(answer, always=True)


def _check_tool(name: str, function: object) -> None:
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"tools: {name!r} is no name of a tool. "
            "Letters, digits, _ and - are allowed, 1 to 64 of them."
        )
    if not callable(function):
        raise BadInput(f"tools[{name!r}] must be a function, not {type(function).__name__}.")


async def _call(function: Tool, arguments: dict[str, Any]) -> object:
    if _is_async(function):
        return await function(arguments)
    result = await asyncio.to_thread(function, arguments)
    return await result if inspect.isawaitable(result) else result


def _is_async(function: Tool) -> TypeGuard[Callable[[dict[str, Any]], Coroutine[Any, Any, object]]]:
    called = getattr(function, "__call__", None)  # noqa: B004  # of an object, it may be `async`
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _text_of(result: object) -> str:
    if result is None:
        return "done"
    if isinstance(result, str):
        return result
    return json.dumps(result, ensure_ascii=False, allow_nan=False)


def _reason_of(failed: Exception) -> str:
    text = str(failed) or type(failed).__name__
    return _HALF_CHARACTER.sub("\ufffd", text)[:MAX_ERROR_CHARS]
