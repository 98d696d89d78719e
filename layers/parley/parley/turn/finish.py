"""The end of a turn: what is said last, charged and kept, and whether the client has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from parley.audio.heard import Heard, heard_text, is_estimated, split_heard
from parley.audio.pcm import duration_ms, sample_rate_hz
from parley.errors import ParleyError
from parley.protocol.messages import Metrics, TurnEndReason, encode
from parley.turn.context import TurnContext
from parley.turn.delivery import Delivery
from parley.turn.output.outbox import Numbered
from parley.turn.pipeline import Pipeline
from parley.turn.stop import StopReason

LEAST_SPEECH_MS = 1_000
"""A turn that asked the model counts as so much speech at least: a client that interrupts every
reply at once must not ask it without end."""


GOODBYE_MARGIN_S = 60.0
"""How much longer than the goodbye sounds a session stays that the agent ends, for a client that
does not end it itself."""


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
    """End a turn, whatever stopped it."""

    def __init__(self, turn: TurnContext, pipeline: Pipeline) -> None:
        self._turn = turn
        self._pipeline = pipeline

    def charge(self) -> None:
        """Charge for what was heard and spoken, in parallel with the end's other work."""
        request, meter = self._turn.request, self._turn.services.meter
        if meter is None:
            return
        audio_ms = self._heard_audio_ms()
        speech_ms = self._pipeline.reply.speech_ms if self._pipeline.reply else 0.0
        if self._pipeline.has_asked:
            speech_ms = max(speech_ms, LEAST_SPEECH_MS)
        self._turn.persistence.write_usage(
            lambda: meter.charge_turn(request.session, audio_ms, speech_ms)
        )

    def keep_use(self) -> None:
        """Keep what an attempt has used that is somebody else's to end."""
        self._turn.persistence.write_use(self._metrics())

    async def finish(self, reason: TurnEndReason, error: ParleyError | None) -> Outcome | None:
        """Say the last of the turn and see it delivered; None if somebody else has ended it.

        Args:
            error: why it failed, if it did.
        """
        turn = self._turn
        reply, tools = self._pipeline.reply, self._pipeline.tools
        said = reply.text if reply else ""
        ends_session = tools is not None and tools.built_in.ends_session
        if reply is not None:
            turn.outbox.add_audio(b"", reply.estimate_stopped(), time.monotonic())
        # A full answer ends as interrupted too, but the client gets all that it has room for.
        if reason == "interrupted" and turn.stop.interrupted:
            turn.outbox.drop_unsent()
        if error is not None:
            turn.outbox.add_error(error)
        if self._pipeline.user_text:  # the turn may have been stopped before the model was asked
            self._pipeline.note_model_asked()
        await turn.sender.drain()
        if turn.stop.superseded:
            return None
        turn.latency.mark("ended", time.monotonic())
        metrics, heard, estimated = self._metrics(), *self._heard()
        if reason == "failed" or not said:  # no reply keeps it, or only until the next attempt
            turn.persistence.write_use(metrics)
        sound = turn.playback.reply_sound(
            said, turn.outbox.words, turn.outbox.audio_ms, self._played_ms()
        )
        await turn.persistence.write_reply_and_end(
            reason,
            said,
            heard,
            self._heard_parts(),
            metrics,
            sound,
            self._pipeline.language.told,
            heard_estimated=estimated,
            fillers=reply.fillers if reply else [],
            tools=tools.called if tools else [],
            agent=turn.request.say is not None,
        )
        if turn.stop.superseded:  # the write has found that out
            return None
        if reason == "completed":
            # An interruption before this poll is ours to honour; one after it finds the turn
            # finished, and the message function honours it.
            await turn.poller.poll()
            if turn.stop.interrupted:
                reason, (heard, estimated) = "interrupted", self._heard()
                if heard is not None and turn.stop.interruption is not None:
                    await turn.persistence.write_heard(
                        heard, turn.stop.interruption, estimated=estimated
                    )
        ends_session = ends_session and reason == "completed"
        turn.outbox.add_end(
            reason,
            said,
            metrics,
            heard,
            error,
            self._pipeline.language.told,
            heard_estimated=estimated,
            ends_session=ends_session,
        )
        delivered, _ = await asyncio.gather(
            self._deliver() if turn.request.connected else self._keep_answer(),
            turn.recorder.store(turn.poller.audio.items, turn.invocation.remaining_s()),
        )
        if ends_session and delivered:  # a client that is away returns for the goodbye
            await turn.persistence.end_session(self._goodbye_s())
        events = () if turn.request.connected else turn.outbox.unacknowledged(0)
        return Outcome(reason, metrics, error, delivered, turn.recorder.failed, events)

    def _goodbye_s(self) -> float:
        """Return in how many s the session ends: a client ends it itself once it has played the
        goodbye, and a user who speaks before goes on with it."""
        if not self._turn.request.connected:
            return 0.0
        return self._turn.outbox.audio_ms / 1000 + GOODBYE_MARGIN_S

    async def _keep_answer(self) -> bool:
        """Keep everything that was said: an answer may be lost on its way."""
        turn = self._turn
        if turn.stop.interrupted:
            turn.outbox.drop_unsent()  # also if it came at the very end: nobody will hear it
        await turn.sender.drain()
        frames = [encode(event) for event in turn.outbox.unacknowledged(0)]
        await turn.persistence.write_answer(turn.attempt.number, frames)
        return True

    async def _deliver(self) -> bool:
        try:
            return await Delivery(self._turn).deliver()
        except Exception as error:
            self._turn.services.log("undelivered_not_kept", {"error": type(error).__name__})
            return False

    def _heard(self) -> tuple[str | None, bool]:
        """Return what of the reply was heard, if the turn was stopped and that can be known, and
        whether it is an estimate."""
        reply, outbox = self._pipeline.reply, self._turn.outbox
        if self._turn.stop.reason is None:
            return None, False
        if reply is None:
            return "", False  # the turn was stopped before it began
        played_ms = self._played_ms()
        if not outbox.audio_ms and not reply.speech_error:
            return None if played_ms is None else "", False
        parts = self._heard_parts()
        if played_ms is None or not parts:
            return None, False
        return heard_text(parts, played_ms), is_estimated(parts, played_ms)

    def _played_ms(self) -> float | None:
        """Return how much of the reply was played, if the turn was stopped and that is known."""
        stop = self._turn.stop
        if stop.reason is StopReason.ANSWER_FULL:
            return self._turn.outbox.audio_ms  # all that the answer has
        return stop.interruption.played_ms if stop.interruption is not None else None

    def _heard_parts(self) -> list[Heard]:
        """Return the parts of the reply and when each has been heard; none if nobody knows."""
        reply = self._pipeline.reply
        if reply is None or not reply.times_known:
            return []
        return split_heard(reply.text, self._turn.outbox.words)

    def _metrics(self) -> Metrics:
        turn, reply, stt = self._turn, self._pipeline.reply, self._pipeline.stt
        metrics = turn.latency.metrics()
        metrics.reply_chars = len(reply.text) if reply else 0
        metrics.posts = turn.sender.posts
        metrics.retries = (reply.retries if reply else 0) + (stt.retries if stt else 0)
        metrics.cold = turn.invocation.cold
        self._add_use(metrics)
        if reply:
            metrics.connection_reused = reply.connection_reused
        failed_over = (reply.failed_over if reply else 0) + (stt.failed_over if stt else 0)
        metrics.failed_over = failed_over or None
        self._pipeline.note_preemption(metrics)
        tools = self._pipeline.tools
        if tools is not None and tools.called:
            metrics.tool_calls, metrics.tool_rounds = len(tools.called), len(tools.rounds)
            metrics.tools_unknown, metrics.fillers = tools.unknown, tools.fillers
        return metrics

    def _add_use(self, metrics: Metrics) -> None:
        """Add what has been used, as far as the session's sum has it.

        What was begun in vain, and what was spoken and not sent, is in it: providers are paid for
        that too.
        """
        turn, reply = self._turn, self._pipeline.reply
        replies = [*self._pipeline.unseen_replies, *([reply] if reply is not None else [])]
        metrics.heard_ms = round(self._heard_audio_ms()) or None
        metrics.table_reads, metrics.table_writes = (
            turn.services.table_calls.reads,
            turn.services.table_calls.writes,
        )
        metrics.audio_ms = round(sum(each.speech_ms for each in replies))
        metrics.spoken_chars = sum(each.spoken_chars for each in replies) or None
        tokens = [each.tokens for each in replies if each.tokens.known]
        if tokens:
            metrics.input_tokens = sum(each.input for each in tokens)
            metrics.output_tokens = sum(each.output for each in tokens)
            metrics.tokens_estimated = any(each.estimated for each in tokens) or None

    def _heard_audio_ms(self) -> float:
        """Return how much audio there was to transcribe."""
        rate_hz = sample_rate_hz(self._turn.request.pcm_format)
        return duration_ms(self._turn.poller.audio_bytes, rate_hz)
