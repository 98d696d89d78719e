"""ElevenLabs' v3 and v4 voices, over the multi-context text-to-dialogue WebSocket.

One socket and one context per turn, as `parley.providers.elevenlabs.synthesizer` has them. What is
different, and who says so:

- Documented (elevenlabs.io, text-to-dialogue, multi-context; the SDK's types, elevenlabs 2.78, say
  the same): a context begins with its voices; text comes as `inputs`, and is spoken at once if it
  is flushed; a context that is told nothing for 20 s is closed, so it is kept alive while the user
  still talks; a frame for a context that is closing ends the whole socket. `stability` is the only
  voice setting: a session's speed has no effect.
- In no document, and seen by others at the real service: each flush is answered by one
  `is_final_audio_for_turn`, which therefore ends a clause here; `close_context` drops what was
  flushed and not begun (it is documented to speak it), so it waits for these answers; times start
  anew in every frame; v4 is served too, where the document names v3 alone.

An interrupted reply needs no frame: its socket is closed, which also ends the session that the
account is charged with for as long as the socket is open.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from parley.errors import ProviderError
from parley.protocol.messages import AudioFormat, Settings
from parley.providers.context import ApiKey
from parley.providers.diagnosis import Endpoint
from parley.providers.elevenlabs.frames import decode_audio, read_alignment
from parley.providers.elevenlabs.sockets import SOCKETS
from parley.providers.rules import STANDARD, CallRules
from parley.providers.socket import ProviderSocket, prepare_sockets
from parley.providers.tts import SpeechPiece

CONTEXT = "reply"
KEEP_ALIVE_S = 8.0
"""The service closes a context after 20 s; one frame that is late must not matter."""
ANSWER_WAIT_S = 3.0
"""Of silence, until the context is closed although a flush was not answered: should the service
answer each turn once, not each flush, the reply ends so much later, and ends."""
CONVERSATIONAL = ("_turbo", "_conversational")
"""What the names of models end with that are made for conversations."""
SLOW = CallRules(hedge_after_s=4.0)
"""The others are made for reading aloud: a second session, which is charged, would start for many
replies. How long they take is not published."""


class DialogueSynthesizer:
    """Opens synthesis streams.

    Args:
        endpoint: where, and with which model, e.g. `eleven_v4_turbo`.
        api_key: gives the key when one is needed.
    """

    def __init__(self, endpoint: Endpoint, api_key: ApiKey) -> None:
        self.rules = STANDARD if endpoint.model.endswith(CONVERSATIONAL) else SLOW
        self._endpoint = endpoint
        self._api_key = api_key

    async def warm_up(self) -> None:
        """See `parley.providers.tts.Synthesizer`."""
        await prepare_sockets(self._endpoint)

    async def open(self, audio_format: AudioFormat, settings: Settings) -> DialogueSpeech:
        """See `parley.providers.tts.Synthesizer`."""
        said: list[str] = []
        query = {
            "model_id": self._endpoint.model,
            "output_format": audio_format,
            "sync_alignment": "true",
        }
        if settings.language:
            query["language_code"] = settings.language
        socket = await ProviderSocket.open(
            self._endpoint,
            "/v1/text-to-dialogue/multi-stream-input",
            query,
            SOCKETS,
            self._api_key,
            said,
        )
        voice = str(settings.voice)
        await socket.send(
            {
                "context_id": CONTEXT,
                "voices": [voice],
                "voice_settings": {"stability": settings.stability},
            }
        )
        return DialogueSpeech(socket, voice, said)


class DialogueSpeech:
    """One reply; see `parley.providers.tts.SpeechStream`."""

    def __init__(self, socket: ProviderSocket, voice: str, said: list[str]) -> None:
        self._socket = socket
        self._voice = voice
        self._said = said
        self._unanswered = 0
        """Clauses that were flushed, and whose last audio has not come."""
        self._finished = False
        self._closing = False
        self._failure: ProviderError | None = None
        self._keep_alive_task = asyncio.create_task(self._keep_alive())

    async def speak(self, clause: str) -> None:
        """See `parley.providers.tts.SpeechStream`."""
        first = not self._said
        self._said.append(clause)
        self._unanswered += 1
        # Texts are joined as they are. A reply is one turn: a new one would change its melody.
        text = {"text": clause + " ", "voice_id": self._voice, "new_turn": first}
        await self._send({"inputs": [text]})
        await self._send({"flush": True})

    async def finish(self) -> None:
        """See `parley.providers.tts.SpeechStream`."""
        self._finished = True
        if not self._unanswered:
            await self._close_context()

    async def pieces(self) -> AsyncIterator[SpeechPiece]:
        """See `parley.providers.tts.SpeechStream`."""
        while True:
            try:
                async with asyncio.timeout(ANSWER_WAIT_S):
                    frame = await self._receive()
            except TimeoutError:
                if self._finished:
                    await self._close_context()
                continue
            if name := frame.get("error"):
                raise self._socket.make_frame_error(name)
            if frame.get("context_id", frame.get("contextId", CONTEXT)) != CONTEXT:
                continue
            if audio := frame.get("audio"):
                yield SpeechPiece(decode_audio(self._socket, audio), read_alignment(frame))
            if frame.get("is_final_audio_for_turn") and self._unanswered:
                self._unanswered -= 1
                yield SpeechPiece(b"", None, ends_clause=True)
                if self._finished and not self._unanswered:
                    await self._close_context()
            if frame.get("is_final", frame.get("isFinal")):
                if not self._closing:  # it has given up waiting: what follows would be refused
                    raise self._socket.make_failure("unavailable")
                return

    async def close(self) -> None:
        """See `parley.providers.tts.SpeechStream`."""
        self._keep_alive_task.cancel()
        await asyncio.wait([self._keep_alive_task])
        await self._socket.close()

    async def _receive(self) -> dict[str, Any]:
        try:
            frame = await self._socket.receive()
        except ProviderError as error:
            raise self._failure or error from None
        if frame is None:
            raise self._failure or self._socket.make_failure("unavailable")
        return frame

    async def _close_context(self) -> None:
        if not self._closing:
            self._closing = True
            self._keep_alive_task.cancel()
            await self._send({"close_context": True})

    async def _keep_alive(self) -> None:
        try:
            while True:
                await asyncio.sleep(KEEP_ALIVE_S)
                await self._send({"keep_alive": True})
        except ProviderError as error:
            self._failure = error  # a send may have read the frame that says why

    async def _send(self, fields: dict[str, Any]) -> None:
        await self._socket.send({"context_id": CONTEXT, **fields})
