"""ElevenLabs' dialogues over WebSockets, which v3 and v4 speak through: `stream-input` and
`multi-stream-input` of `text-to-dialogue`.

A context begins with its voices; text is spoken when there is enough
of it, when a turn ends, or when it is flushed. Frames that break the rules close the whole socket,
also one for a context that is closing. By ElevenLabs' reference of the multi-context socket and the
types of its SDK; by what others saw where both are silent, which the oddities can change.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from dataclasses import dataclass, replace
from typing import Any

from parley_standins.alignment import CharacterTimes
from parley_standins.audio_formats import HTTP_FORMATS, AudioFormat, UnsupportedAudio, encoder
from parley_standins.elevenlabs_errors import ApiProblem, voice_not_found
from parley_standins.elevenlabs_service import (
    SPEED_RANGE_SOCKET,
    check_model,
    voice_settings,
)
from parley_standins.elevenlabs_tts_socket import (
    DEFAULT_CONTEXT,
    Over,
    SpeechContext,
    SpeechOptions,
    TtsSocket,
)
from parley_standins.speech_pieces import SpokenPiece, stream_speech
from parley_standins.text_buffer import TextBuffer
from parley_standins.voices import DEFAULT_VOICE_ID, VOICES, Voice, VoiceSettings

DEFAULT_MODEL = "eleven_v3_conversational"
MODELS = ("eleven_v3", "eleven_v4")
"""What the models' names begin with."""
ONE_VOICE = ("_conversational", "_turbo")
"""What the names of models end with that speak with one voice."""
MAX_VOICES = 10
MIN_CHARACTERS, MIN_WORDS = 40, 8
"""Text is held back until there is so much of it."""
FOREVER_S = 3600.0
"""The socket itself is closed for nothing: each context has a timer of its own."""
_FIRST_ONLY = ("voices", "voice_settings", "pronunciation_dictionary_locators")


class DialogueSocket(TtsSocket):
    """One connection; see `TtsSocket`."""

    def _parse_options(self) -> SpeechOptions:
        query = self._request.query
        model = query.get("model_id", DEFAULT_MODEL)
        check_model(model, socket=False)
        if not model.startswith(MODELS):
            raise ApiProblem(
                400, "unsupported_model", f"The model {model} speaks no dialogues.", "model_id"
            )
        try:
            name = query.get("output_format", "mp3_44100_128")
            audio_format = AudioFormat.parse(name, HTTP_FORMATS)
        except UnsupportedAudio as error:
            raise ApiProblem(400, "invalid_output_format", str(error), "output_format") from None
        return SpeechOptions(
            VOICES[DEFAULT_VOICE_ID], audio_format, auto_mode=False, inactivity_s=FOREVER_S
        )

    def _handle(self, frame: dict[str, Any], options: SpeechOptions) -> None:
        self._authorize(frame)
        if frame.get("close_socket"):
            for open_name in list(self._contexts):
                self.close_context(open_name)
            raise Over
        name = frame.get("context_id") if self._multi else DEFAULT_CONTEXT
        if not name:
            raise ApiProblem(400, "missing_context_id", "A context_id is needed.", "context_id")
        if any(context.name == name and not context.is_done for context in self._closed_contexts):
            raise ApiProblem(400, "context_closing", f"The context {name} is closing.")
        context = self._contexts.get(name)
        if context is None:
            context = self._begin(name, frame, options)
        elif any(frame.get(field) is not None for field in _FIRST_ONLY):
            raise ApiProblem(400, "invalid_message", "Voices go with a context's first message.")
        assert isinstance(context, _Dialogue)
        context.hear(frame)
        if frame.get("close_context"):
            self.close_context(name)

    def close_context(self, name: str) -> None:
        """Close a context: what is left of it is spoken first."""
        context = self._contexts.pop(name, None)
        if context is not None:
            context.finish(flush=True)
            self._closed_contexts.add(context)

    async def send_clause_end(self, context_id: str) -> None:
        """Send that the last audio of a turn has been sent."""
        await self._send(self._labelled({"is_final_audio_for_turn": True}, context_id))

    async def send_final(self, context_id: str, rest: bytes) -> None:
        """Send what an encoder kept back, and the frame that ends a context."""
        if rest:
            await self.send_piece(context_id, SpokenPiece(rest, CharacterTimes(), 0))
        await self._send(self._labelled({"is_final": True}, context_id))

    def _piece_frame(self, context_id: str, piece: SpokenPiece) -> dict[str, Any]:
        frame: dict[str, Any] = {"audio": base64.b64encode(piece.audio).decode()}
        timed = self._request.query.get("sync_alignment", "false").lower() == "true"
        times = piece.times.milliseconds()
        if timed and times and self.service.settings.oddities.dialogue_times:
            frame["alignment"] = {
                "chars": times["chars"],
                "char_start_times_ms": times["charStartTimesMs"],
                "char_durations_ms": times["charDurationsMs"],
            }
        return self._labelled(frame, context_id)

    def _labelled(self, frame: dict[str, Any], context_id: str) -> dict[str, Any]:
        return {**frame, "context_id": context_id} if self._multi else frame

    def _begin(self, name: str, frame: dict[str, Any], options: SpeechOptions) -> _Dialogue:
        self._closed_contexts = {c for c in self._closed_contexts if not c.is_done}
        limit = self.service.settings.oddities.tts_max_contexts
        if len(self._contexts) + len(self._closed_contexts) >= limit:
            raise ApiProblem(429, "too_many_contexts", f"At most {limit} contexts may be open.")
        voices = self._voices(frame.get("voices"))
        given = frame.get("voice_settings") or {}
        settings = voice_settings(
            {"stability": given.get("stability") if isinstance(given, dict) else None},
            SPEED_RANGE_SOCKET,
        )
        context = _Dialogue(self, name, options, settings, TextBuffer())
        context.voices = voices
        self._contexts[name] = context
        return context

    def _voices(self, given: Any) -> dict[str, Voice]:
        if not isinstance(given, list) or not given:
            raise ApiProblem(400, "voices_required", "The first message needs voices.", "voices")
        model = self._request.query.get("model_id", DEFAULT_MODEL)
        most = 1 if model.endswith(ONE_VOICE) else MAX_VOICES
        if len(given) > most:
            raise ApiProblem(400, "too_many_voices", f"{model} takes {most} voices.", "voices")
        for voice in given:
            if voice not in VOICES:
                raise voice_not_found(str(voice))
        return {voice: VOICES[voice] for voice in given}


