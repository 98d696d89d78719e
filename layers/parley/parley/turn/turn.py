"""One turn: hear, think, speak, and stop when told to.

One Lambda invocation runs one turn. This is where its parts meet: the claim and its lease, the
inbox, the conversation (`parley.turn.pipeline`), the outbox, and the end (`parley.turn.finish`),
whatever it is that stops it.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from typing import Any

from parley.aio.tasks import BackgroundClose, cancelled
from parley.audio.pcm import sample_rate_hz
from parley.aws.management_api import Address
from parley.errors import ConnectionGone, ParleyError, PostRefused, TurnTimeout, internal_error
from parley.protocol.messages import Audio, Message, ReplyText, TurnEndReason
from parley.protocol.turn_request import TurnRequest
from parley.storage.inbox_entries import BegunEntry, ResumeEntry
from parley.storage.item_codec import Session, TurnClaim
from parley.storage.turns import RENEW_S
from parley.turn.audio_recorder import AudioRecorder
from parley.turn.context import Parts, Services
from parley.turn.finish import Outcome, TurnFinisher
from parley.turn.input.endpointing import EndpointDetector
from parley.turn.input.poller import InboxPoller
from parley.turn.output.latency import TurnLatency
from parley.turn.output.outbox import Numbered, Outbox
from parley.turn.output.sender import Post, Sender
from parley.turn.persistence import TurnPersistence
from parley.turn.pipeline import Pipeline
from parley.turn.playback_times import PlaybackTimes
from parley.turn.stop import StopReason, TurnStop

ENDING_MARGIN_S = 3.0
"""What a turn keeps of its invocation's time to end in good order."""


