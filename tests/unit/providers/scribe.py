"""Scribe's side of a socket, as the tests of its transcriber script it."""

from __future__ import annotations

import base64
from typing import Any

from parley.protocol.messages import Endpointing
from parley.providers.elevenlabs.transcriber import ScribeStream, build_transcriber
from tests.unit.provider_context import build_context
from tests.unit.speech_server import Peer

STARTED = {"message_type": "session_started", "session_id": "x", "config": {}}
SECOND = bytes(32_000)


async def opened(
    url: str, endpointing: Endpointing = "manual", language: str = "en", *, model: str = ""
) -> ScribeStream:
    variables = {"ELEVENLABS_BASE_URL": url, "TRANSCRIPTION_MODEL": model}
    transcriber = build_transcriber(build_context(variables=variables, timeout_s=0.3))
    return await transcriber.open("pcm_16000", language, endpointing)


def partial(text: str) -> dict[str, Any]:
    return {"message_type": "partial_transcript", "text": text}


def committed(text: str) -> dict[str, Any]:
    return {"message_type": "committed_transcript", "text": text}


def described(text: str, language: object = "deu") -> dict[str, Any]:
    """The second transcript of a commit, which has its language."""
    kind = "committed_transcript_with_timestamps"
    return {"message_type": kind, "text": text, "language_code": language, "words": []}


def error(name: str) -> dict[str, Any]:
    return {"message_type": name, "error": f"details of {name}"}


async def until_commit(peer: Peer) -> bytes:
    """All audio up to the commit."""
    audio = b""
    while True:
        frame = await peer.receive()
        audio += base64.b64decode(frame["audio_base_64"])
        if frame["commit"]:
            return audio
