"""Deepgram's Flux, over its WebSocket (`/v2/listen`).

One socket is both: with `server_vad` the model hears where the user's turn ends; with `manual` it
is kept from that (`eot_threshold` 1.0), and our `ForceEndTurn` ends the turn. Transcripts are
those of a turn, whole each time. A turn may still end by itself in the middle of an utterance, as
after a long pause: what all of them say is the utterance. A flush ends a turn so too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from parley.audio.pcm import sample_rate_hz
from parley.protocol.messages import AudioFormat, Endpointing
from parley.providers.context import ApiKey, ProviderContext
from parley.providers.deepgram.chunks import AudioChunks
from parley.providers.deepgram.config import (
    API_KEY,
    LANGUAGES,
    MULTILINGUAL,
    model_for,
    require_suitable_model,
    transcription_endpoint,
)
from parley.providers.diagnosis import Endpoint
from parley.providers.rules import STANDARD
from parley.providers.socket import ProviderSocket, SocketService, prepare_sockets
from parley.providers.stt import TranscriptPiece, TurnSign
from parley.text.scripts import join_texts

PING_INTERVAL_S = 5.0
PING_TIMEOUT_S = 10.0
"""Flux has no other sign of life while nobody speaks, and takes no other."""
MANUAL_THRESHOLD = "1.0"
"""The confidence that the model never has that a turn is over."""
MANUAL_TIMEOUT_MS = 60_000
"""The longest that Flux allows: after such a silence it ends a turn in any case."""
EAGER_THRESHOLD = "0.4"
"""The confidence from which the model tells that a turn may be over. It takes 0.3 to 0.9, and no
more than that of the end itself (0.7)."""
TAIL_MS = 240
"""Silence behind an utterance, and in a pause that is confirmed. `ForceEndTurn` ends a turn "on the
audio transcribed so far", and Flux transcribes about a quarter of a second at a time."""

_NO_TURN = "FORCE_END_TURN_NO_ACTIVE_TURN"
"""The warning that answers a `ForceEndTurn` when nobody is speaking."""
_BY_ITSELF = frozenset({"model", "timeout"})
"""What ends a turn, if it is not our `ForceEndTurn`. That one is still to be answered."""
_SIGNS: dict[str, TurnSign] = {"EagerEndOfTurn": "likely_end", "TurnResumed": "unlikely_end"}


def build_transcriber(context: ProviderContext) -> FluxTranscriber:
    """Build the deployment's transcriber.

    Raises:
        ConfigurationError: Flux cannot hear what the deployment is meant to hear.
    """
    require_suitable_model(context)
    return FluxTranscriber(
        transcription_endpoint(context),
        context.key(API_KEY),
        context.stage_text("transcriber", "MODEL"),
        is_eager=context.text("PREEMPTIVE_REPLIES", "on") == "on",
    )


class FluxTranscriber:
    """Opens transcription streams.

    Args:
        endpoint: where.
        api_key: gives the key when one is needed.
        model: the deployment's; empty for the one that suits the language.
        is_eager: whether it is to be told that a turn may be over.
    """

    rules = STANDARD

    def __init__(
        self, endpoint: Endpoint, api_key: ApiKey, model: str = "", *, is_eager: bool = False
    ) -> None:
        self._endpoint = endpoint
        self._api_key = api_key
        self._model = model
        self._is_eager = is_eager

    async def warm_up(self) -> None:
        """See `parley.providers.stt.Transcriber`."""
        await prepare_sockets(self._endpoint)

    async def open(
        self, audio_format: AudioFormat, language: str, endpointing: Endpointing
    ) -> FluxStream:
        """See `parley.providers.stt.Transcriber`."""
        model = self._model or model_for(language)
        chunks = AudioChunks(sample_rate_hz(audio_format))
        query = {"model": model, "encoding": "linear16", "sample_rate": str(chunks.rate_hz)}
        if model == MULTILINGUAL and language in LANGUAGES:
            query["language_hint"] = language  # the other model refuses it
        if endpointing == "manual":
            query["eot_threshold"] = MANUAL_THRESHOLD
            query["eot_timeout_ms"] = str(MANUAL_TIMEOUT_MS)
        elif self._is_eager:
            query["eager_eot_threshold"] = EAGER_THRESHOLD
        said: list[str] = []
        socket = await ProviderSocket.open(
            self._endpoint,
            "/v2/listen",
            query,
            _SOCKETS,
            self._api_key,
            said,
            ping_interval_s=PING_INTERVAL_S,
            ping_timeout_s=PING_TIMEOUT_S,
        )
        return FluxStream(socket, chunks, endpointing, said)