class Turn:
    """One attempt at one turn of one session.

    Args:
        claim: which attempt it is.
        owner: names this invocation.
        session: the session as it was when the turn began.
        history: its messages.
        post: sends a frame to a connection.
        remaining_s: how much of the invocation's time is left.
        cold: whether the environment is fresh.
        timings: begun when the turn was.
        stop: whether and why it is to stop, perhaps before it has begun.
    """

    def __init__(
        self,
        request: TurnRequest,
        claim: TurnClaim,
        owner: str,
        session: Session,
        history: list[Message],
        services: Services,
        post: Post,
        *,
        remaining_s: Callable[[], float],
        cold: bool,
        timings: TurnLatency,
        stop: TurnStop,
    ) -> None:
        self._request = request
        self._claim = claim
        self._owner = owner
        self._history = [m for m in history if m.turn_id != request.turn_id]
        self._services = services
        self._remaining_s = remaining_s
        self._timings = timings
        self._stop = stop
        self._outbox = Outbox(request.turn_id, services.deployment.reply_format, claim.attempt)
        self._post = post
        address = Address(session.endpoint, session.connection_id)
        self._poster = Sender(
            self._outbox, self._post_frame, address, self._on_posted, fixed=not request.connected
        )
        self._keeping = TurnPersistence(
            services.store, services.turns, request, owner, claim, stop, services.log
        )
        self._watching = self._inbox()
        self._sounding = PlaybackTimes(request)
        self._closing = BackgroundClose()
        policy = services.deployment.settings_policy
        settings = policy.in_force(session.settings, session.signed)
        self._recording = AudioRecorder(
            services.recordings if settings.record is True else None,
            request,
            services.deployment.reply_format,
            services.log,
        )
        parts = Parts(
            request,
            claim,
            services,
            self._outbox,
            self._poster,
            self._watching,
            self._keeping,
            self._sounding,
            timings,
            self._closing,
            stop,
        )
        self._conversing = Pipeline(parts, settings, self._history)
        self._ending = TurnFinisher(
            parts, self._conversing, self._recording, remaining_s=remaining_s, cold=cold
        )
        self._resumed = False

    def _inbox(self) -> InboxPoller:
        request, services = self._request, self._services
        silence_s = services.deployment.listen_timeout_s
        watching = InboxPoller(
            functools.partial(services.turns.inboxes.read_inbox, request.session, request.turn_id),
            self._claim.attempt,
            request.received_at_ms,
            None if request.complete else self._listening(silence_s),
            self._timings,
            tell=self._tell,
            moved=self._on_moved,
            stop=self._stop,
            log=services.log,
        )
        if request.audio is not None:
            watching.take_whole(request.audio)
        return watching

    def _listening(self, silence_s: float) -> EndpointDetector:
        return EndpointDetector(
            silence_s,
            time.monotonic(),
            self._services.deployment.limits.utterance_s,
            sample_rate_hz(self._request.format),
        )

    async def run(self) -> Outcome | None:
        """Run the turn to its end; None if somebody else has ended it or runs it."""
        if self._claim.attempt > 1:
            await self._begin_anew()
            await self._watching.look()  # what is left in the inbox is meant for this attempt
        async with self._closing:
            return await self._run()

    async def _run(self) -> Outcome | None:
        posting = asyncio.create_task(self._poster.run())
        tending = asyncio.create_task(self._tend())
        renewing = asyncio.create_task(self._renew_lease())
        try:
            ended = await self._until_stopped()
            self._ending.charge()
            return None if ended is None else await self._ending.finish(*ended)
        finally:
            await cancelled(posting, tending, renewing)
            await self._keeping.settled()

    async def _until_stopped(self) -> tuple[TurnEndReason, ParleyError | None] | None:
        if self._stop.reason is not None:  # nothing has been asked for, nor will be
            self._conversing.user_text = self._request.text or ""
            return None if self._stop.superseded else ("interrupted", None)
        conversing = asyncio.create_task(self._conversing.run())
        await self._stop.wait_for(conversing, max(0.1, self._remaining_s() - ENDING_MARGIN_S))
        if self._stop.reason is not None:
            self._poster.hold()  # the providers' connections may take a while to close
            await cancelled(conversing)
            return None if self._stop.superseded else ("interrupted", None)
        if not conversing.done():
            await cancelled(conversing)
            return "failed", TurnTimeout()
        try:
            await conversing
        except ParleyError as error:
            return "failed", error
        except Exception as error:
            return "failed", internal_error(error, self._log)
        return "completed", None

    async def _begin_anew(self) -> None:
        """What the attempt before was told, and what it replied, is void; if it still runs, it
        is told that."""
        request, services = self._request, self._services
        ref, turn_id = request.session, request.turn_id
        try:
            await asyncio.to_thread(
                services.turns.inboxes.put_begun, ref, turn_id, BegunEntry(self._claim.attempt)
            )
            await asyncio.to_thread(
                services.turns.inboxes.clear_controls, ref, turn_id, request.received_at_ms
            )
            await self._keeping.forget_reply()
        except Exception as error:
            self._log("attempt_not_forgotten", {"error": type(error).__name__})

    async def _tend(self) -> None:
        """Watch the inbox and write down what happened, but not before the model was asked:
        until then, all the time there is belongs to the first sound."""
        if not self._request.spoken:
            await self._conversing.asked.wait()
        self._keeping.newest_turn(self._history, self._on_noted)
        await self._watching.run()

    async def _renew_lease(self) -> None:
        request, turns = self._request, self._services.turns
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                ours = await asyncio.to_thread(
                    turns.renew_lease, request.session, request.turn_id, self._owner
                )
            except Exception as error:  # the next renewal makes up for it
                self._log("lease_not_renewed", {"error": type(error).__name__})
                continue
            if not ours:
                self._stop.request(StopReason.SUPERSEDED)
                return

    def _on_noted(self, session: Session | None) -> None:
        """This is the newest turn now, or a newer one has come already."""
        if session is None:
            self._stop.request(StopReason.OVERTAKEN)
            return
        address = Address(session.endpoint, session.connection_id)
        if address != self._poster.address and not self._resumed:  # a resume is newer than this
            self._poster.move(address, 0)

    def _on_moved(self, resume: ResumeEntry) -> None:
        """The session goes on over another connection."""
        self._resumed = True
        received = resume.seq if resume.attempt == self._claim.attempt else 0
        self._poster.move(Address(resume.endpoint, resume.connection_id), received)

    def _tell(self, error: ParleyError) -> None:
        self._outbox.error(error)
        self._poster.wake()

    async def _post_frame(self, address: Address, frame: bytes) -> None:
        """Post a frame; one that fails in a way nobody thought of is one that never arrives."""
        try:
            await self._post(address, frame)
        except PostRefused as refused:
            self._log("post_refused", {"status": refused.status})
            raise
        except ConnectionGone:
            raise
        except Exception as error:
            self._log("post_failed", {"error": type(error).__name__})
            raise ConnectionGone from None

    def _on_posted(self, event: Numbered) -> None:
        if isinstance(event, ReplyText):
            self._timings.mark("first_text_posted", time.monotonic())
        elif isinstance(event, Audio):
            self._timings.mark("first_audio_posted", time.monotonic())
        self._sounding.posted(event)
        self._recording.posted(event)

    def _log(self, event: str, fields: dict[str, Any]) -> None:
        self._services.log(event, fields)
