"""Any server that speaks OpenAI's `/audio/transcriptions`: the utterance goes up whole, as a WAV.

Such a server finds no end of speech and has no words before it, so it serves endpointing `manual`
alone. The client adapts: it asks for all that helps (words as they come, the language, doubts), and
asks without what a server refuses, from then on. Answers are told apart by their content.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from parley.audio.energy_gate import EnergyGate
from parley.audio.pcm import BYTES_PER_SAMPLE, byte_count, sample_rate_hz
from parley.audio.wav import write_wav
from parley.errors import ProviderError
from parley.protocol.messages import AudioFormat, Endpointing
from parley.providers.context import ApiKey, ProviderContext
from parley.providers.diagnosis import Diagnosis, Endpoint
from parley.providers.openai_audio.config import (
    TRANSCRIPTION_ADVICE,
    transcription_endpoint,
    transcription_rules,
)
from parley.providers.openai_audio.http import (
    REFUSALS,
    authorization,
    make_refusal_note,
    open_connection,
    timeout_of,
)
from parley.providers.openai_audio.invention import spoken_text
from parley.providers.openai_audio.languages import whisper_code
from parley.providers.openai_audio.transcript import TranscriptReader
from parley.providers.replies.failures import BrokenOff, ErrorInAnswer, Nonsense
from parley.providers.replies.transport import naming_failures, read_error_body
from parley.providers.rules import CallRules
from parley.providers.stt import TranscriptPiece

MAX_UPLOAD_BYTES = 25_000_000
"""OpenAI's limit is 25 MB (API reference, "Create transcription"): 13 minutes at 16 kHz."""
MIN_AUDIO_MS = 1_000
"""Shorter utterances get silence added: OpenAI refuses less than 0.1 s, and whisper.cpp, until its
releases of 2025, less than 1 s. A Whisper model hears 30 s in any case, so it costs nothing."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a request asks for.

    Attributes:
        stream: words as they are understood.
        verbose: the language, and how much the model doubts each segment.
    """

    stream: bool
    verbose: bool

    def fields(self) -> dict[str, str]:
        """Return the fields of the form."""
        found = {"response_format": "verbose_json" if self.verbose else "json"}
        return {**found, "stream": "true"} if self.stream else found


_OF_WHISPER = (Form(True, True), Form(False, True), Form(True, False), Form(False, False))
"""Only Whisper models have `verbose_json`. OpenAI and whisper.cpp then ignore `stream`; speaches
streams; vLLM refuses the two together. Doubts and the language are worth more than early words."""
_OF_OTHERS = (Form(True, False), Form(False, False))


def build_transcriber(context: ProviderContext) -> WhisperTranscriber:
    """Build the deployment's transcriber.

    Raises:
        ConfigurationError: the model cannot do what the deployment asks of it.
    """
    return WhisperTranscriber(
        context.http_client,
        transcription_endpoint(context),
        context.stage_key("transcriber"),
        context.timeout_s,
        context.log,
    )


