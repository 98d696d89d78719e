"""A turn's ending: what is said last, charged and kept, and whether the client has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from parley.audio.heard import Heard, heard_parts, heard_text
from parley.audio.pcm import duration_ms, sample_rate_hz
from parley.errors import ParleyError
from parley.protocol.messages import Metrics, TurnEndReason, encode
from parley.turn.audio_recorder import AudioRecorder
from parley.turn.context import Parts
from parley.turn.delivery import Delivery
from parley.turn.output.outbox import Numbered
from parley.turn.pipeline import Pipeline
from parley.turn.stop import StopReason

LEAST_SPEECH_MS = 1_000
"""A turn that asked the model counts as so much speech at least: a client that interrupts every
reply at once must not ask it without end."""


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


class TurnFinisher:
    """Ends a turn, whatever stopped it.

    Args:
        remaining_s: how much of the invocation's time is left.
        cold: whether the environment is fresh.
    """

    def __init__(
        self,
        parts: Parts,
        conversing: Pipeline,
        recording: AudioRecorder,
        *,
        remaining_s: Callable[[], float],
        cold: bool,
    ) -> None:
        self._request = parts.request
        self._claim = parts.claim
        self._services = parts.services
        self._outbox = parts.outbox
        self._poster = parts.poster
        self._watching = parts.watching
        self._keeping = parts.keeping
        self._sounding = parts.sounding
        self._timings = parts.timings
        self._stop = parts.stop
        self._conversing = conversing
        self._recording = recording
        self._remaining_s = remaining_s
        self._cold = cold

    def charge(self) -> None:
        """Charge, beside the end's other work, for what was heard and spoken."""
        meter = self._services.meter
        if meter is None:
            return
        audio_ms = duration_ms(self._watching.audio_bytes, sample_rate_hz(self._request.format))
        speech_ms = self._conversing.replying.speech_ms if self._conversing.replying else 0.0
        if self._conversing.asked.is_set():
            speech_ms = max(speech_ms, LEAST_SPEECH_MS)
        self._keeping.usage(lambda: meter.charge(self._request.session, audio_ms, speech_ms))

    async def finish(self, reason: TurnEndReason, error: ParleyError | None) -> Outcome | None:
        """Say the last of it and see it delivered; None if somebody else has ended the turn."""
        replying = self._conversing.replying
        said = replying.text if replying else ""
        if reason == "interrupted" and self._stop.interrupted:
            self._outbox.drop_unsent()
        if error is not None:
            self._outbox.error(error)
        if self._conversing.user_text:
            self._conversing.note_asked()  # it may have been stopped before the model was asked
        await self._poster.drained()
        if self._stop.superseded:
            return None
        self._timings.mark("ended", time.monotonic())
        metrics, heard = self._metrics(), self._heard()
        sound = self._sounding.of_reply(
            said, self._outbox.words, self._outbox.audio_ms, self._played_ms()
        )
        await self._keeping.reply(reason, said, heard, self._heard_parts(), metrics, sound)
        if self._stop.superseded:
            return None
        if reason == "completed":
            # An interruption before this look is ours to honour; one after it finds the turn
            # finished, and the message function honours it.
            await self._watching.look()
            if self._stop.interrupted:
                reason, heard = "interrupted", self._heard()
                if heard is not None and self._stop.interruption is not None:
                    await self._keeping.heard(heard, self._stop.interruption)
        self._outbox.end(reason, said, metrics, heard, error)
        delivered, _ = await asyncio.gather(
            self._delivered() if self._request.connected else self._answered(),
            self._recording.store(self._watching.audio.items, self._remaining_s()),
        )
        events = () if self._request.connected else self._outbox.after(0)
        return Outcome(reason, metrics, error, delivered, self._recording.failed, events)

    async def _answered(self) -> bool:
        """Keep everything that was said: an answer may be lost on its way."""
        if self._stop.interrupted:
            self._outbox.drop_unsent()  # also if it came at the very end: nobody will hear it
        await self._poster.drained()
        frames = [encode(event) for event in self._outbox.after(0)]
        await self._keeping.answer(self._claim.attempt, frames)
        return True

    async def _delivered(self) -> bool:
        delivering = Delivery(
            self._request,
            self._claim,
            self._outbox,
            self._poster,
            self._watching,
            self._stop,
            self._services.store,
            self._services.turns,
            remaining_s=self._remaining_s,
        )
        try:
            return await delivering.finish()
        except Exception as error:
            self._services.log("undelivered_not_kept", {"error": type(error).__name__})
            return False

    def _heard(self) -> str | None:
        """What of the reply was heard, if it was interrupted and that can be known."""
        replying = self._conversing.replying
        if self._stop.reason is None:
            return None
        if replying is None:
            return ""  # it was interrupted before it began
        played_ms = self._played_ms()
        if not self._outbox.audio_ms and not replying.speech_error:
            return None if played_ms is None else ""
        parts = self._heard_parts()
        return None if played_ms is None or not parts else heard_text(parts, played_ms)

    def _played_ms(self) -> float | None:
        """Return how much of the reply was played, if it was interrupted and that is known."""
        if self._stop.reason is StopReason.ANSWER_FULL:
            return self._outbox.audio_ms  # all of it is in the answer
        return self._stop.interruption.played_ms if self._stop.interruption is not None else None

    def _heard_parts(self) -> list[Heard]:
        """The parts of the reply, and when each has been heard; none if nobody knows."""
        replying = self._conversing.replying
        if replying is None or not replying.times_known:
            return []
        return heard_parts(replying.text, self._outbox.words)

    def _metrics(self) -> Metrics:
        metrics = self._timings.metrics()
        replying, hearing = self._conversing.replying, self._conversing.hearing
        metrics.audio_ms = round(self._outbox.audio_ms)
        metrics.reply_chars = len(replying.text) if replying else 0
        metrics.posts = self._poster.posts
        metrics.retries = (replying.retries if replying else 0) + (
            hearing.retries if hearing else 0
        )
        metrics.cold = self._cold
        if replying:
            metrics.connection_reused = self._services.responder.connection_reused
        return metrics
