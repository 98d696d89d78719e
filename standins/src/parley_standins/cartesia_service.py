"""What all endpoints of the Cartesia stand-in share: the account, its voices, its errors."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from typing import Any, Literal

from aiohttp import web

from parley_standins.cartesia_settings import CartesiaSettings
from parley_standins.control_api import begin_record
from parley_standins.engines import Engines
from parley_standins.fault_injection import reset_connection, stall
from parley_standins.faults import Controls, Fault
from parley_standins.request_log import RequestLog, RequestRecord
from parley_standins.voices import VOICES, Voice

VERSIONS = ("2024-06-10", "2024-11-13", "2025-04-16", "2026-03-01", "2026-08-14")
MAX_TOKEN_S = 3600

# Ids that the service's documents and SDK use, with the voices of this stand-in.
_VOICE_IDS = (
    "694f9389-aac1-45b6-b726-9d9369183238",
    "a0e99841-438c-4a64-b679-ae501e7d6091",
    "f786b574-daa5-4673-aa0c-cbe3e8534c02",
    "6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
)
CARTESIA_VOICES: dict[str, Voice] = dict(zip(_VOICE_IDS, VOICES.values(), strict=False))


class CartesiaProblem(Exception):
    """An error of the service, as an HTTP answer or as a frame."""

    def __init__(
        self, status: int, title: str, message: str, code: str | None = None, retry_after: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self._fields = {
            "error_code": code,
            "title": title,
            "message": message,
            "request_id": str(uuid.uuid4()),
        }
        self._retry_after = retry_after

    def response(self) -> web.Response:
        """Return the HTTP answer."""
        headers = {"Retry-After": self._retry_after} if self._retry_after else {}
        return web.json_response(self._fields, status=self.status, headers=headers)

    def frame(self, context_id: str | None = None) -> dict[str, Any]:
        """Return the frame, of a context if it concerns one."""
        frame = {"type": "error", "done": True, "status_code": self.status, **self._fields}
        return {**frame, "context_id": context_id} if context_id else frame


class CartesiaService:
    """The account.

    Args:
        api_key: the one it takes.
        engines: the voice and the ear.
        controls: the settings.
        recorder: keeps the requests.
    """

    def __init__(
        self,
        api_key: str,
        engines: Engines,
        controls: Controls[CartesiaSettings],
        recorder: RequestLog,
    ) -> None:
        self._api_key = api_key
        self.speaker = engines.speaker
        self.recognizer = engines.recognizer
        self.controls = controls
        self._recorder = recorder
        self._tokens: dict[str, float] = {}
        self.active_contexts = 0
        self.stt_sockets = 0

    @property
    def settings(self) -> CartesiaSettings:
        """What the control API has set."""
        return self.controls.settings

    def begin(self, request: web.Request, *, socket: bool = False) -> RequestRecord:
        """Return a record of a request."""
        return begin_record(self._recorder, request, socket=socket)

    def check(self, request: web.Request) -> None:
        """Check a request's version and key.

        Raises:
            CartesiaProblem: 400 or 401.
        """
        headers, query = request.headers, request.query
        version = query.get("cartesia_version") or headers.get("Cartesia-Version")
        if version not in VERSIONS:
            raise CartesiaProblem(400, "Invalid version", "Cartesia-Version has to be a date.")
        key = headers.get("X-API-Key") or headers.get("Authorization", "").removeprefix("Bearer ")
        key = query.get("access_token") or query.get("api_key") or key
        if key != self._api_key and self._tokens.get(key, 0) < time.monotonic():
            raise CartesiaProblem(401, "Unauthorized", "The API key or access token is invalid.")

    def make_token(self, seconds: float) -> str:
        """Return a new access token that holds for so long."""
        token = f"token_{secrets.token_urlsafe(24)}"
        self._tokens[token] = time.monotonic() + min(seconds, MAX_TOKEN_S)
        return token

    async def meet_fault(
        self, request: web.Request, surface: Literal["tts", "stt"]
    ) -> Fault | None:
        """Take this handshake's fault and do what of it comes before any answer; then wait as long
        as the handshake is set to take.

        Raises:
            CartesiaProblem: the fault is a status.
            Dropped: the connection was reset, or the client gave up.
        """
        fault = self.controls.take_fault(surface)
        if fault is not None:
            if fault.refuse:
                reset_connection(request)
            if fault.stall == "before":
                await stall(request)
            if fault.status is not None:
                wait = f"{fault.retry_after:g}" if fault.retry_after is not None else ""
                raise CartesiaProblem(
                    fault.status, "An error", "An error, on demand.", fault.code, wait
                )
        delays = self.settings.delays
        delay_ms = delays.tts_handshake_ms if surface == "tts" else delays.stt_handshake_ms
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        return fault


def concurrency_limited() -> CartesiaProblem:
    """Return the error of an account that does too much at once."""
    return CartesiaProblem(
        429,
        "Too many concurrent requests",
        "You have exceeded your plan's concurrency limit.",
        "concurrency_limited",
    )


def find_voice(voice_id: object) -> Voice:
    """Return the voice of this id.

    Raises:
        CartesiaProblem: 404.
    """
    voice = CARTESIA_VOICES.get(voice_id) if isinstance(voice_id, str) else None
    if voice is None:
        raise CartesiaProblem(404, "Voice not found", "There is no such voice.", "voice_not_found")
    return voice
