"""Cartesia's streaming synthesis (Sonic), over its WebSocket.

One socket per reply, and one context for as long as it lives: each clause is a submission that is
spoken at once and continues the melody of the one before. Where the model hesitates for too long,
the next clause gets a new context on the same socket; see `parley.providers.cartesia.contexts`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from parley.audio.pcm import BYTES_PER_SAMPLE, duration_ms, sample_rate_hz
from parley.errors import ProviderError
from parley.protocol.messages import AudioFormat, Settings
from parley.providers.cartesia.config import (
    API_KEY,
    language_code,
    speech_endpoint,
)
from parley.providers.cartesia.contexts import SpeechContext, Submission
from parley.providers.cartesia.sockets import SOCKETS, error_in
from parley.providers.cartesia.transcripts import is_ended, is_speakable, make_transcript
from parley.providers.cartesia.word_times import WordTimes
from parley.providers.context import ApiKey, ProviderContext
from parley.providers.diagnosis import Endpoint
from parley.providers.rules import STANDARD
from parley.providers.socket import ProviderSocket, prepare_sockets
from parley.providers.tts import SpeechPiece

PING_INTERVAL_S = 20.0
PING_TIMEOUT_S = 20.0
"""The socket is opened while the user still talks, and one that is quiet for minutes is closed."""
DONE_GRACE_S = 1.0
"""How long `done` may take once everything has been spoken. A context that has died meanwhile may
say nothing more."""

_NEVER_REPEATED = ("unauthorized", "rate_limited")
"""Kinds of failures that a new context meets as well."""


def build_synthesizer(context: ProviderContext) -> CartesiaSynthesizer:
    """Build the deployment's synthesizer."""
    return CartesiaSynthesizer(speech_endpoint(context), context.key(API_KEY))


class CartesiaSynthesizer:
    """Opens synthesis streams.

    Args:
        endpoint: where, and with which model, e.g. `sonic-3.5`.
        api_key: gives the key when one is needed.
    """

    rules = STANDARD

    def __init__(self, endpoint: Endpoint, api_key: ApiKey) -> None:
        self._endpoint = endpoint
        self._api_key = api_key

    async def warm_up(self) -> None:
        """See `parley.providers.tts.Synthesizer`."""
        await prepare_sockets(self._endpoint)

    async def open(self, audio_format: AudioFormat, settings: Settings) -> CartesiaSpeech:
        """See `parley.providers.tts.Synthesizer`."""
        said: list[str] = []
        socket = await ProviderSocket.open(
            self._endpoint,
            "/tts/websocket",
            {},
            SOCKETS,
            self._api_key,
            said,
            ping_interval_s=PING_INTERVAL_S,
            ping_timeout_s=PING_TIMEOUT_S,
        )
        rate_hz = sample_rate_hz(audio_format)
        request = make_request(self._endpoint.model, rate_hz, settings)
        return CartesiaSpeech(socket, request, rate_hz, said)


def make_request(model: str, rate_hz: int, settings: Settings) -> dict[str, Any]:
    """Return what all requests of a reply have in common: within a context nothing of it may
    change."""
    request: dict[str, Any] = {
        "model_id": model,
        "voice": {"mode": "id", "id": str(settings.voice)},
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": rate_hz},
        "generation_config": {"speed": float(settings.speed or 1)},
        "add_timestamps": True,
        # Clauses are whole: without this the service waits up to 3 s for more text.
        "max_buffer_delay_ms": 0,
    }
    if settings.language:
        request["language"] = language_code(str(settings.language))
    return request


