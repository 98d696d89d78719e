"""One turn: transcribe, think, speak, and stop when told to.

One Lambda invocation runs one turn. This is where its parts meet: the attempt and its lease, the
inbox, the conversation (`parley.turn.pipeline`), the outbox, and the end (`parley.turn.finish`),
whatever it is that stops it.
"""

from __future__ import annotations

import asyncio
import functools
import time
from typing import Any

from parley.agents.agent import Agent
from parley.aio.tasks import BackgroundClose, cancel_tasks
from parley.audio.mulaw import decode_mulaw
from parley.audio.pcm import sample_rate_hz
from parley.aws.management_api import Address
from parley.config import Deployment
from parley.errors import ConnectionGone, ParleyError, PostRefused, TurnTimeout, internal_error
from parley.protocol.messages import Audio, ReplyText, TurnEndReason
from parley.protocol.turn_request import TurnRequest
from parley.storage.history import History
from parley.storage.inbox_entries import BegunEntry, ResumeEntry
from parley.storage.item_codec import Session, TurnAttempt
from parley.storage.turns import RENEW_S
from parley.turn.audio_recorder import AudioRecorder
from parley.turn.context import Invocation, TurnContext, TurnServices
from parley.turn.finish import Outcome, TurnFinisher
from parley.turn.input.endpointing import EndpointDetector
from parley.turn.input.poll_rhythm import PollRhythm
from parley.turn.input.poller import InboxPoller
from parley.turn.language import TurnLanguage
from parley.turn.output.latency import TurnLatency
from parley.turn.output.outbox import Numbered, Outbox
from parley.turn.output.sender import Sender
from parley.turn.persistence import TurnPersistence
from parley.turn.pipeline import Pipeline
from parley.turn.playback_times import PlaybackTimes
from parley.turn.stop import StopReason, TurnStop
from parley.turn.tools.plan import turn_before
from parley.turn.tools.rounds import ToolRounds

END_MARGIN_S = 3.0
"""What a turn keeps of its invocation's time to end in good order."""
SETTLE_MARGIN_S = 1.0
"""What is kept of it when what was begun is waited for at the end."""
MAX_RENEWALS = 2
"""How many renewals of the lease may be under way. An answer that never comes is waited for longer
than the lease holds (`parley.aws.service.CALLS`)."""


