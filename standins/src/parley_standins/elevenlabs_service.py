"""What the ElevenLabs stand-in's endpoints share: its engines, settings, keys, and checks."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from parley_standins.control_api import begin_record
from parley_standins.elevenlabs_errors import (
    ApiProblem,
    Unprocessable,
    invalid_key,
    missing_key,
    of_fault,
    voice_not_found,
)
from parley_standins.fault_injection import Handler, reset_connection, stall
from parley_standins.faults import Controls, Fault, SpeechSettings
from parley_standins.recognizer import Recognizer
from parley_standins.request_log import RequestLog, RequestRecord
from parley_standins.speaker import Speaker
from parley_standins.voices import VOICES, Voice, VoiceSettings

SPEED_RANGE_HTTP = (0.25, 4.0)
SPEED_RANGE_SOCKET = (0.7, 1.2)

SPEECH_MODELS = (
    ("eleven_flash_v2_5", "Eleven Flash v2.5", 40_000),
    ("eleven_flash_v2", "Eleven Flash v2", 30_000),
    ("eleven_turbo_v2_5", "Eleven Turbo v2.5", 40_000),
    ("eleven_turbo_v2", "Eleven Turbo v2", 30_000),
    ("eleven_multilingual_v2", "Eleven Multilingual v2", 10_000),
    ("eleven_monolingual_v1", "Eleven English v1", 10_000),
    ("eleven_v3", "Eleven v3", 5_000),
    ("eleven_v3_conversational", "Eleven v3 conversational", 5_000),
    ("eleven_v4", "Eleven v4", 5_000),
    ("eleven_v4_turbo", "Eleven v4 Turbo", 5_000),
)
DEFAULT_MODEL = "eleven_multilingual_v2"
MAX_CHARACTERS = {model: characters for model, _, characters in SPEECH_MODELS}
TokenType = Literal["realtime_scribe", "batch_scribe", "tts_websocket"]


@dataclass(slots=True)
class SpeechService:
    """The stand-in's parts.

    Attributes:
        tokens: single-use tokens that were made and not used yet, and what for.
    """

    api_key: str
    speaker: Speaker
    recognizer: Recognizer
    controls: Controls[SpeechSettings]
    recorder: RequestLog
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> SpeechSettings:
        """Delays, faults and oddities as they are now."""
        return self.controls.settings

    def accepts(self, key: str | None) -> bool:
        """Return whether this is the key; compared in constant time."""
        return key is not None and hmac.compare_digest(key.encode(), self.api_key.encode())

    def make_token(self, kind: TokenType) -> str:
        """Return a token that opens one socket."""
        token = f"sutkn_{secrets.token_hex(16)}"
        self.tokens[token] = kind
        return token

    def use_token(self, token: str | None, kind: TokenType) -> bool:
        """Return whether this token is good for this; it is used up then."""
        if token is None or self.tokens.get(token) != kind:
            return False
        del self.tokens[token]
        return True

    def check_key(self, request: web.Request) -> None:
        """Check an HTTP request's key.

        Raises:
            ApiProblem: 401.
        """
        key = request.headers.get("xi-api-key")
        if not key:
            raise missing_key()
        if not self.accepts(key):
            raise invalid_key()

    def begin(self, request: web.Request, *, socket: bool = False) -> RequestRecord:
        """Return a record of a request."""
        return begin_record(self.recorder, request, socket=socket)

    async def meet_fault(
        self, request: web.Request, surface: Literal["tts", "stt"]
    ) -> Fault | None:
        """Take this request's fault and do what of it comes before any answer.

        Raises:
            ApiProblem: the fault is a status.
            Dropped: the connection was reset, or the client gave up.
        """
        fault = self.controls.take_fault(surface)
        if fault is None:
            return None
        if fault.refuse:
            reset_connection(request)
        if fault.stall == "before":
            await stall(request)
        if fault.status is not None:
            raise StatusFault(fault)
        return fault

    async def handshake_delay(self, surface: Literal["tts", "stt"]) -> None:
        """Wait as long as a socket's handshake is set to take."""
        delays = self.settings.delays
        delay_ms = delays.tts_handshake_ms if surface == "tts" else delays.stt_handshake_ms
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)


class StatusFault(Exception):
    """A fault that is answered with a status."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self._fault = fault

    def response(self, shape: Literal["current", "legacy"]) -> web.Response:
        """Return the HTTP answer."""
        assert self._fault.status is not None
        response = of_fault(self._fault.status, self._fault.code).response(shape)
        if self._fault.retry_after is not None:
            response.headers["Retry-After"] = f"{self._fault.retry_after:g}"
        return response


def problems_to_answers(service: SpeechService) -> Any:
    """Return a middleware that answers what the endpoints raise, and notes it in their records."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        response: web.StreamResponse | None = None
        try:
            response = await handler(request)
        except (ApiProblem, Unprocessable, StatusFault) as problem:
            response = problem.response(service.settings.oddities.error_body)
            return response
        else:
            return response
        finally:
            record: RequestRecord | None = request.get("record")
            if record is not None and record.ended_ms is None:
                record.end(status=response.status if response else None)

    return middleware


def find_voice(voice_id: str) -> Voice:
    """Return the voice of this id.

    Raises:
        ApiProblem: 404.
    """
    voice = VOICES.get(voice_id)
    if voice is None:
        raise voice_not_found(voice_id)
    return voice


def check_model(model: str, *, socket: bool) -> None:
    """Check a synthesis model's id.

    Raises:
        ApiProblem: 400; v3 and v4 exist, but not on the sockets.
    """
    if model not in MAX_CHARACTERS:
        raise ApiProblem(400, "model_not_found", f"There is no model {model}.", "model_id")
    if socket and model.startswith(("eleven_v3", "eleven_v4")):
        raise ApiProblem(
            400,
            "unsupported_model",
            f"The model {model} is not available on this WebSocket; use text-to-dialogue.",
            "model_id",
        )


def voice_settings(given: Any, speed_range: tuple[float, float]) -> VoiceSettings:
    """Return the settings that a request gives; None and absent ones are the voice's own.

    Raises:
        ApiProblem: 400.
    """
    if given is None:
        return VoiceSettings()
    if not isinstance(given, dict):
        raise _bad_setting("voice_settings", "an object")
    for name in ("stability", "similarity_boost", "style"):
        _number(given, name, (0.0, 1.0), 0.5)
    return VoiceSettings(
        speed=_number(given, "speed", speed_range, 1.0),
        stability=_number(given, "stability", (0.0, 1.0), 0.5),
    )


def _number(given: dict[str, Any], name: str, bounds: tuple[float, float], default: float) -> float:
    value = given.get(name)
    if value is None:
        return default
    low, high = bounds
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _bad_setting(name, f"a number from {low:g} to {high:g}")
    return float(value)


def _bad_setting(name: str, expected: str) -> ApiProblem:
    return ApiProblem(400, "invalid_voice_settings", f"{name} has to be {expected}.", name)
