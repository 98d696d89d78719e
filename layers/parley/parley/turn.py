"""One turn: hear, think, speak, and stop when told to.

One Lambda invocation runs one turn. This is where its parts meet: the claim, the
inbox, the three providers, the outbox and the history. Deciding is left to the plain
objects; connections are made as early as what they need is known.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from parley.errors import ConnectionGone, ParleyError, TurnTimeout
from parley.hearing import Hearing
from parley.history import History
from parley.inbox import ChunkEntry, EndEntry, InterruptEntry
from parley.invocation import TurnRequest
from parley.items import Session
from parley.listening import Listening
from parley.outbox import Outbox
from parley.posting import Post, Poster
from parley.protocol import (
    Audio,
    Message,
    Metrics,
    ReplyText,
    ServerEvent,
    Settings,
    TurnEndReason,
    Word,
)
from parley.replying import Replying
from parley.responders import Prompt, Responder
from parley.settings import Deployment
from parley.speech import Synthesizer, Transcriber, TranscriptPiece
from parley.store import Store
from parley.tasks import Tasks, cancelled
from parley.timings import Timings
from parley.words import heard_text

LISTENING_POLL_S = 0.025
REPLYING_POLL_S = 0.04
ENDING_MARGIN_S = 3.0
"""What a turn keeps of its invocation's time to end in good order."""


