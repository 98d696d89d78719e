"""Cartesia's realtime transcription (Ink), over its two WebSockets.

One ends an utterance when it is told to (`finalize`), the other when the speaker has ended. Audio
goes up in binary frames. Neither says that it is ready, and neither need be waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from parley.audio.pcm import byte_count, sample_rate_hz
from parley.protocol.messages import AudioFormat, Endpointing
from parley.providers.cartesia.config import API_KEY, configured_endpoint, language_code
from parley.providers.cartesia.models import choose_model, language_query
from parley.providers.cartesia.sockets import SOCKETS, error_in
from parley.providers.context import ApiKey, ProviderContext
from parley.providers.diagnosis import Endpoint
from parley.providers.rules import STANDARD
from parley.providers.socket import ProviderSocket, prepare_sockets
from parley.providers.stt import TranscriptPiece, TranscriptStream, TurnSign

PING_INTERVAL_S = 5.0
PING_TIMEOUT_S = 10.0
"""While the user talks the service may say nothing for long; pings tell whether it is still there.
Its answer may queue behind what a retry sends at once, so it has time."""
GAP_S = 1.0
"""A turn in which so long no audio has come gets silence. The end of a turn is found in audio, and
a network that stumbles is quicker than that."""
SILENCE_MS = 500
"""How much silence at a time."""
END_TIMEOUT_MS = 640
"""The least silence after which the service may be told to end a turn."""
LAST_SILENCE_MS = 1_000
"""Silence that ends a turn for certain, once the service was told so."""


def build_transcriber(context: ProviderContext) -> InkTranscriber:
    """Build the deployment's transcriber.

    Raises:
        ConfigurationError: its model does not understand its language.
    """
    endpoint = configured_endpoint(context)
    return InkTranscriber(endpoint, context.key(API_KEY))


class InkTranscriber:
    """Opens realtime transcription streams.

    Args:
        endpoint: where, and with which model; empty for the one that fits.
        api_key: gives the key when one is needed.
    """

    rules = STANDARD

    def __init__(self, endpoint: Endpoint, api_key: ApiKey) -> None:
        self._endpoint = endpoint
        self._api_key = api_key

    async def warm_up(self) -> None:
        """See `parley.providers.stt.Transcriber`."""
        await prepare_sockets(self._endpoint)

    async def open(
        self, audio_format: AudioFormat, language: str, endpointing: Endpointing
    ) -> TranscriptStream:
        """See `parley.providers.stt.Transcriber`."""
        code = language_code(language)
        model = choose_model(self._endpoint.model, code, endpointing)
        rate_hz = sample_rate_hz(audio_format)
        said: list[str] = []
        socket = await ProviderSocket.open(
            replace(self._endpoint, model=model),
            "/stt/websocket" if endpointing == "manual" else "/stt/turns/websocket",
            {
                "model": model,
                "encoding": "pcm_s16le",
                "sample_rate": str(rate_hz),
                **language_query(model, code),
            },
            SOCKETS,
            self._api_key,
            said,
            ping_interval_s=PING_INTERVAL_S,
            ping_timeout_s=PING_TIMEOUT_S,
        )
        if endpointing == "manual":
            return ManualStream(socket, said)
        return TurnStream(socket, rate_hz, said)


class ManualStream:
    """One utterance that the client ends; see `parley.providers.stt.TranscriptStream`.

    A transcript says what came since the last one that is final, with its own white space. The
    service makes some final by itself in the middle: only `flush_done` ends the utterance.
    """

    def __init__(self, socket: ProviderSocket, said: list[str]) -> None:
        self._socket = socket
        self._said = said
        self._final = ""
        self._told = ""
        self._language = ""
        self._is_finished = False
        self._flushes = 0

    async def send(self, pcm: bytes) -> None:
        """See `parley.providers.stt.TranscriptStream`."""
        if pcm:
            await self._socket.send_raw(pcm)

    async def flush(self) -> bool:
        """See `parley.providers.stt.TranscriptStream`."""
        if self._is_finished:
            return False
        self._flushes += 1
        await self._socket.send_raw("finalize")
        return True

    async def finish(self) -> None:
        """See `parley.providers.stt.TranscriptStream`."""
        self._is_finished = True
        await self._socket.send_raw("finalize")

    async def pieces(self) -> AsyncIterator[TranscriptPiece]:
        """See `parley.providers.stt.TranscriptStream`."""
        while True:
            frame = await self._socket.receive()
            if frame is None:
                raise self._socket.make_failure("unavailable")
            if error_in(frame) is not None:
                raise self._socket.make_frame_error(frame)
            kind = frame.get("type")
            if kind == "transcript":
                if piece := self._take(frame):
                    yield piece
            elif kind == "flush_done" and self._flushes:
                self._flushes -= 1
                yield self._piece(self._final, sign="confirmed")
            elif kind in ("flush_done", "done") and self._is_finished:
                yield self._piece(self._final, final=True)
                return

    async def close(self) -> None:
        """See `parley.providers.stt.TranscriptStream`."""
        await self._socket.close()

    def _take(self, frame: dict[str, Any]) -> TranscriptPiece | None:
        text = str(frame.get("text") or "")
        self._said.append(text)
        self._language = str(frame.get("language") or self._language)
        if frame.get("is_final"):
            self._final += text
            text = ""
        piece = self._piece(self._final + text)
        if piece.text == self._told:
            return None
        self._told = piece.text
        return piece

    def _piece(self, text: str, *, final: bool = False, sign: TurnSign = "") -> TranscriptPiece:
        return TranscriptPiece(text.strip(), final, self._language, sign)


class TurnStream:
    """One utterance whose end the service finds; see `parley.providers.stt.TranscriptStream`.

    Its transcripts are those of the whole turn. It tells of an end that is only likely
    (`turn.eager_end`), and of one that was none (`turn.resume`).
    """

    def __init__(self, socket: ProviderSocket, rate_hz: int, said: list[str]) -> None:
        self._socket = socket
        self._rate_hz = rate_hz
        self._said = said
        self._text = ""
        self._language = ""
        self._is_talking = False
        self._is_finished = False
        self._heard_s = 0.0

    async def send(self, pcm: bytes) -> None:
        """See `parley.providers.stt.TranscriptStream`."""
        self._heard_s = asyncio.get_running_loop().time()
        if pcm:
            await self._socket.send_raw(pcm)

    async def flush(self) -> bool:
        """See `parley.providers.stt.TranscriptStream`. The service knows no such command."""
        return False

    async def finish(self) -> None:
        """See `parley.providers.stt.TranscriptStream`.

        No command ends a turn. The service is told to wait for as little silence as it may, and
        gets more than that.
        """
        self._is_finished = True
        await self._socket.send({"type": "config", "turn": {"end_timeout_ms": END_TIMEOUT_MS}})
        await self._socket.send_raw(bytes(byte_count(LAST_SILENCE_MS, self._rate_hz)))
        await self._socket.send({"type": "close"})

    async def pieces(self) -> AsyncIterator[TranscriptPiece]:
        """See `parley.providers.stt.TranscriptStream`."""
        while True:
            frame = await self._receive()
            if frame is None:
                # It has processed everything: whatever it heard of a turn is all of it.
                if not self._is_finished:
                    raise self._socket.make_failure("unavailable")
                yield self._piece(final=True)
                return
            if error_in(frame) is not None:
                raise self._socket.make_frame_error(frame)
            piece = self._take(frame)
            if piece is not None:
                yield piece
                if piece.final:
                    return

    async def close(self) -> None:
        """See `parley.providers.stt.TranscriptStream`."""
        await self._socket.close()

    async def _receive(self) -> dict[str, Any] | None:
        while True:
            try:
                async with asyncio.timeout(GAP_S / 2):
                    return await self._socket.receive()
            except TimeoutError:
                await self._fill_gap()

    async def _fill_gap(self) -> None:
        quiet_s = asyncio.get_running_loop().time() - self._heard_s
        if self._is_talking and not self._is_finished and quiet_s >= GAP_S:
            await self._socket.send_raw(bytes(byte_count(SILENCE_MS, self._rate_hz)))

    def _take(self, frame: dict[str, Any]) -> TranscriptPiece | None:
        kind = frame.get("type")
        if kind in ("turn.start", "turn.resume"):
            self._is_talking = True
        if kind == "turn.resume":
            return self._piece(sign="unlikely_end")
        if kind not in ("turn.update", "turn.eager_end", "turn.end"):
            return None
        self._is_talking = kind != "turn.end"
        text = str(frame.get("transcript") or "").strip()
        self._said.append(text)
        self._language = _surest_language(frame) or self._language
        if kind == "turn.end":
            self._text = text
            # A turn without a word was a noise. The next one may be what is waited for.
            return self._piece(final=True) if text else None
        is_news, self._text = text != self._text, text
        if kind == "turn.eager_end":
            return self._piece(sign="likely_end")
        return self._piece() if is_news else None

    def _piece(self, *, final: bool = False, sign: TurnSign = "") -> TranscriptPiece:
        return TranscriptPiece(self._text, final, self._language, sign)


def _surest_language(frame: dict[str, Any]) -> str:
    """Return the language of a turn, where the model says which it heard; those models that do
    list the surest first."""
    listed = frame.get("languages")
    first = listed[0] if isinstance(listed, list) and listed else None
    return str(first.get("language") or "") if isinstance(first, dict) else ""
