"""One turn: hear, think, speak, and stop when told to.

One Lambda invocation runs one turn. This is where its parts meet: the claim, the
inbox, the three providers, the outbox and the history. Deciding is left to the plain
objects; connections are made as early as what they need is known.
"""

from __future__ import annotations

import asyncio
import functools
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley.errors import ConnectionGone, ParleyError, TurnTimeout
from parley.hearing import Hearing
from parley.history import History
from parley.invocation import TurnRequest
from parley.items import Session
from parley.keeping import Keeping
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
)
from parley.replying import Replying
from parley.responders import Prompt, Responder
from parley.settings import Deployment
from parley.speech import Synthesizer, Transcriber, TranscriptPiece
from parley.store import Store
from parley.tasks import Tasks, cancelled
from parley.timings import Timings, monotonic_at
from parley.watching import Watching
from parley.words import heard_text

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
        self._outbox = Outbox(request.turn_id, services.deployment.reply_format)
        self._post = post
        self._poster = Poster(self._outbox, self._post_frame, self._on_posted)
        self._keeping = Keeping(services.store, request, services.log)
        self._watching = self._inbox()
        self._hearing: Hearing | None = None
        self._replying: Replying | None = None
        self._user_text = ""
        self._asked = asyncio.Event()
        if not request.spoken:
            self._timings.mark("received", monotonic_at(request.received_at_ms))
            self._timings.mark("started", time.monotonic())

    def _inbox(self) -> Watching:
        request, services = self._request, self._services
        silence_s = services.deployment.listen_timeout_s
        return Watching(
            functools.partial(services.store.read_inbox, request.session_id, request.turn_id),
            Listening(silence_s, time.monotonic()) if request.spoken else None,
            self._timings,
            tell=self._tell,
            log=services.log,
        )

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
        tending = asyncio.create_task(self._tend(session, history))
        try:
            reason, failure = await self._until_stopped(conversing)
            return await self._finish(reason, failure)
        finally:
            await cancelled(posting, tending)
            await self._keeping.settled()

    async def _tend(self, session: Session, history: list[Message]) -> None:
        """Watch the inbox and write down what happened, but not before the model was asked:
        until then, all the time there is belongs to the first sound."""
        if not self._request.spoken:
            await self._asked.wait()
        self._keeping.newest_turn(session, history)
        await self._watching.run()

    def _on_asked(self) -> None:
        if not self._asked.is_set():
            self._asked.set()
            self._keeping.user(self._user_text)

    # --- the conversation -------------------------------------------------------

    async def _until_stopped(
        self, conversing: asyncio.Task[None]
    ) -> tuple[TurnEndReason, ParleyError | None]:
        budget = max(0.1, self._remaining_s() - ENDING_MARGIN_S)
        stops: set[asyncio.Future[Any]] = {conversing, self._watching.interrupt}
        await asyncio.wait(stops, timeout=budget, return_when=asyncio.FIRST_COMPLETED)
        if self._watching.interrupt.done():
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
            asked=self._on_asked,
        )
        async with Tasks() as tasks:
            speaking = tasks.start(self._speak(replying))
            if self._request.spoken:
                tasks.start(self._services.responder.warm_up())
                self._user_text = await self._hear(settings)
            else:
                self._user_text = self._request.text or ""
            try:
                await replying.think(self._prompt(settings, history))
            except ParleyError:
                if replying.text:  # what has been said is spoken to its end
                    await speaking
                raise
            await speaking
            await self._poster.drained()

    async def _speak(self, replying: Replying) -> None:
        """Connect to the synthesizer early: while the user speaks, or while the model thinks."""
        if not self._request.spoken:
            await self._asked.wait()
        await replying.speak()

    async def _hear(self, settings: Settings) -> str:
        deployment = self._services.deployment
        self._hearing = Hearing(
            self._services.transcriber,
            self._watching.audio,
            self._request.format,
            str(settings.language or ""),
            self._request.endpointing,
            timeout_s=deployment.provider_timeout_s,
            on_partial=self._on_partial,
        )
        text = await self._hearing.transcript()
        now = time.monotonic()
        self._watching.heard_the_end()
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

    def _tell(self, error: ParleyError) -> None:
        self._outbox.error(error)
        self._poster.wake()

    def _on_partial(self, piece: TranscriptPiece) -> None:
        self._outbox.transcript(piece.text, final=False)
        self._poster.wake()

    def _prompt(self, settings: Settings, history: list[Message]) -> Prompt:
        instructions = self._services.deployment.system_prompt
        if settings.style:
            instructions += f"\n\nHow to reply: {settings.style}"
        return Prompt(instructions, history, self._user_text)

    # --- the end --------------------------------------------------------------------

    async def _finish(self, reason: TurnEndReason, error: ParleyError | None) -> Outcome:
        replying = self._replying
        said = replying.text if replying else ""
        words = replying.words if replying else []
        if reason == "interrupted":
            self._outbox.drop_unsent()
        if error is not None:
            self._outbox.error(error)
        if self._user_text:
            self._on_asked()  # it may have been stopped before the model was asked
        await self._poster.drained()
        self._timings.mark("ended", time.monotonic())
        metrics, heard = self._metrics(), self._heard()
        await self._keeping.reply(reason, said, heard, words, metrics)
        if reason == "completed":
            # An interruption before this look is ours to honour; one after it finds the turn
            # finished, and the message function honours it.
            await self._watching.look()
            if self._watching.interrupt.done():
                reason, heard = "interrupted", self._heard()
                if heard is not None:
                    await self._keeping.heard(heard)
        await self._poster.post(self._outbox.end(reason, said, metrics, heard))
        return Outcome(reason, metrics, error)

    def _heard(self) -> str | None:
        """What of the reply was heard, if it was interrupted and that can be known."""
        if not self._watching.interrupt.done() or self._replying is None:
            return None
        played_ms = self._watching.interrupt.result().played_ms
        untimed = self._outbox.audio_ms and not self._replying.words  # what sounded, nobody knows
        if played_ms is None or untimed or self._replying.speech_failed:
            return None
        return heard_text(self._replying.words, played_ms)

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
        # Where, not what: a message may hold what the user said.
        places = traceback.extract_tb(error.__traceback__)
        where = [f"{Path(place.filename).name}:{place.lineno} {place.name}" for place in places]
        self._log("turn_failed", {"error": type(error).__name__, "where": where[-5:]})
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

    def _log(self, event: str, fields: dict[str, Any]) -> None:
        self._services.log(event, fields)