@dataclass(frozen=True, slots=True)
class _Batch:
    """Text that is spoken in one go.

    Attributes:
        answered: whether the client is told when its audio is over.
    """

    text: str
    voice: Voice
    triggered: float
    answered: bool


class _Dialogue(SpeechContext):
    """One context: what several voices say, in order."""

    voices: dict[str, Voice]

    def __init__(
        self,
        socket: DialogueSocket,
        name: str,
        options: SpeechOptions,
        settings: VoiceSettings,
        buffer: TextBuffer,
    ) -> None:
        super().__init__(socket, name, options, settings, buffer)
        self._dialogue = socket
        self._pending = ""
        self._voice = VOICES[DEFAULT_VOICE_ID]
        self._unflushed = False
        self._batches: asyncio.Queue[_Batch | None] = asyncio.Queue()
        self._idle_timer: asyncio.TimerHandle | None = None

    def hear(self, frame: dict[str, Any]) -> None:
        """Take what a frame says."""
        self._restart_timer()
        inputs = frame.get("inputs") or []
        if not isinstance(inputs, list):
            raise ApiProblem(400, "invalid_message", "inputs has to be a list.", "inputs")
        for line in inputs:
            self._add(line)
        if frame.get("flush"):
            self._flush()

    def finish(self, *, flush: bool) -> None:
        """Note that nothing more comes."""
        if self._idle_timer:
            self._idle_timer.cancel()
        if self._dialogue.service.settings.oddities.dialogue_close_drops:
            with contextlib.suppress(asyncio.QueueEmpty):
                while True:
                    self._batches.get_nowait()
        if flush:
            self._flush()
        self._batches.put_nowait(None)

    async def stop(self) -> None:
        """Speak no more."""
        if self._idle_timer:
            self._idle_timer.cancel()
        await super().stop()

    def _add(self, line: Any) -> None:
        if not isinstance(line, dict) or not isinstance(line.get("text"), str):
            raise ApiProblem(400, "invalid_message", "An input needs a text.", "inputs")
        voice = self.voices.get(str(line.get("voice_id")))
        if voice is None:
            raise ApiProblem(400, "unregistered_voice", "A voice is not the context's.", "voice_id")
        if self._unflushed and (line.get("new_turn") or voice is not self._voice):
            self._flush()
        self._voice = voice
        self._pending += line["text"]
        self._unflushed = True
        if len(self._pending) >= MIN_CHARACTERS and len(self._pending.split()) >= MIN_WORDS:
            self._speak_pending(answered=False)

    def _flush(self) -> None:
        if self._unflushed:
            self._unflushed = False
            self._speak_pending(
                answered=self._dialogue.service.settings.oddities.dialogue_answers_flushes
            )

    def _speak_pending(self, *, answered: bool) -> None:
        text, self._pending = self._pending, ""
        self._batches.put_nowait(_Batch(text, self._voice, time.monotonic(), answered))

    def _restart_timer(self) -> None:
        if self._idle_timer:
            self._idle_timer.cancel()
        idle_s = self._dialogue.service.settings.oddities.dialogue_idle_s
        self._idle_timer = asyncio.get_running_loop().call_later(
            idle_s, self._dialogue.close_context, self.name
        )

    async def _say_all(self) -> None:
        options = self._options
        encoding = encoder(options.audio_format)
        while (batch := await self._batches.get()) is not None:
            async for piece in stream_speech(
                self._dialogue.service,
                batch.text,
                batch.voice,
                replace(self._settings, speed=1.0),
                options.audio_format,
                encoding,
                batch.triggered,
            ):
                await self._dialogue.send_piece(self.name, piece)
            if batch.answered:
                await self._dialogue.send_clause_end(self.name)
        if not self._dialogue.service.settings.oddities.dialogue_answers_flushes:
            await self._dialogue.send_clause_end(self.name)
        await self._dialogue.send_final(self.name, encoding.finish())
