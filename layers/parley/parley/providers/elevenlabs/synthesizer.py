"""ElevenLabs' multi-context streaming synthesis, over its WebSocket.

One socket and one context per turn. Every clause is flushed, so that it is spoken
at once; closing the context makes the service send what is left and then its final
frame. Models of v3 and v4 are not served here: see `parley.providers.elevenlabs.dialogue`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

from parley.protocol.messages import AudioFormat, Settings
from parley.providers.context import ApiKey, ProviderContext
from parley.providers.diagnosis import Endpoint
from parley.providers.elevenlabs.config import (
    API_KEY,
    is_dialogue_model,
    speech_endpoint,
)
from parley.providers.elevenlabs.frames import decode_audio, read_alignment
from parley.providers.elevenlabs.sockets import SOCKETS
from parley.providers.rules import STANDARD
from parley.providers.socket import ProviderSocket, prepare_sockets
from parley.providers.tts import SpeechPiece, Synthesizer

CONTEXT = "reply"
INACTIVITY_TIMEOUT_S = 180
"""The longest the service allows: the socket is opened while the user still talks."""


def build_synthesizer(context: ProviderContext) -> Synthesizer:
    """Build the deployment's synthesizer; the model says which socket serves it."""
    endpoint, api_key = speech_endpoint(context), context.key(API_KEY)
    if is_dialogue_model(endpoint.model):
        # Nobody else's cold start pays for it.
        from parley.providers.elevenlabs.dialogue import DialogueSynthesizer

        return DialogueSynthesizer(endpoint, api_key)
    return ElevenLabsSynthesizer(endpoint, api_key)


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

    async def warm_up(self) -> None:
        """See `parley.providers.tts.Synthesizer`."""
        await prepare_sockets(self._endpoint)

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
        socket = await ProviderSocket.open(
            self._endpoint,
            f"/v1/text-to-speech/{quote(str(settings.voice), safe='')}/multi-stream-input",
            query,
            SOCKETS,
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
                yield SpeechPiece(decode_audio(self._socket, audio), read_alignment(frame))
            if frame.get("isFinal", frame.get("is_final")):
                return

    async def close(self) -> None:
        """See `parley.providers.tts.SpeechStream`."""
        await self._socket.close()
