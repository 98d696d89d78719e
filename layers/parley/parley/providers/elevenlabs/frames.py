"""What ElevenLabs' synthesis sockets send: audio, and when its characters sound.

Read tolerantly: the sockets spell their keys in two ways, and each has done so in both.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from parley.audio.word_timing import Alignment
from parley.providers.socket import ProviderSocket


def decode_audio(socket: ProviderSocket, audio: object) -> bytes:
    """Decode a frame's audio.

    Raises:
        ProviderError: it is not base64.
    """
    try:
        return base64.b64decode(str(audio), validate=True)
    except (binascii.Error, ValueError):
        raise socket.make_failure("invalid") from None


def read_alignment(frame: dict[str, Any]) -> Alignment | None:
    """Read character times, relative to the frame's audio; the raw text's where both come."""
    raw = frame.get("alignment")
    found = raw or frame.get("normalizedAlignment") or frame.get("normalized_alignment")
    if not isinstance(found, dict):
        return None
    starts = found.get("charStartTimesMs") or found.get("char_start_times_ms")
    durations = (
        found.get("charDurationsMs")
        or found.get("charsDurationsMs")
        or found.get("char_durations_ms")
    )
    try:
        return Alignment(
            msgspec.convert(found.get("chars"), list[str]),
            msgspec.convert(starts, list[float]),
            msgspec.convert(durations, list[float]),
            exact=bool(raw),
        )
    except msgspec.ValidationError:
        return None  # the audio is good without it
