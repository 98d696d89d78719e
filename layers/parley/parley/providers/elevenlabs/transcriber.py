"""ElevenLabs' realtime transcription (Scribe), over its WebSocket.

It is ready at `session_started`, not when the socket opens: a bad key still opens
it. It may commit by itself even in manual mode, so what it has committed is kept
and our own commit only adds the tail. Stale partials and repeated finals are
ignored here and go no further.

A flush is a commit in mid-utterance. It is answered by what came since the commit before.

Asked for the language, it sends a second transcript of each commit, which has it, before the plain
one or after it, "delayed" (the SDK's words). The final one waits for it, but not for long.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from parley.audio.pcm import byte_count, duration_ms, sample_rate_hz
from parley.errors import ProviderError
from parley.protocol.messages import AudioFormat, Endpointing
from parley.providers.context import ApiKey, ProviderContext
from parley.providers.diagnosis import Endpoint
from parley.providers.elevenlabs.config import (
    API_KEY,
    TURN_PREDICTION_MODELS,
    transcription_endpoint,
)
from parley.providers.elevenlabs.sockets import SOCKETS
from parley.providers.rules import STANDARD
from parley.providers.socket import ProviderSocket, prepare_sockets
from parley.providers.stt import TranscriptPiece
from parley.text.same_words import bare_words
from parley.text.scripts import join_texts

MIN_AUDIO_MS = 500
"""A commit of less than 300 ms of audio is ignored; shorter utterances get silence added."""
PING_INTERVAL_S = 5.0
PING_TIMEOUT_S = 10.0
"""While the user talks the service may say nothing for long; pings tell whether it is still there.
Its answer may queue behind what a retry sends at once, so it has time."""
AUTO_COMMIT_FROM_MS = 25_000
"""The service commits by itself after 37 to 43 s of speech, or 90 s as documented; never sooner."""
AUTO_COMMIT_GRACE_S = 0.5
"""How long the answer to our own commit may take after one that may have been the service's."""
LANGUAGE_GRACE_S = 0.5
"""How long the language may take after the final transcript. Then the turn goes on without it."""

_NOT_ENOUGH = frozenset({"commit_throttled", "insufficient_audio_activity"})


def build_transcriber(context: ProviderContext) -> ScribeTranscriber:
    """Build the deployment's transcriber."""
    return ScribeTranscriber(
        transcription_endpoint(context), context.key(API_KEY), context.timeout_s
    )


