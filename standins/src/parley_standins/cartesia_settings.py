"""What the Cartesia stand-in can be told to do: delays, faults, oddities."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from parley_standins.faults import Fault, Milliseconds, Seconds


class CartesiaDelays(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What it takes anyway counts towards each delay.

    Attributes:
        tts_first_byte_ms: from a transcript to its first audio.
        tts_realtime_factor: how many times faster than it sounds later audio is sent;
            0 means as fast as possible.
        stt_partial_ms: from audio to the transcript that comes of it.
        stt_final_ms: from `finalize`, or from the end of a turn, to its transcript.
        tts_handshake_ms, stt_handshake_ms: before a WebSocket's upgrade.
    """

    tts_first_byte_ms: Milliseconds = 0
    tts_realtime_factor: Annotated[float, msgspec.Meta(ge=0)] = 0
    stt_partial_ms: Milliseconds = 0
    stt_final_ms: Milliseconds = 0
    tts_handshake_ms: Milliseconds = 0
    stt_handshake_ms: Milliseconds = 0


class CartesiaFaults(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Synthesis, and both kinds of transcription. A fault's outputs and inputs are chunks of
    audio."""

    tts: Fault | None = None
    stt: Fault | None = None


class CartesiaOddities(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How the real service is known, or may be expected, to behave.

    Attributes:
        tts_context_expiry_s: after its last audio a context lives so long.
        tts_done_on_expiry: whether `done` says that it has expired.
        tts_idle_s: without a message for so long, the socket is closed.
        tts_max_contexts: one more that is active is refused with 429.
        tts_timestamps: where the times of words come, if at all.
        tts_flush_done: whether the end of each submission's audio is told.
        tts_error_without_context: errors do not say which context they are of.
        tts_odd_chunks: chunks of audio end in the middle of a sample.
        stt_max_sockets: one more is refused with 429.
        stt_idle_s: without audio for so long, the socket is closed.
        stt_own_final_s: so much audio is made final by the service itself.
    """

    tts_context_expiry_s: Seconds = 1
    tts_done_on_expiry: bool = True
    tts_idle_s: Seconds = 300
    tts_max_contexts: Annotated[int, msgspec.Meta(ge=1)] = 100
    tts_timestamps: Literal["before", "after", "none"] = "before"
    tts_flush_done: bool = True
    tts_error_without_context: bool = False
    tts_odd_chunks: bool = False
    stt_max_sockets: Annotated[int, msgspec.Meta(ge=1)] = 100
    stt_idle_s: Seconds = 180
    stt_own_final_s: Seconds = 20


class CartesiaSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """All of what the control API sets."""

    delays: CartesiaDelays = CartesiaDelays()
    faults: CartesiaFaults = CartesiaFaults()
    oddities: CartesiaOddities = CartesiaOddities()
