"""One turn: hear, think, speak, and stop when told to.

One Lambda invocation runs one turn. This is where its parts meet: the claim, the
inbox, the three providers, the outbox and the history. Deciding is left to the plain
objects; connections are made as early as what they need is known.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from parley.audio import duration_ms, sample_rate_hz
from parley.circuit import Circuits, guarded
from parley.connections import Address
from parley.delivering import Delivering
from parley.errors import (
    ConnectionGone,
    ParleyError,
    PostRefused,
    TurnTimeout,
    internal_error,
)
from parley.hearing import Hearing
from parley.history import History
from parley.inbox import InterruptEntry, ResumeEntry
from parley.invocation import TurnRequest
from parley.items import Claim, Session
from parley.keeping import Keeping
from parley.limits.usage import Meter
from parley.listening import Listening
from parley.outbox import Numbered, Outbox
from parley.posting import Post, Poster
from parley.protocol import (
    Audio,
    Message,
    Metrics,
    ReplyText,
    Settings,
    TurnEndReason,
    encode,
)
from parley.recording import Recording
from parley.recordings import Recordings
from parley.replying import Replying
from parley.responders import Prompt, Responder
from parley.settings import Deployment
from parley.sounding import Sounding
from parley.speech import Synthesizer, Transcriber, TranscriptPiece
from parley.store import Store
from parley.tasks import Tasks, cancelled
from parley.timings import Timings
from parley.turns import RENEW_S, Turns, now_ms
from parley.watching import Watching
from parley.words import heard_text

LEAST_SPEECH_MS = 1_000
"""A turn that asked the model counts as so much speech at least: a client that interrupts every
reply at once must not ask it without end."""
ENDING_MARGIN_S = 3.0
"""What a turn keeps of its invocation's time to end in good order."""
MAX_ANSWER_AUDIO_BYTES = 3_500_000
"""Of a reply that is one answer: in base64, and with the rest, it stays below the 6 MB that a
function may return ("Lambda quotas"). 73 s at 24 kHz."""