class Turn:
    """Run one attempt at one turn of one session.

    Args:
        attempt: which attempt it is.
        session: the session as it was when the turn began.
        agent: the session's.
        history: its messages, and what was called for them.
        latency: begun when the turn was.
        stop: whether and why it is to stop, perhaps before it has begun.
    """

    def __init__(
        self,
        request: TurnRequest,
        attempt: TurnAttempt,
        session: Session,
        agent: Agent,
        history: History,
        services: TurnServices,
        invocation: Invocation,
        latency: TurnLatency,
        stop: TurnStop,
    ) -> None:
        deployment, log = services.deployment, services.log
        language = TurnLanguage(services.agents.policy_of(session), session)
        outbox = Outbox(request.turn_id, deployment.reply_format, attempt.number)
        self._turn = TurnContext(
            request=request,
            attempt=attempt,
            services=services,
            invocation=invocation,
            outbox=outbox,
            sender=Sender(
                outbox,
                self._post_frame,
                Address(session.endpoint, session.connection_id),
                self._note_posted,
                fixed=not request.connected,
            ),
            poller=InboxPoller(
                functools.partial(
                    services.turns.inboxes.read_inbox, request.session, request.turn_id
                ),
                attempt.number,
                request.received_at_ms,
                None if request.complete else _endpoint_detector(request, deployment),
                latency,
                decode=decode_mulaw if request.format == "mulaw_16000" else bytes,
                rhythm=PollRhythm(
                    time.monotonic(),
                    listening=not request.complete,
                    rate_hz=sample_rate_hz(request.pcm_format),
                ),
                tell=self._tell,
                moved=self._follow_client,
                stop=stop,
                log=log,
            ),
            persistence=TurnPersistence(
                services.sessions, services.turns, request, invocation.owner, attempt, stop, log
            ),
            playback=PlaybackTimes(request),
            recorder=AudioRecorder(
                services.recordings if language.settings.record is True else None,
                request,
                deployment.reply_format,
                log,
            ),
            latency=latency,
            stop=stop,
            background_close=BackgroundClose(),
        )
        if request.audio is not None:
            self._turn.poller.take_utterance(request.audio)
        # An attempt before this one may have written messages, which are asked again now.
        self._history = _without(history, request.turn_id)
        self._tools = self._make_tools(session, agent, language)
        self._pipeline = Pipeline(self._turn, language, self._history, agent, self._tools)
        self._finisher = TurnFinisher(self._turn, self._pipeline)
        self._client_has_moved = False

    def _make_tools(
        self, session: Session, agent: Agent, language: TurnLanguage
    ) -> ToolRounds | None:
        """Make what runs the turn's tools; None if there are none, or the agent just speaks."""
        services, request = self._turn.services, self._turn.request
        if services.toolbox.is_empty or services.rounds is None or request.say is not None:
            return None
        specs = services.toolbox.choose(
            agent.tools, session.client_tools, connected=request.connected
        )
        before = turn_before(self._history.messages, self._history.rounds)
        return ToolRounds(self._turn, services.toolbox, specs, services.rounds, language, before)

    async def run(self) -> Outcome | None:
        """Run the turn to its end; None if somebody else has ended it or runs it."""
        if self._turn.attempt.number > 1:  # costs a first attempt, which all wait for, no call
            await self._void_earlier_attempts()
            await self._turn.poller.poll()  # what is left in the inbox is meant for this attempt
            if self._tools is not None:
                await self._tools.load()
        async with self._turn.background_close:
            return await self._run()

    async def _run(self) -> Outcome | None:
        work = (self._turn.sender.run(), self._poll_inbox(), self._renew_lease())
        tasks = [asyncio.create_task(each) for each in work]
        try:
            ended = await self._converse()
            self._finisher.charge()
            outcome = None if ended is None else await self._finisher.finish(*ended)
            if outcome is None:
                self._finisher.keep_use()
            return outcome
        finally:
            if self._tools is not None:
                await self._tools.settle(self._turn.invocation.remaining_s() - SETTLE_MARGIN_S)
            await cancel_tasks(*tasks)
            await self._turn.persistence.wait_until_written()

    async def _converse(self) -> tuple[TurnEndReason, ParleyError | None] | None:
        """Converse until the reply is over or the turn is to stop.

        Returns:
            How the turn ends, and why it failed, if it did; None if somebody else ends it.
        """
        stop, request = self._turn.stop, self._turn.request
        if stop.reason is not None:  # nothing has been asked for, nor will be
            self._pipeline.user_text = request.text or ""
            return None if stop.superseded else ("interrupted", None)
        conversation = asyncio.create_task(self._pipeline.run())
        remaining_s = self._turn.invocation.remaining_s()
        await stop.wait_for(conversation, max(0.1, remaining_s - END_MARGIN_S))
        if stop.reason is not None:
            self._turn.sender.hold()  # the providers' connections may take a while to close
            await cancel_tasks(conversation)
            return None if stop.superseded else ("interrupted", None)
        if not conversation.done():
            # Nothing is held: unlike after an interruption, what has been said is wanted.
            self._pipeline.log_silence()
            await cancel_tasks(conversation)
            return "failed", TurnTimeout()
        try:
            await conversation
        except ParleyError as error:
            return "failed", error
        except Exception as error:
            return "failed", internal_error(error, self._log)
        return "completed", None

    async def _void_earlier_attempts(self) -> None:
        """Forget what attempts before this one were told and replied; stop the one that runs."""
        request, services = self._turn.request, self._turn.services
        ref, turn_id, inboxes = request.session, request.turn_id, services.turns.inboxes
        try:
            begun = BegunEntry(self._turn.attempt.number)
            await asyncio.to_thread(inboxes.put_begun, ref, turn_id, begun)
            await asyncio.to_thread(inboxes.clear_controls, ref, turn_id, request.received_at_ms)
            await self._turn.persistence.forget_reply()
        except Exception as error:
            self._log("attempt_not_forgotten", {"error": type(error).__name__})

    async def _poll_inbox(self) -> None:
        """Poll the inbox and note that this is the newest turn, once the model has been asked.

        Until then, all the time there is belongs to the first sound. A spoken turn has its audio
        in the inbox.
        """
        if not self._turn.request.spoken:
            await self._pipeline.asked.wait()
        self._turn.persistence.note_newest_turn(self._history.messages, self._follow_session)
        await self._turn.poller.run()

    async def _renew_lease(self) -> None:
        """Renew the lease until cancelled.

        A renewal that hangs does not hold up the next one; of more that hang, none would help.
        """
        renewals: set[asyncio.Task[None]] = set()
        try:
            while True:
                await asyncio.sleep(RENEW_S)
                renewals = {each for each in renewals if not each.done()}
                if len(renewals) < MAX_RENEWALS:
                    renewals.add(asyncio.create_task(self._renew_once()))
        finally:
            await cancel_tasks(*renewals)

    async def _renew_once(self) -> None:
        request, turns = self._turn.request, self._turn.services.turns
        owner = self._turn.invocation.owner
        try:
            ours = await asyncio.to_thread(
                turns.renew_lease, request.session, request.turn_id, owner
            )
        except Exception as error:  # the next renewal makes up for it
            self._log("lease_not_renewed", {"error": type(error).__name__})
            return
        if not ours:
            self._turn.stop.request(StopReason.SUPERSEDED)

    def _follow_session(self, session: Session | None) -> None:
        """Go where the session was when this became its newest turn; None if a newer one has."""
        if session is None:
            self._turn.stop.request(StopReason.OVERTAKEN)
            return
        address = Address(session.endpoint, session.connection_id)
        # Whatever the client itself has told the turn since is newer than what was read here.
        if address != self._turn.sender.address and not self._client_has_moved:
            self._turn.sender.move(address, 0)

    def _follow_client(self, resume: ResumeEntry) -> None:
        """Go on over the connection that the client has resumed its session on."""
        self._client_has_moved = True
        # Of another attempt's events the numbers mean nothing: all of this one is sent again.
        received = resume.seq if resume.attempt == self._turn.attempt.number else 0
        self._turn.sender.move(Address(resume.endpoint, resume.connection_id), received)

    def _tell(self, error: ParleyError) -> None:
        self._turn.outbox.add_error(error)
        self._turn.sender.wake()

    async def _post_frame(self, address: Address, frame: bytes) -> None:
        """Post a frame; one that fails in a way nobody thought of is one that never arrives."""
        try:
            await self._turn.invocation.post(address, frame)
        except PostRefused as refused:
            self._log("post_refused", {"status": refused.status})
            raise
        except ConnectionGone:
            raise
        except Exception as error:
            self._log("post_failed", {"error": type(error).__name__})
            raise ConnectionGone from None

    def _note_posted(self, event: Numbered) -> None:
        if isinstance(event, ReplyText):
            self._turn.latency.mark("first_text_posted", time.monotonic())
        elif isinstance(event, Audio):
            self._turn.latency.mark("first_audio_posted", time.monotonic())
            if self._tools is not None:
                self._tools.speech.note_posted(event.duration_ms)
        self._turn.playback.note_posted(event)
        self._turn.recorder.note_posted(event)

    def _log(self, event: str, fields: dict[str, Any]) -> None:
        self._turn.services.log(event, fields)


def _without(history: History, turn_id: str) -> History:
    """Return a history without a turn."""
    messages = [message for message in history.messages if message.turn_id != turn_id]
    rounds = {turn: found for turn, found in history.rounds.items() if turn != turn_id}
    return History(messages, rounds)


def _endpoint_detector(request: TurnRequest, deployment: Deployment) -> EndpointDetector:
    return EndpointDetector(
        deployment.listen_timeout_s,
        time.monotonic(),
        deployment.limits.utterance_s,
        sample_rate_hz(request.pcm_format),
    )
