"""What the OpenAI audio stand-in can be told to do: delays, faults, and which server it plays."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from parley_standins.faults import Fault, Milliseconds

Profile = Literal["openai", "groq", "speaches", "kokoro", "localai", "whisper.cpp", "vllm"]


class AudioDelays(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What it takes anyway counts towards each delay.

    Attributes:
        tts_first_byte_ms: from the request to the first sound.
        tts_realtime_factor: how many times faster than it sounds later sound is sent; 0 means as
            fast as possible.
        stt_final_ms: from the request to the transcript, or to its first delta.
        stt_delta_ms: between deltas.
    """

    tts_first_byte_ms: Milliseconds = 0
    tts_realtime_factor: Annotated[float, msgspec.Meta(ge=0)] = 0
    stt_final_ms: Milliseconds = 0
    stt_delta_ms: Milliseconds = 0


class AudioFaults(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Of speech and of transcriptions; listing the models never fails."""

    tts: Fault | None = None
    stt: Fault | None = None


class AudioOddities(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How servers of this API are known to differ.

    Attributes:
        profile: which of them is played; see `parley_standins.openai_audio_profiles`.
        tts_rate_hz: of the voice, if not the profile's.
        tts_always: a format that is sent whatever is asked for.
        tts_piece_bytes: how many bytes of sound go at once, odd numbers too; 0 for the usual.
        stt_invents: what is heard where nobody speaks; empty for nothing, as the recogniser has it.
    """

    profile: Profile = "openai"
    tts_rate_hz: Annotated[int, msgspec.Meta(ge=8_000, le=48_000)] | None = None
    tts_always: Literal["mp3", "wav", "pcm"] | None = None
    tts_piece_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    stt_invents: str = ""


class AudioSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """All of what the control API sets."""

    delays: AudioDelays = AudioDelays()
    faults: AudioFaults = AudioFaults()
    oddities: AudioOddities = AudioOddities()