@dataclass(frozen=True, slots=True)
class Services:
    """What a turn works with.

    Attributes:
        log: told about trouble that the client is not; takes an event name and fields.
        circuits: what is known of the providers' health in this environment.
        meter: charges for what is used; None if nobody does.
        recordings: where turns are recorded; None if they are not.
    """

    store: Store
    turns: Turns
    history: History
    transcriber: Transcriber
    responder: Responder
    synthesizer: Synthesizer
    deployment: Deployment
    log: Callable[[str, dict[str, Any]], None]
    circuits: Circuits = field(default_factory=Circuits)
    meter: Meter | None = None
    recordings: Recordings | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended."""

    reason: TurnEndReason
    metrics: Metrics
    error: ParleyError | None = None
    delivered: bool = True
    """Whether the client has acknowledged all of it."""
    not_recorded: bool = False
    """Whether it was to be recorded, and could not be."""
    events: Sequence[Numbered] = ()
    """Everything that was said, of a turn without a connection to say it to."""


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
    """

    def __init__(
        self,
        request: TurnRequest,
        claim: Claim,
        owner: str,
        session: Session,
        history: list[Message],
        services: Services,
        post: Post,
        *,
        remaining_s: Callable[[], float],
        cold: bool,
        timings: Timings,
    ) -> None:
        self._request = request
        self._claim = claim
        self._owner = owner
        self._session = session
        self._history = [m for m in history if m.turn_id != request.turn_id]
        self._services = services
        self._remaining_s = remaining_s
        self._cold = cold
        self._timings = timings
        self._outbox = Outbox(request.turn_id, services.deployment.reply_format, claim.attempt)
        self._post = post
        address = Address(session.endpoint, session.connection_id)
        self._poster = Poster(
            self._outbox, self._post_frame, address, self._on_posted, fixed=not request.connected
        )
        self._keeping = Keeping(
            services.store, services.turns, request, owner, claim.started_ms, services.log
        )
        self._watching = self._inbox()
        self._settings = services.deployment.defaults.merged_with(session.settings)
        self._recording = Recording(
            services.recordings if self._settings.record is True else None,
            request,
            services.deployment.reply_format,
            services.log,
        )
        self._hearing: Hearing | None = None
        self._replying: Replying | None = None
        self._user_text = ""
        self._asked = asyncio.Event()
        self._sounding = Sounding(request)
        self._resumed = False
        self._full = False
        self._superseded: asyncio.Future[None] = asyncio.Future()

    def _inbox(self) -> Watching:
        request, services = self._request, self._services
        silence_s = services.deployment.listen_timeout_s
        watching = Watching(
            functools.partial(services.turns.read_inbox, request.session, request.turn_id),
            self._claim.attempt,
            None if request.complete else self._listening(silence_s),
            self._timings,
            tell=self._tell,
            moved=self._on_moved,
            log=services.log,
        )
        if request.audio is not None:
            watching.take_whole(request.audio)
        return watching

    def _listening(self, silence_s: float) -> Listening:
        return Listening(
            silence_s,
            time.monotonic(),
            self._services.deployment.limits.utterance_s,
            sample_rate_hz(self._request.format),
        )

    async def run(self) -> Outcome | None:
        """Run the turn to its end; None if somebody else has ended it or runs it."""
        if self._claim.attempt > 1:
            await self._begin_anew()
        conversing = asyncio.create_task(self._converse())
        posting = asyncio.create_task(self._poster.run())
        tending = asyncio.create_task(self._tend())
        renewing = asyncio.create_task(self._renew_lease())
        try:
            ended = await self._until_stopped(conversing)
            self._charge()
            return None if ended is None else await self._finish(*ended)
        finally:
            await cancelled(posting, tending, renewing)
            await self._keeping.settled()

    async def _begin_anew(self) -> None:
        """What the attempt before was told, and what it replied, is void."""
        request, services = self._request, self._services
        ref, turn_id = request.session, request.turn_id
        try:
            await asyncio.to_thread(
                services.turns.clear_controls, ref, turn_id, request.received_at_ms
            )
            await asyncio.to_thread(
                services.store.forget_reply, ref, self._claim.started_ms, turn_id
            )
        except Exception as error:
            self._log("attempt_not_forgotten", {"error": type(error).__name__})

    async def _tend(self) -> None:
        """Watch the inbox and write down what happened, but not before the model was asked:
        until then, all the time there is belongs to the first sound."""
        if not self._request.spoken:
            await self._asked.wait()
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
                self._superseded.set_result(None)
                return

    def _on_asked(self) -> None:
        if not self._asked.is_set():
            self._asked.set()
            sound = self._sounding.of_user(self._watching.audio.items)
            self._keeping.user(self._user_text, sound)

    def _on_noted(self, session: Session | None) -> None:
        """This is the newest turn now, or a newer one has come already."""
        if session is None:
            if not self._watching.interrupt.done():
                self._watching.interrupt.set_result(InterruptEntry(None))
            return
        address = Address(session.endpoint, session.connection_id)
        if address != self._poster.address and not self._resumed:  # a resume is newer than this
            self._poster.move(address, 0)

    def _on_moved(self, resume: ResumeEntry) -> None:
        """The session goes on over another connection."""
        self._resumed = True
        received = resume.seq if resume.attempt == self._claim.attempt else 0
        self._poster.move(Address(resume.endpoint, resume.connection_id), received)

    # --- the conversation -------------------------------------------------------

    async def _until_stopped(
        self, conversing: asyncio.Task[None]
    ) -> tuple[TurnEndReason, ParleyError | None] | None:
        budget = max(0.1, self._remaining_s() - ENDING_MARGIN_S)
        stops: set[asyncio.Future[Any]] = {conversing, self._watching.interrupt, self._superseded}
        await asyncio.wait(stops, timeout=budget, return_when=asyncio.FIRST_COMPLETED)
        if self._superseded.done():
            await cancelled(conversing)
            return None
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
            return "failed", internal_error(error, self._log)
        return "completed", None

    async def _converse(self) -> None:
        settings = self._settings
        replying = self._replying = Replying(
            self._services.responder,
            self._services.synthesizer,
            settings,
            self._outbox,
            self._timings,
            timeout_s=self._services.deployment.provider_timeout_s,
            hedge_after_s=self._services.deployment.hedge_after_s,
            changed=self._poster.wake if self._request.connected else self._on_grown,
            asked=self._on_asked,
            circuits=self._services.circuits,
            max_chars=self._services.deployment.limits.reply_chars,
        )
        async with Tasks() as tasks:
            speaking = tasks.start(self._speak(replying))
            if self._request.spoken:
                tasks.start(self._services.responder.warm_up())
                self._user_text = await self._hear(settings)
            else:
                self._user_text = self._request.text or ""
            try:
                await replying.think(self._prompt(settings))
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
            hedge_after_s=deployment.hedge_after_s,
            on_partial=self._on_partial,
        )
        text = await guarded(
            self._services.circuits.transcriber,
            "transcription_failed",
            "Speech recognition",
            self._hearing.transcript,
        )
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

    def _on_grown(self) -> None:
        """There is more of an answer, which has room for so much sound."""
        self._poster.wake()
        interrupt = self._watching.interrupt
        if self._outbox.audio_bytes >= MAX_ANSWER_AUDIO_BYTES and not interrupt.done():
            self._full = True
            interrupt.set_result(InterruptEntry(self._outbox.audio_ms, now_ms()))

    def _tell(self, error: ParleyError) -> None:
        self._outbox.error(error)
        self._poster.wake()

    def _on_partial(self, piece: TranscriptPiece) -> None:
        self._outbox.transcript(piece.text, final=False)
        self._poster.wake()

    def _prompt(self, settings: Settings) -> Prompt:
        instructions = self._services.deployment.system_prompt
        if settings.style:
            instructions += f"\n\nHow to reply: {settings.style}"
        return Prompt(instructions, self._history, self._user_text)

    # --- the end --------------------------------------------------------------------

    async def _finish(self, reason: TurnEndReason, error: ParleyError | None) -> Outcome | None:
        replying = self._replying
        said = replying.text if replying else ""
        words = replying.words if replying else []
        if reason == "interrupted" and not self._full:
            self._outbox.drop_unsent()
        if error is not None:
            self._outbox.error(error)
        if self._user_text:
            self._on_asked()  # it may have been stopped before the model was asked
        await self._poster.drained()
        self._timings.mark("ended", time.monotonic())
        metrics, heard = self._metrics(), self._heard()
        interrupt = self._watching.interrupt.result() if self._watching.interrupt.done() else None
        sound = self._sounding.of_reply(said, words, self._outbox.audio_ms, interrupt)
        await self._keeping.reply(reason, said, heard, words, metrics, sound)
        if self._keeping.superseded:
            return None
        if reason == "completed":
            # An interruption before this look is ours to honour; one after it finds the turn
            # finished, and the message function honours it.
            await self._watching.look()
            if self._watching.interrupt.done():
                reason, heard = "interrupted", self._heard()
                if heard is not None:
                    await self._keeping.heard(heard, self._watching.interrupt.result())
        self._outbox.end(reason, said, metrics, heard, error)
        delivered, _ = await asyncio.gather(
            self._delivered() if self._request.connected else self._answered(),
            self._recording.store(self._watching.audio.items, self._remaining_s()),
        )
        events = () if self._request.connected else self._outbox.after(0)
        return Outcome(reason, metrics, error, delivered, self._recording.failed, events)

    async def _answered(self) -> bool:
        """Keep everything that was said: an answer may be lost on its way."""
        if self._watching.interrupt.done() and not self._full:
            self._outbox.drop_unsent()  # also if it came at the very end: nobody will hear it
        await self._poster.drained()
        frames = [encode(event) for event in self._outbox.after(0)]
        await self._keeping.answer(self._claim.attempt, frames)
        return True

    def _charge(self) -> None:
        """Charge, beside the end's other work, for what was heard and spoken."""
        meter = self._services.meter
        if meter is None:
            return
        audio_ms = duration_ms(self._watching.audio_bytes, sample_rate_hz(self._request.format))
        speech_ms = self._replying.speech_ms if self._replying else 0.0
        if self._asked.is_set():
            speech_ms = max(speech_ms, LEAST_SPEECH_MS)
        self._keeping.usage(lambda: meter.charge(self._request.session, audio_ms, speech_ms))

    async def _delivered(self) -> bool:
        delivering = Delivering(
            self._request,
            self._claim,
            self._outbox,
            self._poster,
            self._watching,
            self._services.store,
            self._services.turns,
            remaining_s=self._remaining_s,
        )
        try:
            return await delivering.finish()
        except Exception as error:
            self._log("undelivered_not_kept", {"error": type(error).__name__})
            return False

    def _heard(self) -> str | None:
        """What of the reply was heard, if it was interrupted and that can be known."""
        if not self._watching.interrupt.done() or self._replying is None:
            return None
        played_ms = self._watching.interrupt.result().played_ms
        untimed = self._outbox.audio_ms and not self._replying.words  # what sounded, nobody knows
        if self._full:
            played_ms = self._outbox.audio_ms  # more may have come until it stopped
        if played_ms is None or untimed or self._replying.speech_failed:
            return None
        return heard_text(self._replying.words, played_ms)

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