class WhisperTranscriber:
    """Transcribes whole utterances.

    Args:
        client: shared by the turns of an environment, so that connections stay open.
        endpoint: where, up to and without `/audio/transcriptions`, and with which model.
        api_key: gives the key when one is needed; an empty one is not sent.
        timeout_s: how long the server may stay silent, if its rules do not say more.
        log: told once what the server refuses; takes an event name and fields.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        endpoint: Endpoint,
        api_key: ApiKey,
        timeout_s: float,
        log: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._api_key = api_key
        self._rules = transcription_rules(endpoint)
        self._timeout = timeout_of(max(timeout_s, self._rules.timeout_s))
        self._forms = _OF_WHISPER if "whisper" in endpoint.model.lower() else _OF_OTHERS
        self._log = log
        self._refused = 0

    @property
    def rules(self) -> CallRules:
        """See `parley.providers.stt.Transcriber`."""
        return self._rules

    async def warm_up(self) -> None:
        """See `parley.providers.stt.Transcriber`."""
        await open_connection(self._client, self._endpoint, self._api_key)

    async def open(
        self, audio_format: AudioFormat, language: str, endpointing: Endpointing
    ) -> WhisperStream:
        """See `parley.providers.stt.Transcriber`. Nothing is sent yet."""
        return WhisperStream(self, sample_rate_hz(audio_format), language)

    async def transcribe(self, wav: bytes, language: str) -> AsyncGenerator[TranscriptPiece, None]:
        """Yield the transcripts of an utterance.

        Args:
            language: ISO 639 code; empty if the server is to find out.

        Raises:
            ProviderError: `transcription_failed`.
        """
        key = await self._api_key()
        said: list[str] = []
        for place in range(self._refused, len(self._forms)):
            diagnosis = Diagnosis(self._endpoint, key, said)
            async with (
                naming_failures(diagnosis),
                self._request(self._forms[place], wav, language, key) as response,
            ):
                diagnosis.note_request_id(response.headers)
                if not response.is_success:
                    error = await _error_of(response, diagnosis)
                    if _may_take_less(response, error) and place + 1 < len(self._forms):
                        continue
                    raise error
                self._note_refused(place)
                final: TranscriptPiece | None = None
                async for piece in _pieces(response, diagnosis, said):
                    if piece.final:
                        final = piece
                    else:
                        yield piece
            # Only now: the connection is free again, and whoever takes it asks for no more.
            assert final is not None
            yield final
            return

    def _note_refused(self, place: int) -> None:
        """Ask for what was refused no more, now that another form has shown to be taken."""
        if place <= self._refused:
            return
        first, taken, self._refused = self._forms[self._refused], self._forms[place], place
        lost = ["stream"] if first.stream and not taken.stream else []
        lost += ["verbose_json"] if first.verbose and not taken.verbose else []
        note = make_refusal_note(self._endpoint, " and ".join(lost))
        self._log("transcription_request_refused", note)

    def _request(
        self, form: Form, wav: bytes, language: str, key: str
    ) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        fields = {"model": self._endpoint.model, **form.fields()}
        if language:
            fields["language"] = whisper_code(language)
        return self._client.stream(
            "POST",
            f"{self._endpoint.base_url}/audio/transcriptions",
            data=fields,
            # A file without a name and a type is refused: OpenAI tells the format by them.
            files={"file": ("speech.wav", wav, "audio/wav")},
            headers=authorization(key),
            timeout=self._timeout,
        )

    def make_too_long_error(self) -> ProviderError:
        """Make the error of an utterance that is more than a server takes."""
        return Diagnosis(self._endpoint, advice=TRANSCRIPTION_ADVICE).make_error(
            "utterance", "refused"
        )


class WhisperStream:
    """One utterance; see `parley.providers.stt.TranscriptStream`."""

    def __init__(self, transcriber: WhisperTranscriber, rate_hz: int, language: str) -> None:
        self._transcriber = transcriber
        self._rate_hz = rate_hz
        self._language = language
        self._gate = EnergyGate(rate_hz)
        self._pcm = bytearray()
        self._finished = asyncio.Event()
        self._answer: AsyncGenerator[TranscriptPiece, None] | None = None

    async def send(self, pcm: bytes) -> None:
        """See `parley.providers.stt.TranscriptStream`."""
        self._pcm += pcm
        self._gate.feed(pcm)
        if len(self._pcm) > MAX_UPLOAD_BYTES:
            # Known now, so not after the user has gone on speaking.
            self._finished.set()
        # What another transcriber failed at comes all at once: two minutes take the gate 160 ms.
        await asyncio.sleep(0)

    async def flush(self) -> bool:
        """See `parley.providers.stt.TranscriptStream`. It would be asked twice for the same."""
        return False

    async def finish(self) -> None:
        """See `parley.providers.stt.TranscriptStream`."""
        self._finished.set()

    async def pieces(self) -> AsyncIterator[TranscriptPiece]:
        """See `parley.providers.stt.TranscriptStream`."""
        await self._finished.wait()
        if len(self._pcm) > MAX_UPLOAD_BYTES:
            raise self._transcriber.make_too_long_error()
        if not self._gate.may_be_speech():
            yield TranscriptPiece("", final=True)
            return
        shortfall = byte_count(MIN_AUDIO_MS, self._rate_hz) - len(self._pcm)
        whole = bytes(self._pcm) + bytes(max(shortfall, 0))
        whole = whole[: len(whole) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE]
        wav = write_wav(whole, self._rate_hz)
        self._answer = self._transcriber.transcribe(wav, self._language)
        async for piece in self._answer:
            yield piece

    async def close(self) -> None:
        """See `parley.providers.stt.TranscriptStream`."""
        if self._answer is not None:
            with contextlib.suppress(Exception):
                await self._answer.aclose()


async def _pieces(
    response: httpx.Response, diagnosis: Diagnosis, said: list[str]
) -> AsyncIterator[TranscriptPiece]:
    content_type = response.headers.get("Content-Type", "").lower()
    if content_type.startswith("text/html"):
        raise diagnosis.make_error("no_protocol", "invalid")
    reader = TranscriptReader(content_type)
    try:
        async for chunk in response.aiter_bytes():
            if text := reader.feed(chunk):
                said[:] = [text]
                yield TranscriptPiece(text, final=False)
        transcript = reader.close()
    except Nonsense:
        raise diagnosis.make_error("no_protocol", "invalid") from None
    except BrokenOff:
        raise diagnosis.make_error("connection_lost", "unavailable") from None
    except ErrorInAnswer as told:
        raise diagnosis.diagnose_error(told.error) from None
    yield TranscriptPiece(spoken_text(transcript), final=True, language=transcript.language)


async def _error_of(response: httpx.Response, diagnosis: Diagnosis) -> ProviderError:
    body = await read_error_body(response)
    return diagnosis.diagnose_status(response.status_code, response.headers, body)


def _may_take_less(response: httpx.Response, error: ProviderError) -> bool:
    """Return whether a request that asks for less may be taken."""
    return response.status_code in REFUSALS and error.cause.reason == "request"