class ScribeTranscriber:
    """Opens realtime transcription streams.

    Args:
        endpoint: where, and with which model, e.g. `scribe_v2_realtime`.
        api_key: gives the key when one is needed.
        timeout_s: how long `session_started` may take.
    """

    rules = STANDARD

    def __init__(self, endpoint: Endpoint, api_key: ApiKey, timeout_s: float) -> None:
        self._endpoint = endpoint
        self._model = endpoint.model
        self._api_key = api_key
        self._timeout_s = timeout_s

    async def warm_up(self) -> None:
        """See `parley.providers.stt.Transcriber`."""
        await prepare_sockets(self._endpoint)

    async def open(
        self, audio_format: AudioFormat, language: str, endpointing: Endpointing
    ) -> ScribeStream:
        """See `parley.providers.stt.Transcriber`."""
        query = {
            "model_id": self._model,
            "audio_format": audio_format,
            "commit_strategy": _commit_strategy(self._model, endpointing),
        }
        said: list[str] = []
        if language:
            query["language_code"] = language
        else:
            query["include_language_detection"] = "true"
        socket = await ProviderSocket.open(
            self._endpoint,
            "/v1/speech-to-text/realtime",
            query,
            SOCKETS,
            self._api_key,
            said,
            ping_interval_s=PING_INTERVAL_S,
            ping_timeout_s=PING_TIMEOUT_S,
        )
        stream = ScribeStream(
            socket, sample_rate_hz(audio_format), endpointing, said, detects=not language
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                await stream.wait_until_started()
        except TimeoutError:
            await stream.close()
            raise socket.make_silence_error() from None
        except BaseException:
            await stream.close()
            raise
        return stream


def _commit_strategy(model: str, endpointing: Endpointing) -> str:
    """Return who commits: we, the service at a silence, or the service at the end of a turn."""
    if endpointing == "manual":
        return "manual"
    return "turn_prediction" if model in TURN_PREDICTION_MODELS else "vad"


class ScribeStream:
    """One utterance; see `parley.providers.stt.TranscriptStream`.

    Args:
        detects: whether the service was asked which language it hears.
    """

    def __init__(
        self,
        socket: ProviderSocket,
        rate_hz: int,
        endpointing: Endpointing,
        said: list[str],
        *,
        detects: bool = False,
    ) -> None:
        self._socket = socket
        self._said = said
        self._rate_hz = rate_hz
        self._endpointing: Endpointing = endpointing
        self._unflushed_bytes = 0
        self._uncommitted_bytes = 0
        self._may_cross = False
        self._commit_sent = False
        self._flushes = 0
        self._is_confirmed = False
        self._committed: list[str] = []
        self._partial = ""
        self._detects = detects
        self._language = ""
        self._languages_owed = 0

    async def wait_until_started(self) -> None:
        """Wait for `session_started`; an error frame may come instead."""
        frame = await self._socket.receive()
        if frame is None:
            raise self._socket.make_failure("unavailable")
        if (kind := frame.get("message_type")) != "session_started":
            raise self._socket.make_frame_error(kind)

    async def send(self, pcm: bytes) -> None:
        """See `parley.providers.stt.TranscriptStream`."""
        self._unflushed_bytes += len(pcm)
        self._uncommitted_bytes += len(pcm)
        await self._send_chunk(pcm, commit=False)

    async def flush(self) -> bool:
        """See `parley.providers.stt.TranscriptStream`."""
        unflushed_ms = duration_ms(self._unflushed_bytes, self._rate_hz)
        uncommitted_ms = duration_ms(self._uncommitted_bytes, self._rate_hz)
        may_cross = uncommitted_ms >= AUTO_COMMIT_FROM_MS
        if self._endpointing != "manual" or self._commit_sent or may_cross:
            return False
        if min(unflushed_ms, uncommitted_ms) < MIN_AUDIO_MS:
            return False
        self._flushes += 1
        self._unflushed_bytes = self._uncommitted_bytes = 0
        await self._send_chunk(b"", commit=True)
        return True

    async def finish(self) -> None:
        """See `parley.providers.stt.TranscriptStream`."""
        shortfall = byte_count(
            MIN_AUDIO_MS - duration_ms(self._unflushed_bytes, self._rate_hz), self._rate_hz
        )
        if shortfall > 0:
            await self._send_chunk(bytes(shortfall), commit=False)
        self._commit_sent = True
        uncommitted_ms = duration_ms(self._uncommitted_bytes, self._rate_hz)
        self._may_cross = uncommitted_ms >= AUTO_COMMIT_FROM_MS or self._flushes > 0
        await self._send_chunk(b"", commit=True)

    async def pieces(self) -> AsyncIterator[TranscriptPiece]:
        """See `parley.providers.stt.TranscriptStream`."""
        while True:
            frame = await self._socket.receive()
            if frame is None:
                raise self._socket.make_failure("unavailable")
            piece = self._piece(frame)
            if piece is not None and piece.final and self._may_cross:
                self._may_cross = False
                try:
                    async with asyncio.timeout(AUTO_COMMIT_GRACE_S):
                        piece = await self._next_final()
                except TimeoutError:
                    piece = TranscriptPiece(self._joined(), final=True)
            if piece is not None and piece.final:
                yield replace(piece, language=await self._heard_language())
                return
            if piece is not None:
                yield piece

    async def _heard_language(self) -> str:
        """Return the language of the last commit; of the one before, or empty, if none comes."""
        # What goes wrong now costs the language, not the transcript.
        with contextlib.suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(LANGUAGE_GRACE_S):
                while self._detects and self._languages_owed > 0:
                    frame = await self._socket.receive()
                    if frame is None:
                        break
                    self._note_language(frame)
        return self._language

    def _note_language(self, frame: dict[str, Any]) -> None:
        if frame.get("message_type") != "committed_transcript_with_timestamps":
            return
        if str(frame.get("text") or "").strip():
            self._languages_owed -= 1
            self._language = str(frame.get("language_code") or "") or self._language

    async def _next_final(self) -> TranscriptPiece:
        """Return the answer to our commit, after one that may have been the service's own."""
        while True:
            frame = await self._socket.receive()
            if frame is None:
                return TranscriptPiece(self._joined(), final=True)
            piece = self._piece(frame)
            if piece is not None and piece.final:
                return piece

    async def close(self) -> None:
        """See `parley.providers.stt.TranscriptStream`."""
        await self._socket.close()

    def _piece(self, frame: dict[str, Any]) -> TranscriptPiece | None:
        kind = str(frame.get("message_type"))
        self._note_language(frame)
        text = str(frame.get("text") or "").strip()
        if text:
            self._said.append(text)
        if kind == "partial_transcript":
            stale = self._committed and bare_words(text) == bare_words(self._committed[-1])
            if not text or text == self._partial or stale:
                return None
            self._partial = text
            return TranscriptPiece(self._joined(text), final=False)
        if kind == "committed_transcript":
            if text:
                self._committed.append(text)
                self._languages_owed += 1
            self._partial = ""
            if self._flushes and not self._commit_sent:
                self._flushes -= 1
                self._is_confirmed = True
                return self._confirm() or TranscriptPiece(self._joined(), final=False)
            self._uncommitted_bytes = 0
            over = self._commit_sent or (self._endpointing == "server_vad" and bool(text))
            return TranscriptPiece(self._joined(), final=over)
        if kind in _NOT_ENOUGH and self._flushes and not self._commit_sent:
            self._flushes -= 1
            self._is_confirmed = True
            return self._confirm()
        if kind in _NOT_ENOUGH:
            return TranscriptPiece(self._joined(), final=True) if self._commit_sent else None
        if "error" in frame:
            raise self._socket.make_frame_error(kind)
        return self._confirm()  # nothing else: repeated finals, details, and what may come later

    def _confirm(self) -> TranscriptPiece | None:
        """Return the answer to a flush, once the language that is waited for is there too."""
        if not self._is_confirmed or (self._detects and self._languages_owed > 0):
            return None
        self._is_confirmed = False
        return TranscriptPiece(self._joined(), False, self._language, "confirmed")

    def _joined(self, tail: str = "") -> str:
        return join_texts([*self._committed, tail])

    async def _send_chunk(self, pcm: bytes, *, commit: bool) -> None:
        await self._socket.send(
            {
                "message_type": "input_audio_chunk",
                "audio_base_64": base64.b64encode(pcm).decode(),
                "commit": commit,
                "sample_rate": self._rate_hz,
            }
        )