class FluxStream:
    """One utterance; see `parley.providers.stt.TranscriptStream`."""

    def __init__(
        self,
        socket: ProviderSocket,
        chunks: AudioChunks,
        endpointing: Endpointing,
        said: list[str],
    ) -> None:
        self._socket = socket
        self._chunks = chunks
        self._endpointing: Endpointing = endpointing
        self._said = said
        self._end_forced = False
        self._flushes = 0
        self._turns: dict[int, str] = {}
        """The transcript of each turn, by its index."""
        self._language = ""

    async def send(self, pcm: bytes) -> None:
        """See `parley.providers.stt.TranscriptStream`."""
        for chunk in self._chunks.add(pcm):
            await self._socket.send_raw(chunk)

    async def flush(self) -> bool:
        """See `parley.providers.stt.TranscriptStream`."""
        if self._endpointing != "manual" or self._end_forced:
            return False
        self._flushes += 1
        await self._force_end()
        return True

    async def finish(self) -> None:
        """See `parley.providers.stt.TranscriptStream`."""
        self._end_forced = True
        await self._force_end()

    async def _force_end(self) -> None:
        for chunk in self._chunks.finish(TAIL_MS):
            await self._socket.send_raw(chunk)
        await self._socket.send({"type": "ForceEndTurn"})

    async def pieces(self) -> AsyncIterator[TranscriptPiece]:
        """See `parley.providers.stt.TranscriptStream`."""
        while True:
            frame = await self._socket.receive()
            if frame is None:
                raise self._socket.make_failure("unavailable")
            piece = self._piece(frame)
            if piece is not None:
                yield piece
                if piece.final:
                    return

    async def close(self) -> None:
        """See `parley.providers.stt.TranscriptStream`."""
        await self._socket.close()

    def _piece(self, frame: dict[str, Any]) -> TranscriptPiece | None:
        if (error := _error_in(frame)) is not None:
            raise self._socket.make_frame_error(error)
        kind = frame.get("type")
        if kind == "Warning" and frame.get("code") == _NO_TURN:
            return self._answer()
        if kind != "TurnInfo":
            return None  # Connected, other warnings, and what later versions may add
        changed, event = self._note_turn(frame), frame.get("event")
        if event == "EndOfTurn" and self._endpointing == "server_vad" and self._turns:
            return self._make_piece(final=True)
        if event == "EndOfTurn" and frame.get("trigger") not in _BY_ITSELF:
            answer = self._answer()
            if answer is not None:
                return answer
        sign = _SIGNS.get(str(event), "")
        return self._make_piece(final=False, sign=sign) if changed or sign else None

    def _answer(self) -> TranscriptPiece | None:
        """Return what answers the `ForceEndTurn` that is due: the answers keep the order."""
        if self._flushes:
            self._flushes -= 1
            return self._make_piece(final=False, sign="confirmed")
        return self._make_piece(final=True) if self._end_forced else None

    def _note_turn(self, frame: dict[str, Any]) -> bool:
        """Keep what a turn says so far; whether that has changed."""
        index, text = frame.get("turn_index"), str(frame.get("transcript") or "").strip()
        if not isinstance(index, int):
            raise self._socket.make_failure("invalid")
        languages = frame.get("languages")
        if isinstance(languages, list) and languages and isinstance(languages[0], str):
            self._language = languages[0].partition("-")[0].lower()  # the most frequent one
        if not text or text == self._turns.get(index):
            return False
        self._said.append(text)
        self._turns[index] = text
        return True

    def _make_piece(self, *, final: bool, sign: TurnSign = "") -> TranscriptPiece:
        text = join_texts([self._turns[index] for index in sorted(self._turns)])
        return TranscriptPiece(text, final, self._language, sign)


def _error_in(frame: dict[str, Any]) -> object:
    return (frame.get("code") or "error") if frame.get("type") == "Error" else None


def _make_headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Token {key}"}


_SOCKETS = SocketService(_make_headers, _error_in)
