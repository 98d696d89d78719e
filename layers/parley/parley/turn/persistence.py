"""What a turn leaves in the table: both sides of the conversation, and how it ended.

None of it is on the way to the first sound: it is written once the model has been asked.
A table that fails costs the record, never the turn.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from parley.audio.captions import Sound
from parley.audio.heard import Heard
from parley.protocol.messages import Message, Metrics, Span, TurnEndReason
from parley.protocol.turn_request import TurnRequest
from parley.storage.inbox_entries import InterruptEntry
from parley.storage.item_codec import Session, TurnAttempt
from parley.storage.sessions import SessionStore
from parley.storage.turns import TurnStore
from parley.turn.stop import StopReason, TurnStop


class TurnPersistence:
    """Write down one turn.

    Args:
        owner: names the invocation that has its lease.
        attempt: which attempt it is.
        stop: asked when the turn turns out not to be this attempt's to end.
        log: told about trouble; takes an event name and fields.
    """

    def __init__(
        self,
        sessions: SessionStore,
        turns: TurnStore,
        request: TurnRequest,
        owner: str,
        attempt: TurnAttempt,
        stop: TurnStop,
        log: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._request = request
        self._owner = owner
        self._attempt = attempt
        self._stop = stop
        self._log = log
        self._writes: dict[str, asyncio.Task[None]] = {}
        self._reply_key = ""

    def note_newest_turn(
        self, history: list[Message], found: Callable[[Session | None], None]
    ) -> None:
        """Note in the background that this is the session's newest turn.

        Interrupts an older one that still runs.

        Args:
            found: told of the session as it was when that was noted, or None if a newer turn
                has come already. Whoever moves the session to another connection later finds
                this turn, and tells it.
        """
        self._start("newest_turn", lambda: self._note_newest(history, found))

    def write_user_message(self, text: str, sound: Sound, language: str | None = None) -> None:
        """Write in the background what the user said. The first call counts."""
        message = Message("user", text, self._turn_id, language=language)
        self._start("user_message", lambda: self._put(message, sound))

    def write_heard_language(self, language: str) -> None:
        """Write in the background which language the session's next turns begin with."""
        ref, received_at_ms = self._request.session, self._request.received_at_ms
        self._start(
            "heard_language",
            lambda: asyncio.to_thread(
                self._sessions.note_heard_language, ref, language, received_at_ms
            ),
        )

    def write_usage(self, charge: Callable[[], Awaitable[None]]) -> None:
        """Write in the background what the turn has used."""
        self._start("usage", charge)

    def write_use(self, metrics: Metrics) -> None:
        """Write in the background what an attempt has used whose reply does not keep that."""
        self._start(
            "use",
            lambda: asyncio.to_thread(
                self._sessions.usage.put,
                self._request.session,
                self._turn_id,
                self._attempt.number,
                metrics,
            ),
        )

    async def write_reply_and_end(
        self,
        reason: TurnEndReason,
        said: str,
        heard: str | None,
        parts: list[Heard],
        metrics: Metrics,
        sound: Sound,
        language: str | None = None,
        *,
        heard_estimated: bool = False,
        fillers: list[Span] | None = None,
        tools: list[str] | None = None,
        agent: bool = False,
    ) -> None:
        """Write the reply and the turn's end, after everything else has been written.

        Requests `SUPERSEDED` if the turn was no longer this attempt's to end.
        """
        # In order: who finds the turn ended finds its reply, and what was said before it.
        await self.wait_until_written()
        if said:
            message = Message(
                "assistant",
                said,
                self._turn_id,
                heard,
                language=language,
                heard_estimated=heard_estimated,
                fillers=fillers or [],
                tools=tools or [],
                agent=agent,
            )
            self._start("reply", lambda: self._put_reply(message, sound, metrics))
            await self.wait_until_written()
        self._start("turn_end", lambda: self._finish(reason, parts))
        await self.wait_until_written()
        if not said and self._attempt.number > 1 and not self._stop.superseded:
            # The attempt before may have written its reply after this one had voided it.
            self._start("no_reply", self.forget_reply)
            await self.wait_until_written()

    async def forget_reply(self) -> None:
        """Delete what an attempt before this one replied."""
        await asyncio.to_thread(
            self._sessions.forget_reply,
            self._request.session,
            self._attempt.started_ms,
            self._turn_id,
        )

    async def write_heard(self, heard: str, interrupt: InterruptEntry, *, estimated: bool) -> None:
        """Note afterwards that of the reply only so much was heard."""
        if self._reply_key:
            self._start("heard", lambda: self._put_heard(heard, interrupt, estimated))
            await self.wait_until_written()

    async def write_answer(self, attempt: int, frames: list[bytes]) -> None:
        """Keep the events of an attempt that answer an HTTP request."""
        self._start("answer", lambda: self._put_answer(attempt, frames))
        await self.wait_until_written()

    async def end_session(self, after_s: float) -> None:
        """Let the session be over in so many s, unless the user goes on."""
        ref, at_s = self._request.session, math.ceil(time.time() + after_s)
        self._start(
            "session_end",
            lambda: asyncio.to_thread(self._sessions.end_after_turn, ref, self._turn_id, at_s),
        )
        await self.wait_until_written()

    async def wait_until_written(self) -> None:
        """Wait for what is written in the background."""
        await asyncio.gather(*self._writes.values())

    # --- the writes ---------------------------------------------------------------

    @property
    def _turn_id(self) -> str:
        return self._request.turn_id

    def _start(self, name: str, write: Callable[[], Awaitable[Any]]) -> None:
        """Begin a write, once for each name."""
        if name not in self._writes:
            self._writes[name] = asyncio.create_task(self._try(name, write))

    async def _try(self, name: str, write: Callable[[], Awaitable[Any]]) -> None:
        try:
            await write()
        except Exception as error:
            self._log("not_kept", {"what": name, "error": type(error).__name__})

    async def _note_newest(
        self, history: list[Message], found: Callable[[Session | None], None]
    ) -> None:
        ref, received_at_ms = self._request.session, self._request.received_at_ms
        session = await asyncio.to_thread(
            self._sessions.set_active_turn, ref, self._turn_id, received_at_ms
        )
        found(session)
        previous = session.active_turn if session is not None else None
        # One that has replied has ended, or is about to: its reply stays as it is.
        replied = any(m.turn_id == previous and m.role == "assistant" for m in history)
        if previous and previous != self._turn_id and not replied:
            await asyncio.to_thread(
                self._turns.inboxes.put_interrupt,
                ref,
                previous,
                InterruptEntry(None, received_at_ms),
            )

    async def _put(self, message: Message, sound: Sound, metrics: Metrics | None = None) -> str:
        return await asyncio.to_thread(
            self._sessions.put_message,
            self._request.session,
            self._attempt.started_ms,
            message,
            metrics,
            sound,
            self._attempt.number,
        )

    async def _put_reply(self, message: Message, sound: Sound, metrics: Metrics) -> None:
        self._reply_key = await self._put(message, sound, metrics)

    async def _finish(self, reason: TurnEndReason, parts: list[Heard]) -> None:
        finished = await asyncio.to_thread(
            self._turns.finish_turn,
            self._request.session,
            self._turn_id,
            self._owner,
            reason=reason,
            message_key=self._reply_key,
            parts=parts,
        )
        if not finished:
            self._stop.request(StopReason.SUPERSEDED)

    async def _put_answer(self, attempt: int, frames: list[bytes]) -> None:
        await asyncio.to_thread(
            self._turns.put_answer, self._request.session, self._turn_id, attempt, frames
        )

    async def _put_heard(self, heard: str, interrupt: InterruptEntry, estimated: bool) -> None:
        await asyncio.to_thread(
            self._sessions.set_heard,
            self._request.session,
            self._reply_key,
            heard,
            interrupt.received_at_ms,
            interrupt.played_ms,
            estimated=estimated,
        )
