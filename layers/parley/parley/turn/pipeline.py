"""A turn's conversation: hear, think, speak, with its three stages connected as early as can be."""

from __future__ import annotations

import asyncio
import time

from parley.aio.tasks import Tasks
from parley.clock import now_ms
from parley.errors import ParleyError, ProviderError
from parley.protocol.messages import Message, Settings
from parley.providers.llm import Prompt
from parley.providers.stt import TranscriptPiece
from parley.storage.inbox_entries import InterruptEntry
from parley.text.blank import is_blank
from parley.turn.context import Parts
from parley.turn.stages.reply import ReplyStage
from parley.turn.stages.stt import SttStage

MAX_ANSWER_AUDIO_BYTES = 3_500_000
"""Of a reply that is one answer: in base64, and with the rest, it stays below the 6 MB that a
function may return ("Lambda quotas"). 73 s at 24 kHz."""


class Pipeline:
    """Hears the user and replies.

    Args:
        settings: those in force.
        history: the session's messages, without this turn's.
    """

    def __init__(self, parts: Parts, settings: Settings, history: list[Message]) -> None:
        self._request = parts.request
        self._services = parts.services
        self._outbox = parts.outbox
        self._poster = parts.poster
        self._watching = parts.watching
        self._keeping = parts.keeping
        self._sounding = parts.sounding
        self._timings = parts.timings
        self._closing = parts.closing
        self._settings = settings
        self._history = history
        self.user_text = ""
        """What the user said; empty until it is known."""
        self.asked = asyncio.Event()
        """Set when the model has been asked."""
        self.hearing: SttStage | None = None
        self.replying: ReplyStage | None = None
        self.full = False
        """The reply was cut where its answer had no more room."""

    async def run(self) -> None:
        """Converse until the reply has been posted; raises `ParleyError` if that fails."""
        settings, deployment = self._settings, self._services.deployment
        replying = self.replying = ReplyStage(
            self._services.responder,
            self._services.synthesizer,
            settings,
            self._outbox,
            self._timings,
            timeout_s=deployment.provider_timeout_s,
            hedge_after_s=deployment.hedge_after_s,
            on_change=self._poster.wake if self._request.connected else self._on_grown,
            on_asked=self.note_asked,
            breakers=self._services.circuits,
            background=self._closing,
            max_chars=deployment.limits.reply_chars,
        )
        async with Tasks() as tasks:
            speaking = tasks.start(self._speak(replying))
            if self._request.spoken:
                tasks.start(self._services.responder.warm_up())
                try:
                    self.user_text = await self._hear(settings)
                except ProviderError as error:
                    self._log_failure(error, self.hearing.retries if self.hearing else 0)
                    raise
            else:
                self.user_text = self._request.text or ""
            try:
                await replying.write(self._prompt(settings))
            except ParleyError as error:
                if isinstance(error, ProviderError):
                    self._log_failure(error, replying.responder_retries)
                if replying.text:  # what has been said is spoken to its end
                    await speaking
                raise
            await speaking
            await self._poster.drained()

    def note_asked(self) -> None:
        """The model has been asked, or will not be: what the user said may be written down."""
        if not self.asked.is_set():
            self.asked.set()
            sound = self._sounding.of_user(self._watching.audio.items)
            self._keeping.user(self.user_text, sound)

    async def _speak(self, replying: ReplyStage) -> None:
        """Connect to the synthesizer early: while the user speaks, or while the model thinks."""
        if not self._request.spoken:
            await self.asked.wait()
        await replying.speak()
        if replying.speech_error is not None:
            self._log_failure(replying.speech_error, replying.speech_retries)

    def _log_failure(self, error: ProviderError, retries: int) -> None:
        """Say why a provider failed, once the turn has to go on without it."""
        fields = {"code": error.code, "kind": error.kind, "retries": retries}
        self._services.log("provider_failed", fields | error.cause.log_fields())

    async def _hear(self, settings: Settings) -> str:
        deployment = self._services.deployment
        hearing = self.hearing = SttStage(
            self._services.transcriber,
            self._watching.audio,
            self._request.format,
            str(settings.language or ""),
            self._request.endpointing,
            breaker=self._services.circuits.transcriber,
            timeout_s=deployment.provider_timeout_s,
            hedge_after_s=deployment.hedge_after_s,
            on_partial=self._on_partial,
            background=self._closing,
        )
        text = await hearing.transcribe()
        now = time.monotonic()
        self._watching.heard_the_end()
        self._timings.mark("received", now)
        self._timings.mark("started", now)
        self._timings.mark("transcribed", now)
        if is_blank(text):
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

    def _on_grown(self) -> None:
        """There is more of an answer, which has room for so much sound."""
        self._poster.wake()
        interrupt = self._watching.interrupt
        if self._outbox.audio_bytes >= MAX_ANSWER_AUDIO_BYTES and not interrupt.done():
            self.full = True
            interrupt.set_result(InterruptEntry(self._outbox.audio_ms, now_ms()))

    def _prompt(self, settings: Settings) -> Prompt:
        instructions = self._services.deployment.system_prompt
        if settings.style:
            instructions += f"\n\nHow to reply: {settings.style}"
        return Prompt(instructions, self._history, self.user_text)
