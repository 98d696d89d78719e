"""ElevenLabs' multi-context streaming synthesis, over its WebSocket.

One socket and one context per turn. Every clause is flushed, so that it is spoken
at once; closing the context makes the service send what is left and then its final
frame. Frames are read tolerantly: the service has used both spellings of its keys.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import msgspec

from parley.audio.word_timing import Alignment
from parley.protocol.messages import AudioFormat, Settings
from parley.providers.context import ApiKey, ProviderContext
from parley.providers.diagnosis import Endpoint
from parley.providers.elevenlabs.config import API_KEY, speech_endpoint
from parley.providers.elevenlabs.connection import connect
from parley.providers.rules import STANDARD
from parley.providers.socket import ProviderSocket
from parley.providers.tts import SpeechPiece

CONTEXT = "reply"
INACTIVITY_TIMEOUT_S = 180
"""The longest the service allows: the socket is opened while the user still talks."""


def build_synthesizer(context: ProviderContext) -> ElevenLabsSynthesizer:
    """Build the deployment's synthesizer."""
    return ElevenLabsSynthesizer(speech_endpoint(context), context.key(API_KEY))


class ElevenLabsSynthesizer:
    """Opens synthesis streams.

    Args:
        endpoint: where, and with which model, e.g. `eleven_flash_v2_5`.
        api_key: gives the key when one is needed.
    """

    rules = STANDARD

    def __init__(self, endpoint: Endpoint, api_key: ApiKey) -> None:
        self._endpoint = endpoint
        self._model = endpoint.model
        self._api_key = api_key

    async def open(self, audio_format: AudioFormat, settings: Settings) -> ElevenLabsSpeech:
        """See `parley.providers.tts.Synthesizer`."""
        said: list[str] = []
        query = {
            "model_id": self._model,
            "output_format": audio_format,
            "inactivity_timeout": str(INACTIVITY_TIMEOUT_S),
        }
        if settings.language and self._model.endswith("_v2_5"):
            # Only the v2.5 models take a language; the others refuse the parameter.
            query["language_code"] = settings.language
        socket = await connect(
            self._endpoint,
            f"/v1/text-to-speech/{quote(str(settings.voice), safe='')}/multi-stream-input",
            query,
            self._api_key,
            said,
        )
        await socket.send(
            {
                "text": " ",
                "context_id": CONTEXT,
                "voice_settings": {"speed": settings.speed, "stability": settings.stability},
            }
        )
        return ElevenLabsSpeech(socket, said)


class ElevenLabsSpeech:
    """One reply; see `parley.providers.tts.SpeechStream`."""

    def __init__(self, socket: ProviderSocket, said: list[str]) -> None:
        self._socket = socket
        self._said = said

    async def speak(self, clause: str) -> None:
        """See `parley.providers.tts.SpeechStream`."""
        self._said.append(clause)
        await self._socket.send({"text": clause + " ", "context_id": CONTEXT, "flush": True})

    async def finish(self) -> None:
        """See `parley.providers.tts.SpeechStream`."""
        await self._socket.send({"context_id": CONTEXT, "close_context": True})

    async def pieces(self) -> AsyncIterator[SpeechPiece]:
        """See `parley.providers.tts.SpeechStream`."""
        while True:
            frame = await self._socket.receive()
            if frame is None:
                raise self._socket.make_failure("unavailable")
            if name := frame.get("error"):
                raise self._socket.make_frame_error(name)
            if frame.get("contextId", frame.get("context_id", CONTEXT)) != CONTEXT:
                continue
            if audio := frame.get("audio"):
                yield SpeechPiece(self._decoded(audio), _alignment(frame))
            if frame.get("isFinal", frame.get("is_final")):
                return

    async def close(self) -> None:
        """See `parley.providers.tts.SpeechStream`."""
        await self._socket.close()

    def _decoded(self, audio: object) -> bytes:
        try:
            return base64.b64decode(str(audio), validate=True)
        except (binascii.Error, ValueError):
            raise self._socket.make_failure("invalid") from None


def _alignment(frame: dict[str, Any]) -> Alignment | None:
    """Return character times, relative to the frame's audio; the raw text's where both come."""
    found = frame.get("alignment") or frame.get("normalizedAlignment")
    if not isinstance(found, dict):
        return None
    durations = found.get("charDurationsMs") or found.get("charsDurationsMs")
    try:
        return Alignment(
            msgspec.convert(found.get("chars"), list[str]),
            msgspec.convert(found.get("charStartTimesMs"), list[float]),
            msgspec.convert(durations, list[float]),
            exact=bool(frame.get("alignment")),
        )
    except msgspec.ValidationError:
        return None  # the audio is good without it
