"""A turn's conversation: STT, LLM and TTS, connected as early as can be."""

from __future__ import annotations

import asyncio
import time

from parley.aio.tasks import Tasks
from parley.errors import ParleyError, ProviderError
from parley.protocol.messages import Message, Settings
from parley.providers.llm import Prompt
from parley.providers.stt import TranscriptPiece
from parley.text.blank import is_blank
from parley.turn.context import TurnContext
from parley.turn.stages.reply import ReplyStage
from parley.turn.stages.stt import SttStage
from parley.turn.stop import StopReason

MAX_ANSWER_AUDIO_BYTES = 3_500_000
"""Of a reply that is one answer: in base64, and with the rest, it stays below the 6 MB that a
function may return ("Lambda quotas"). 73 s at 24 kHz."""


class Pipeline:
    """Transcribe the user, and reply.

    Args:
        settings: those in force.
        history: the session's messages, without this turn's.

    Attributes:
        user_text: what the user said; empty until it is known.
        asked: set when the model has been asked.
        stt: None until there is something to transcribe.
        reply: None until the pipeline runs.
    """

    def __init__(self, turn: TurnContext, settings: Settings, history: list[Message]) -> None:
        self._turn = turn
        self._settings = settings
        self._history = history
        self.user_text = ""
        self.asked = asyncio.Event()
        self.stt: SttStage | None = None
        self.reply: ReplyStage | None = None

    async def run(self) -> None:
        """Converse until the reply has been posted.

        Raises:
            ParleyError: the user could not be understood, or the model gave no whole reply.
        """
        turn = self._turn
        services, deployment = turn.services, turn.services.deployment
        reply = self.reply = ReplyStage(
            services.responder,
            services.synthesizer,
            self._settings,
            turn.outbox,
            turn.latency,
            timeout_s=deployment.provider_timeout_s,
            hedge_after_s=deployment.hedge_after_s,
            on_change=turn.sender.wake if turn.request.connected else self._extend_answer,
            on_asked=self.note_model_asked,
            breakers=services.breakers,
            background=turn.background_close,
            max_chars=deployment.limits.reply_chars,
        )
        async with Tasks() as tasks:
            speech = tasks.start(self._speak(reply))
            if turn.request.spoken:
                # The connection to the model opens while there is time: the user still speaks.
                tasks.start(services.responder.warm_up())
                try:
                    self.user_text = await self._transcribe()
                except ProviderError as error:
                    self._log_failure(error, self.stt.retries if self.stt else 0)
                    raise
            else:
                self.user_text = turn.request.text or ""
            try:
                await reply.write(self._prompt())
            except ParleyError as error:
                if isinstance(error, ProviderError):
                    self._log_failure(error, reply.responder_retries)
                if reply.text:  # what has been said is spoken to its end
                    await speech
                raise
            await speech
            await turn.sender.drain()

    def note_model_asked(self) -> None:
        """Note that the model has been asked, or will not be, and write what the user said."""
        # Each attempt at the model says so, and so does the end of a turn that was stopped before.
        if not self.asked.is_set():
            self.asked.set()
            sound = self._turn.playback.user_sound(self._turn.poller.audio.items)
            self._turn.persistence.write_user_message(self.user_text, sound)

    async def _speak(self, reply: ReplyStage) -> None:
        """Connect to the synthesizer early: while the user speaks, or while the model thinks."""
        if not self._turn.request.spoken:
            # A typed turn's model is asked within milliseconds: nothing may come before that.
            await self.asked.wait()
        await reply.speak()
        if reply.speech_error is not None:
            self._log_failure(reply.speech_error, reply.speech_retries)

    def _log_failure(self, error: ProviderError, retries: int) -> None:
        """Log why a provider failed, once the turn has to go on without it."""
        fields = {"code": error.code, "kind": error.kind, "retries": retries}
        self._turn.services.log("provider_failed", fields | error.cause.log_fields())

    async def _transcribe(self) -> str:
        turn, deployment = self._turn, self._turn.services.deployment
        stt = self.stt = SttStage(
            turn.services.transcriber,
            turn.poller.audio,
            turn.request.format,
            str(self._settings.language or ""),
            turn.request.endpointing,
            breaker=turn.services.breakers.transcriber,
            timeout_s=deployment.provider_timeout_s,
            hedge_after_s=deployment.hedge_after_s,
            on_partial=self._send_partial_transcript,
            background=turn.background_close,
        )
        text = await stt.transcribe()
        now = time.monotonic()
        turn.poller.end_utterance()
        # An utterance whose end `audio_end` has told is marked already, and the first mark counts.
        turn.latency.mark("received", now)
        turn.latency.mark("started", now)
        turn.latency.mark("transcribed", now)
        if is_blank(text):
            raise ParleyError(
                "no_speech",
                "No words were heard. Check the microphone and say it again.",
                retryable=True,
            )
        turn.outbox.add_transcript(text, final=True)
        turn.sender.wake()
        return text

    def _send_partial_transcript(self, piece: TranscriptPiece) -> None:
        self._turn.outbox.add_transcript(piece.text, final=False)
        self._turn.sender.wake()

    def _extend_answer(self) -> None:
        """Take more of an answer over HTTP, which has room for so much sound."""
        self._turn.sender.wake()
        if self._turn.outbox.audio_bytes >= MAX_ANSWER_AUDIO_BYTES:
            self._turn.stop.request(StopReason.ANSWER_FULL)

    def _prompt(self) -> Prompt:
        instructions = self._turn.services.deployment.system_prompt
        if self._settings.style:
            instructions += f"\n\nHow to reply: {self._settings.style}"
        return Prompt(instructions, self._history, self.user_text)