@dataclass(frozen=True, slots=True)
class Services:
    """What a turn works with.

    Attributes:
        log: told about trouble that the client is not; takes an event name and fields.
    """

    store: Store
    history: History
    transcriber: Transcriber
    responder: Responder
    synthesizer: Synthesizer
    deployment: Deployment
    log: Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended."""

    reason: TurnEndReason
    metrics: Metrics
    error: ParleyError | None = None


class Turn:
    """One turn of one session.

    Args:
        post: sends a frame to the turn's connection.
        remaining_s: how much of the invocation's time is left.
        cold: whether the environment is fresh.
    """

    def __init__(
        self,
        request: TurnRequest,
        services: Services,
        post: Post,
        *,
        remaining_s: Callable[[], float],
        cold: bool,
    ) -> None:
        self._request = request
        self._services = services
        self._remaining_s = remaining_s
        self._cold = cold
        self._timings = Timings()
        self._started_ms = int(time.time() * 1000)
        self._outbox = Outbox(request.turn_id, services.deployment.reply_format)
        self._post = post
        self._poster = Poster(self._outbox, self._post_frame, self._on_posted)
        self._listening: Listening | None = None
        self._hearing: Hearing | None = None
        self._replying: Replying | None = None
        self._interrupt: asyncio.Future[InterruptEntry] = asyncio.Future()
        self._user_text = ""
        self._user_kept: asyncio.Task[str] | None = None
        if request.spoken:
            self._listening = Listening(services.deployment.listen_timeout_s, time.monotonic())
        else:
            now = time.monotonic()
            self._timings.mark("received", self._monotonic_at(request.received_at_ms))
            self._timings.mark("started", now)

    async def run(self, owner: str) -> Outcome | None:
        """Run the turn to its end; None if another invocation runs it or its session is over.

        Args:
            owner: names this invocation in the claim.
        """
        store, request = self._services.store, self._request
        claimed, read = await asyncio.gather(
            asyncio.to_thread(store.claim_turn, request.session_id, request.turn_id, owner),
            asyncio.to_thread(self._services.history.read, request.session_id),
            return_exceptions=True,  # neither is left running when the other fails
        )
        for failed in (claimed, read):
            if isinstance(failed, Exception):
                return await self._refuse(self._internal(failed))
            if isinstance(failed, BaseException):
                raise failed
        assert not isinstance(read, BaseException)
        session, history = read
        if not claimed:
            return None
        if session is None or session.status != "active":
            return await self._refuse(
                ParleyError(
                    "session_not_found",
                    "This session is over. Open a new connection and send init.",
                )
            )
        conversing = asyncio.create_task(self._converse(session, history))
        posting = asyncio.create_task(self._poster.run())
        watching = asyncio.create_task(self._watch_inbox())
        noting = asyncio.create_task(self._note_active_turn(session, history))
        try:
            reason, failure = await self._until_stopped(conversing)
            return await self._finish(reason, failure)
        finally:
            await cancelled(posting, watching)
            await noting

    # --- the conversation -------------------------------------------------------

    async def _until_stopped(
        self, conversing: asyncio.Task[None]
    ) -> tuple[TurnEndReason, ParleyError | None]:
        budget = max(0.1, self._remaining_s() - ENDING_MARGIN_S)
        stops: set[asyncio.Future[Any]] = {conversing, self._interrupt}
        await asyncio.wait(stops, timeout=budget, return_when=asyncio.FIRST_COMPLETED)
        if self._interrupt.done():
            await cancelled(conversing)
            return "interrupted", None
        if not conversing.done():
            await cancelled(conversing)
            return "failed", TurnTimeout()
        try:
            await conversing
        except ParleyError as error:
            return "failed", error
        except Exception as error:
            return "failed", self._internal(error)
        return "completed", None

    async def _converse(self, session: Session, history: list[Message]) -> None:
        settings = self._services.deployment.defaults.merged_with(session.settings)
        replying = self._replying = Replying(
            self._services.responder,
            self._services.synthesizer,
            settings,
            self._outbox,
            self._timings,
            timeout_s=self._services.deployment.provider_timeout_s,
            changed=self._poster.wake,
        )
        async with Tasks() as tasks:
            speaking = tasks.start(replying.speak())
            if self._request.spoken:
                tasks.start(self._services.responder.warm_up())
                self._user_text = await self._hear(settings)
            else:
                self._user_text = self._request.text or ""
            self._user_kept = asyncio.create_task(self._remember("user", self._user_text))
            try:
                await replying.think(self._prompt(settings, history))
            except ParleyError:
                if replying.text:  # what has been said is spoken to its end
                    await speaking
                raise
            await speaking
            await self._poster.drained()

    async def _hear(self, settings: Settings) -> str:
        deployment = self._services.deployment
        self._hearing = Hearing(
            self._services.transcriber,
            self._request.format,
            str(settings.language or ""),
            self._request.endpointing,
            timeout_s=deployment.provider_timeout_s,
            on_partial=self._on_partial,
        )
        text = await self._hearing.transcript()
        now = time.monotonic()
        if self._listening is not None:
            self._listening.stop()
        self._timings.mark("received", now)
        self._timings.mark("started", now)
        self._timings.mark("transcribed", now)
        if not text.strip():
            raise ParleyError(
                "no_speech",
                "No words were heard. Check the microphone and say it again.",
                retryable=True,
            )
        self._outbox.transcript(text, final=True)
        self._poster.wake()
        return text

    def _on_partial(self, piece: TranscriptPiece) -> None:
        self._outbox.transcript(piece.text, final=False)
        self._poster.wake()

    def _prompt(self, settings: Settings, history: list[Message]) -> Prompt:
        instructions = self._services.deployment.system_prompt
        if settings.style:
            instructions += f"\n\nHow to reply: {settings.style}"
        return Prompt(instructions, history, self._user_text)

    # --- the inbox ----------------------------------------------------------------

    async def _watch_inbox(self) -> None:
        store, request = self._services.store, self._request
        while True:
            listening = self._listening
            try:
                entries = await asyncio.to_thread(
                    store.read_inbox,
                    request.session_id,
                    request.turn_id,
                    listening.next_seq if listening else 1,
                )
            except Exception as error:  # a poll that fails is made up for by the next one
                self._log("inbox_unreadable", {"error": type(error).__name__})
                entries = []
            for entry in entries:
                self._take(entry)
            self._let_time_pass()
            waiting = listening is not None and not listening.over
            await asyncio.sleep(LISTENING_POLL_S if waiting else REPLYING_POLL_S)

    def _take(self, entry: ChunkEntry | EndEntry | InterruptEntry) -> None:
        now = time.monotonic()
        if isinstance(entry, InterruptEntry):
            if not self._interrupt.done():
                self._interrupt.set_result(entry)
        elif self._listening is None:
            return
        elif isinstance(entry, EndEntry):
            self._listening.take_end(entry, now)
        else:
            self._hand_on(self._listening.take_chunk(entry, now))

    def _let_time_pass(self) -> None:
        if self._listening is None:
            return
        was_over = self._listening.over
        late_audio, errors = self._listening.update(time.monotonic())
        self._hand_on(late_audio)
        for error in errors:
            self._outbox.error(error)
            self._poster.wake()
        if self._listening.over and not was_over and self._hearing is not None:
            now = time.monotonic()
            end = self._listening.end
            zero = self._monotonic_at(end.received_at_ms) if end is not None else now
            self._timings.mark("received", zero)
            self._timings.mark("started", now)
            self._hearing.audio.close()

    def _hand_on(self, chunks: list[bytes]) -> None:
        if self._hearing is not None:
            for audio in chunks:
                self._hearing.audio.put(audio)

    # --- the end --------------------------------------------------------------------

    async def _finish(self, reason: TurnEndReason, error: ParleyError | None) -> Outcome:
        replying = self._replying
        said = replying.text if replying else ""
        words = replying.words if replying else []
        heard: str | None = None
        if reason == "interrupted":
            self._outbox.drop_unsent()
            played_ms = self._interrupt.result().played_ms
            untimed = self._outbox.audio_ms and not words  # it sounded; what, nobody knows
            if played_ms is not None and not untimed and not (replying and replying.speech_failed):
                heard = heard_text(words, played_ms)
        if error is not None:
            self._outbox.error(error)
        await self._poster.drained()
        self._timings.mark("ended", time.monotonic())
        metrics = self._metrics()
        await self._keep(reason, said, heard, words, metrics)
        await self._poster.post(self._outbox.end(reason, said, metrics, heard))
        return Outcome(reason, metrics, error)

    async def _keep(
        self,
        reason: TurnEndReason,
        said: str,
        heard: str | None,
        words: list[Word],
        metrics: Metrics,
    ) -> None:
        """Write the reply to the history; a table that fails does not cost the turn its end."""
        request, store = self._request, self._services.store
        try:
            if self._user_kept is not None:
                await self._user_kept
            key = await self._remember("assistant", said, heard, metrics) if said else ""
            await asyncio.to_thread(
                store.finish_turn,
                request.session_id,
                request.turn_id,
                reason=reason,
                message_key=key,
                words=words,
            )
        except Exception as error:
            self._log("turn_not_kept", {"error": type(error).__name__})

    async def _remember(
        self, role: str, text: str, heard: str | None = None, metrics: Metrics | None = None
    ) -> str:
        message = Message(
            "user" if role == "user" else "assistant", text, self._request.turn_id, heard
        )
        return await asyncio.to_thread(
            self._services.store.put_message,
            self._request.session_id,
            self._started_ms,
            message,
            metrics,
        )

    async def _note_active_turn(self, session: Session, history: list[Message]) -> None:
        """Note that this is the newest turn; one that still runs is interrupted by it."""
        request, store = self._request, self._services.store
        try:
            await asyncio.to_thread(store.set_active_turn, request.session_id, request.turn_id)
            previous = session.active_turn
            replied = any(m.turn_id == previous and m.role == "assistant" for m in history)
            if previous and not replied:
                await asyncio.to_thread(
                    store.put_interrupt, request.session_id, previous, InterruptEntry(None)
                )
        except Exception as error:
            self._log("active_turn_not_noted", {"error": type(error).__name__})

    async def _refuse(self, error: ParleyError) -> Outcome:
        """End a turn that never began."""
        self._outbox.drop_unsent()
        self._outbox.error(error)
        event = self._outbox.next(time.monotonic())
        if event is not None:
            await self._poster.post(event)
        metrics = Metrics(cold=self._cold)
        await self._poster.post(self._outbox.end("failed", "", metrics))
        return Outcome("failed", metrics, error)

    def _internal(self, error: Exception) -> ParleyError:
        self._log("turn_failed", {"error": type(error).__name__, "detail": str(error)})
        return ParleyError(
            "internal", "Something went wrong on our side. Try again.", retryable=True
        )

    def _metrics(self) -> Metrics:
        metrics = self._timings.metrics()
        replying, hearing = self._replying, self._hearing
        metrics.audio_ms = round(self._outbox.audio_ms)
        metrics.reply_chars = len(replying.text) if replying else 0
        metrics.posts = self._poster.posts
        metrics.retries = (replying.retries if replying else 0) + (
            hearing.retries if hearing else 0
        )
        metrics.cold = self._cold
        metrics.connection_reused = self._services.responder.connection_reused
        return metrics

    async def _post_frame(self, frame: bytes) -> None:
        """Post a frame; one that fails in a way nobody thought of is one that never arrives."""
        try:
            await self._post(frame)
        except ConnectionGone:
            raise
        except Exception as error:
            self._log("post_failed", {"error": type(error).__name__})
            raise ConnectionGone from None

    def _on_posted(self, event: ServerEvent) -> None:
        if isinstance(event, ReplyText):
            self._timings.mark("first_text_posted", time.monotonic())
        elif isinstance(event, Audio):
            self._timings.mark("first_audio_posted", time.monotonic())

    def _monotonic_at(self, epoch_ms: int) -> float:
        return time.monotonic() - max(0.0, time.time() - epoch_ms / 1000)

    def _log(self, event: str, fields: dict[str, Any]) -> None:
        self._services.log(event, fields)