class CartesiaSpeech:
    """One reply; see `parley.providers.tts.SpeechStream`.

    Args:
        socket: the open socket.
        request: what every request has.
        rate_hz: sample rate of the audio that it asks for.
        said: gets what is spoken.
    """

    def __init__(
        self, socket: ProviderSocket, request: dict[str, Any], rate_hz: int, said: list[str]
    ) -> None:
        self._socket = socket
        self._request = request
        self._rate_hz = rate_hz
        self._said = said
        self._ids = (f"reply-{number}" for number in itertools.count(1))
        self._context: SpeechContext | None = None
        self._times = WordTimes()
        self._sounded_bytes = 0
        """Of the newest context."""
        self._split = b""
        """Half a sample, which waits for its other half."""
        self._held = ""
        """Clauses without a sound of their own: a context must not begin with them."""
        self._held_clauses = 0
        self._last_clause = ""
        self._ended_clauses = 0
        """Clauses whose end has not been told yet."""
        self._has_sounded = False
        self._is_finished = False
        self._over_at: float | None = None
        self._wait: asyncio.Timeout | None = None
        self._sending = asyncio.Lock()

    # --- text -------------------------------------------------------------------------

    async def speak(self, clause: str) -> None:
        """See `parley.providers.tts.SpeechStream`."""
        self._said.append(clause)
        self._last_clause = clause
        self._held += clause + " "
        self._held_clauses += 1
        if not is_speakable(clause):
            return
        text, clauses = self._held, self._held_clauses
        self._held, self._held_clauses = "", 0
        async with self._sending:
            await self._submit([Submission(text, clauses)])

    async def finish(self) -> None:
        """See `parley.providers.tts.SpeechStream`."""
        async with self._sending:
            self._is_finished = True
            await self._close_context()

    async def close(self) -> None:
        """See `parley.providers.tts.SpeechStream`."""
        context = self._context
        if context is not None and not context.is_done:
            # What is only left goes on until it is spoken, and counts against the account's limit.
            with contextlib.suppress(ProviderError, TimeoutError):
                async with asyncio.timeout(DONE_GRACE_S):
                    await self._cancel(context)
        await self._socket.close()

    async def _submit(self, submissions: list[Submission]) -> None:
        context = self._context
        if context is None or context.is_stale(_now_s()):
            if context is not None and not context.is_done:
                await self._cancel(context)
            context = self._open_context()
        for submission in submissions:
            context.add(submission)
            self._times.submit(submission.text)
            await self._send(context, make_transcript(submission.text), continues=True)

    def _open_context(self) -> SpeechContext:
        self._context = SpeechContext(next(self._ids), _now_s())
        self._times = WordTimes()
        self._sounded_bytes, self._split = 0, b""
        return self._context

    async def _close_context(self) -> None:
        context = self._context
        if context is not None and not context.is_done:
            # The end of a text that does not end as a sentence does may be held back.
            end = self._held.strip() or ("" if is_ended(self._last_clause) else ".")
            await self._send(context, end, continues=False)
        self._note_end()

    def _note_end(self) -> None:
        """Decide how long to wait for the rest."""
        context = self._context
        if not self._is_finished:
            return
        if context is None or context.is_done:
            self._over_at = asyncio.get_running_loop().time()
        elif context.is_idle:
            self._over_at = asyncio.get_running_loop().time() + DONE_GRACE_S
        else:
            self._over_at = None
        if self._wait is not None:
            self._wait.reschedule(self._over_at)

    async def _send(self, context: SpeechContext, transcript: str, *, continues: bool) -> None:
        request = {
            **self._request,
            "context_id": context.id,
            "transcript": transcript,
            "continue": continues,
        }
        await self._socket.send(request)

    async def _cancel(self, context: SpeechContext) -> None:
        await self._socket.send({"context_id": context.id, "cancel": True})

    # --- audio ------------------------------------------------------------------------

    async def pieces(self) -> AsyncIterator[SpeechPiece]:
        """See `parley.providers.tts.SpeechStream`."""
        while (frame := await self._receive()) is not None:
            if error_in(frame) is not None:
                await self._meet_error(frame)
                continue
            context = self._context
            if context is None or frame.get("context_id") != context.id:
                continue  # of one that was left
            kind = frame.get("type")
            if kind == "chunk":
                context.note_audio(_now_s())
                for piece in self._pieces_of(frame):
                    yield piece
            elif kind == "timestamps":
                self._add_times(frame)
            elif kind == "flush_done":
                if ended := context.note_flush(frame.get("flush_id"), _now_s()):
                    self._ended_clauses += ended
                    self._times.end_submission()
                for piece in self._tell_ends():
                    yield piece
                self._note_end()
            elif kind == "done":
                async with self._sending:
                    await self._meet_done(context)
                for piece in self._tell_ends():
                    yield piece
        if is_speakable(" ".join(self._said)) and not self._has_sounded:
            raise self._socket.make_failure("unavailable")
        self._ended_clauses += self._held_clauses
        for piece in self._tell_ends():
            yield piece

    async def _receive(self) -> dict[str, Any] | None:
        """Return the next frame; None if nothing more is to come."""
        try:
            async with asyncio.timeout_at(self._over_at) as self._wait:
                frame = await self._socket.receive()
        except TimeoutError:
            return None
        finally:
            self._wait = None
        if frame is None:
            raise self._socket.make_failure("unavailable")
        return frame

    def _pieces_of(self, frame: dict[str, Any]) -> Iterator[SpeechPiece]:
        audio = self._split + self._decoded(frame.get("data"))
        whole = len(audio) - len(audio) % BYTES_PER_SAMPLE
        pcm, self._split = audio[:whole], audio[whole:]
        if not pcm:
            return
        self._has_sounded = True
        yield from self._tell_ends()
        alignment = self._times.take(self._spoken_ms())
        self._sounded_bytes += len(pcm)
        yield SpeechPiece(pcm, alignment)

    def _tell_ends(self) -> Iterator[SpeechPiece]:
        """Yield the ends of clauses, with the times that came after their audio.

        The first piece of a reply counts as its first sound: before that, none is told.
        """
        if not self._has_sounded or not self._ended_clauses:
            return
        alignment = self._times.take(self._spoken_ms())
        while self._ended_clauses:
            self._ended_clauses -= 1
            yield SpeechPiece(b"", alignment, ends_clause=True)
            alignment = None

    def _spoken_ms(self) -> float:
        return duration_ms(self._sounded_bytes, self._rate_hz)

    def _add_times(self, frame: dict[str, Any]) -> None:
        found = frame.get("word_timestamps")
        try:
            times = msgspec.convert(found, _WordTimestamps)
        except msgspec.ValidationError:
            return  # the audio is good without it
        self._times.add(times.words, times.start, times.end)

    def _decoded(self, audio: object) -> bytes:
        try:
            return base64.b64decode(str(audio), validate=True)
        except (binascii.Error, ValueError):
            raise self._socket.make_failure("invalid") from None

    # --- a context's end --------------------------------------------------------------

    async def _meet_error(self, frame: dict[str, Any]) -> None:
        """Say in a new context what has not been begun.

        Raises:
            ProviderError: the connection is of no use, or a part of the reply would be missing.
        """
        error = self._socket.make_frame_error(frame)
        if (context_id := frame.get("context_id")) is None:
            raise error
        context = self._context
        if context is None or context_id != context.id:
            return
        async with self._sending:
            unbegun = context.take_unbegun()
            lost = (
                error.kind in _NEVER_REPEATED
                or not context.has_sounded
                or context.breaks_off(_now_s())
                or any(submission.repeated for submission in unbegun)
            )
            if lost:
                raise error
            await self._move(context, unbegun)

    async def _meet_done(self, context: SpeechContext) -> None:
        unbegun = context.take_unbegun()
        if any(submission.repeated for submission in unbegun):
            raise self._socket.make_failure("unavailable")
        await self._move(context, unbegun)

    async def _move(self, context: SpeechContext, unbegun: list[Submission]) -> None:
        self._ended_clauses += context.note_done()
        if unbegun:
            await self._submit([Submission(s.text, s.clauses, repeated=True) for s in unbegun])
            if self._is_finished:
                await self._close_context()
        self._note_end()


class _WordTimestamps(msgspec.Struct):
    words: list[str]
    start: list[float]
    end: list[float]


def _now_s() -> float:
    return asyncio.get_running_loop().time()
