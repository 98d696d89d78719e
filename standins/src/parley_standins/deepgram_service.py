"""What the Deepgram stand-in's endpoints share: its ear, settings, key, and refusals."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated

import msgspec
from aiohttp import web

from parley_standins.faults import Controls, Fault, Milliseconds, Seconds
from parley_standins.recognizer import Recognizer
from parley_standins.request_log import RequestLog

_FAULT_CODES = {
    401: ("INVALID_AUTH", "Invalid credentials."),
    402: ("ASR_PAYMENT_REQUIRED", "Project does not have enough credits for an ASR request."),
    403: ("INSUFFICIENT_PERMISSIONS", "Project does not have access to the requested model."),
    429: ("TOO_MANY_REQUESTS", "Too many requests. Please try again later."),
    500: ("INTERNAL_SERVER_ERROR", "An internal error occurred."),
}


class FluxDelays(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What it takes anyway counts towards each delay.

    Attributes:
        stt_partial_ms: from audio to the update that tells of it.
        stt_final_ms: from the end of a turn to its `EndOfTurn`.
        stt_handshake_ms: before the upgrade.
    """

    stt_partial_ms: Milliseconds = 0
    stt_final_ms: Milliseconds = 0
    stt_handshake_ms: Milliseconds = 0


class FluxFaults(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Of transcription; the check of the key never fails on demand."""

    stt: Fault | None = None


class FluxOddities(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What of the model's behaviour may be chosen.

    Attributes:
        model_silence_s: behind so much silence the model is sure that a turn is over.
        eager_silence_s: behind so much it is fairly sure, where it was asked to say so.
        languages: that it hears with `flux-general-multi`, the most frequent one first. The ear
            itself hears English.
        repeats_updates: an update is sent although the transcript has not changed, each twice.
        forces_nothing: `ForceEndTurn` finds no turn, whatever was said.
    """

    model_silence_s: Seconds = 0.7
    eager_silence_s: Seconds = 0.3
    languages: Annotated[tuple[str, ...], msgspec.Meta(max_length=10)] = ("en",)
    repeats_updates: bool = False
    forces_nothing: bool = False


class FluxSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """All of what the control API sets."""

    delays: FluxDelays = FluxDelays()
    faults: FluxFaults = FluxFaults()
    oddities: FluxOddities = FluxOddities()


@dataclass(slots=True)
class FluxService:
    """The stand-in's parts."""

    api_key: str
    recognizer: Recognizer
    controls: Controls[FluxSettings]
    recorder: RequestLog

    @property
    def settings(self) -> FluxSettings:
        """Delays, faults and oddities as they are now."""
        return self.controls.settings


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class StatusFault(Exception):
    """A fault that is answered with a status."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        assert fault.status is not None
        usual = (f"STATUS_{fault.status}", f"Status {fault.status}, on demand.")
        code, self.message = _FAULT_CODES.get(fault.status, usual)
        self.status = fault.status
        self.code = fault.code or code
        self.retry_after = fault.retry_after


def require_key(service: FluxService, request: web.Request) -> None:
    """Accept a request only with the key, behind `Token`. `Bearer` is for temporary tokens.

    Raises:
        Refused: 401.
    """
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    known = hmac.compare_digest(key.strip().encode(), service.api_key.encode())
    if scheme.lower() != "token" or not known:
        raise Refused(401, "INVALID_AUTH", "Invalid credentials.")
