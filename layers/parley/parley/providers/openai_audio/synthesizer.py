"""Any server that speaks OpenAI's `/audio/speech`: one request a clause, spoken in order.

Two requests are in flight, so that a clause is made while the one before it sounds; the second
begins when the first has begun to sound, because many a local server makes one at a time. WAV is
asked for, because its header names the sample rate, which differs between models.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import msgspec

from parley.aio.tasks import cancel_tasks
from parley.audio.pcm import sample_rate_hz
from parley.errors import ProviderError
from parley.protocol.messages import AudioFormat, Settings
from parley.providers.context import ApiKey, ProviderContext
from parley.providers.diagnosis import Diagnosis, Endpoint
from parley.providers.openai_audio.config import (
    SPEECH_ADVICE,
    SPEECH_VOICE,
    speech_endpoint,
    speech_rules,
)
from parley.providers.openai_audio.http import (
    REFUSALS,
    authorization,
    make_refusal_note,
    open_connection,
    timeout_of,
)
from parley.providers.openai_audio.speech_audio import (
    CompressedSound,
    CutOffSound,
    NoSound,
    SpeechAudio,
)
from parley.providers.replies.transport import naming_failures, read_error_body
from parley.providers.rules import CallRules
from parley.providers.tts import SpeechPiece
from parley.text.scripts import cluster_start

MAX_INPUT_CHARS = 4_096
"""Of `input` (OpenAI's API reference, "Create speech")."""
MAX_ORPHEUS_CHARS = 200
"""Of Orpheus at Groq (its documentation, "Orpheus")."""
IN_FLIGHT = 2
PIECE_BYTES = 8_192
"""As much is brought to the reply's rate at a time. A server that is quick sends 64 KB at once, and
the turn would stand still for 30 to 100 ms of a core, its first sound too."""

Format = Literal["wav", "pcm"]


def build_synthesizer(context: ProviderContext) -> OpenAISpeech:
    """Build the deployment's synthesizer.

    Raises:
        ConfigurationError: no address is given.
    """
    return OpenAISpeech(
        context.http_client,
        speech_endpoint(context),
        context.stage_key("synthesizer"),
        context.timeout_s,
        context.log,
    )


@dataclass(frozen=True, slots=True)
class Request:
    """What a request asks for besides the text."""

    format: Format
    with_speed: bool


_REQUESTS = (
    Request("wav", True),
    Request("wav", False),
    Request("pcm", True),
    Request("pcm", False),
)
"""In the order in which they are tried. Some servers take fewer speeds than others (fastkokoro none
below 1), some models none, and some make no WAV."""


class OpenAISpeech:
    """Opens streams of replies.

    Args:
        client: shared by the turns of an environment, so that connections stay open.
        endpoint: where, up to and without `/audio/speech`, and with which model.
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
        self._rules = speech_rules(endpoint)
        self._timeout = timeout_of(max(timeout_s, self._rules.timeout_s))
        self._log = log
        self._refused: set[Request] = set()
        self.max_chars = (
            MAX_ORPHEUS_CHARS if "orpheus" in endpoint.model.lower() else MAX_INPUT_CHARS
        )

    @property
    def rules(self) -> CallRules:
        """See `parley.providers.tts.Synthesizer`."""
        return self._rules

    async def warm_up(self) -> None:
        """See `parley.providers.tts.Synthesizer`."""
        await open_connection(self._client, self._endpoint, self._api_key)

    async def open(self, audio_format: AudioFormat, settings: Settings) -> OpenAISpeechStream:
        """See `parley.providers.tts.Synthesizer`. Nothing is sent yet."""
        return OpenAISpeechStream(self, audio_format, settings)

    async def make(
        self, text: str, audio_format: AudioFormat, settings: Settings
    ) -> AsyncGenerator[bytes, None]:
        """Yield the sound of a text, in the format of the reply.

        Raises:
            ProviderError: `speech_failed`.
        """
        key = await self._api_key()
        diagnosis = Diagnosis(self._endpoint, key, [text], SPEECH_ADVICE)
        requests = list(self._worth_trying(settings))
        for request in requests:
            async with (
                naming_failures(diagnosis),
                self._post(text, request, settings, key) as response,
            ):
                diagnosis.note_request_id(response.headers)
                if not response.is_success:
                    body = await read_error_body(response)
                    error = diagnosis.diagnose_status(response.status_code, response.headers, body)
                    if request != requests[-1] and _may_take_other(response, error):
                        continue
                    raise error
                self._note_refused(requests[: requests.index(request)], request)
                async for sound in _sound(
                    response, diagnosis, request.format == "pcm", sample_rate_hz(audio_format)
                ):
                    yield sound
                return

    def _note_refused(self, refused: list[Request], taken: Request) -> None:
        """Ask for what was refused no more, now that another request has shown to be taken."""
        if set(refused) <= self._refused:
            return
        self._refused.update(refused)
        speed = any(one.with_speed for one in refused) and not taken.with_speed
        without = "WAV" if taken.format == "pcm" else ""
        without = " and ".join(filter(None, (without, "a speed" if speed else "")))
        self._log("speech_request_refused", make_refusal_note(self._endpoint, without))

    def _worth_trying(self, settings: Settings) -> Iterator[Request]:
        changes_speed = settings.speed and settings.speed != 1
        for request in _REQUESTS:
            if request not in self._refused and (changes_speed or not request.with_speed):
                yield request

    def _post(
        self, text: str, request: Request, settings: Settings, key: str
    ) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        body: dict[str, object] = {
            "model": self._endpoint.model,
            "input": text,
            "voice": settings.voice or SPEECH_VOICE,
            "response_format": request.format,
        }
        if request.with_speed:
            body["speed"] = settings.speed
        return self._client.stream(
            "POST",
            f"{self._endpoint.base_url}/audio/speech",
            content=msgspec.json.encode(body),
            headers={"Content-Type": "application/json", **authorization(key)},
            timeout=self._timeout,
        )


class _Clause:
    """One clause, and what has come of it.

    Attributes:
        begun: set when its first sound is here, or when none will come.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.begun = asyncio.Event()
        self.sound: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()


class OpenAISpeechStream:
    """One reply; see `parley.providers.tts.SpeechStream`."""

    def __init__(
        self, synthesizer: OpenAISpeech, audio_format: AudioFormat, settings: Settings
    ) -> None:
        self._synthesizer = synthesizer
        self._format: AudioFormat = audio_format
        self._settings = settings
        self._clauses: asyncio.Queue[_Clause | None] = asyncio.Queue()
        self._last: _Clause | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight = asyncio.Semaphore(IN_FLIGHT)

    async def speak(self, clause: str) -> None:
        """See `parley.providers.tts.SpeechStream`."""
        before, self._last = self._last, _Clause(clause)
        task = asyncio.create_task(self._request(self._last, before))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._clauses.put_nowait(self._last)

    async def finish(self) -> None:
        """See `parley.providers.tts.SpeechStream`."""
        self._clauses.put_nowait(None)

    async def pieces(self) -> AsyncIterator[SpeechPiece]:
        """See `parley.providers.tts.SpeechStream`."""
        while (clause := await self._clauses.get()) is not None:
            while (sound := await clause.sound.get()) is not None:
                if isinstance(sound, Exception):
                    raise sound
                yield SpeechPiece(sound, None)
            yield SpeechPiece(b"", None, ends_clause=True)

    async def close(self) -> None:
        """See `parley.providers.tts.SpeechStream`."""
        await cancel_tasks(*self._tasks)

    async def _request(self, clause: _Clause, before: _Clause | None) -> None:
        try:
            if before is not None:
                await before.begun.wait()
            async with self._in_flight:
                for text in _parts(clause.text, self._synthesizer.max_chars):
                    sounds = self._synthesizer.make(text, self._format, self._settings)
                    async with contextlib.aclosing(sounds):
                        async for sound in sounds:
                            clause.sound.put_nowait(sound)
                            clause.begun.set()
            clause.sound.put_nowait(None)
        except Exception as error:  # raised where it is waited for, or the reply would wait on
            clause.sound.put_nowait(error)
        finally:
            clause.begun.set()


async def _sound(
    response: httpx.Response, diagnosis: Diagnosis, asked_pcm: bool, rate_hz: int
) -> AsyncIterator[bytes]:
    content_type = response.headers.get("Content-Type", "").lower()
    if content_type.startswith("application/json"):
        body = await read_error_body(response)
        raise diagnosis.diagnose_status(200, response.headers, body)
    if content_type.startswith("text/"):
        raise diagnosis.make_error("no_protocol", "invalid")
    audio = SpeechAudio(content_type, asked_pcm=asked_pcm, rate_hz=rate_hz)
    try:
        async for data in response.aiter_bytes():
            for at in range(0, len(data), PIECE_BYTES):
                if sound := audio.feed(data[at : at + PIECE_BYTES]):
                    yield sound
                    await asyncio.sleep(0)
        if sound := audio.close():
            yield sound
    except CompressedSound:
        raise diagnosis.make_error("compressed", "refused") from None
    except CutOffSound:
        raise diagnosis.make_error("connection_lost", "unavailable") from None
    except NoSound:
        raise diagnosis.make_error("no_sound", "empty") from None


def _parts(text: str, max_chars: int) -> Iterator[str]:
    """Yield a text in parts that a request takes, cut between words where there are some."""
    rest = text.strip()
    while len(rest) > max_chars:
        at = rest.rfind(" ", max_chars // 2, max_chars)
        at = at if at > 0 else cluster_start(rest, max_chars) or max_chars
        yield rest[:at].rstrip()
        rest = rest[at:].lstrip()
    # Marks alone have no sound, and some servers refuse them.
    if any(char.isalnum() for char in rest):
        yield rest


def _may_take_other(response: httpx.Response, error: ProviderError) -> bool:
    """Return whether a request that asks otherwise may be taken."""
    return response.status_code in REFUSALS and error.cause.reason == "request"
