"""Frames of Cartesia's synthesis, and a reply that is spoken over a scripted socket."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from parley.config import DEFAULT_SETTINGS
from parley.errors import ProviderError
from parley.protocol.messages import Settings
from parley.providers.cartesia.synthesizer import (
    CartesiaSpeech,
    build_synthesizer,
)
from parley.providers.tts import SpeechPiece
from tests.unit.provider_context import build_context
from tests.unit.speech_server import Peer, Script, playing

PCM = bytes(range(64))


def chunk(pcm: bytes = PCM, context: str = "reply-1", **fields: Any) -> dict[str, Any]:
    audio = base64.b64encode(pcm).decode()
    return {"type": "chunk", "data": audio, "done": False, "context_id": context, **fields}


def words(
    *texts: str, start: float = 0.0, context: str = "reply-1", each: float = 0.1
) -> dict[str, Any]:
    starts = [start + index * each for index in range(len(texts))]
    ends = [begun + each for begun in starts]
    stamps = {"words": list(texts), "start": starts, "end": ends}
    return {"type": "timestamps", "context_id": context, "word_timestamps": stamps}


def flushed(number: int, context: str = "reply-1") -> dict[str, Any]:
    return {"type": "flush_done", "flush_done": True, "flush_id": number, "context_id": context}


def done(context: str = "reply-1") -> dict[str, Any]:
    return {"type": "done", "done": True, "status_code": 206, "context_id": context}


def error(
    context: str | None = "reply-1", status: int = 400, code: str | None = None
) -> dict[str, Any]:
    frame = {"type": "error", "done": True, "status_code": status, "error_code": code}
    told = {**frame, "title": "Context closed", "message": "Context has closed."}
    return {**told, "context_id": context} if context else told


async def opened(url: str, **settings: Any) -> CartesiaSpeech:
    context = build_context(variables={"SPEECH_BASE_URL": url})
    chosen = DEFAULT_SETTINGS.merged_with(Settings(**settings))
    return await build_synthesizer(context).open("pcm_16000", chosen)


async def until_closed(peer: Peer) -> list[dict[str, Any]]:
    """What the client sends, up to the end of its context."""
    frames = [await peer.receive()]
    while frames[-1].get("continue"):
        frames.append(await peer.receive())
    return frames


async def said(
    script: Script, *clauses: str, collected: list[SpeechPiece] | None = None
) -> list[SpeechPiece]:
    """What comes of clauses that are spoken at once."""
    pieces: list[SpeechPiece] = [] if collected is None else collected
    async with playing(script) as server:
        stream = await opened(server.url)
        try:
            for clause in clauses:
                await stream.speak(clause)
            await stream.finish()
            async with asyncio.timeout(20):
                async for piece in stream.pieces():
                    pieces.append(piece)
        finally:
            await stream.close()
    return pieces


async def spoken(*frames: object, clauses: tuple[str, ...] = ("Hi all.",)) -> list[SpeechPiece]:
    """What comes of frames that the service sends when the context has been closed."""

    async def script(peer: Peer) -> None:
        await until_closed(peer)
        await peer.send(*frames)

    return await said(script, *clauses)


async def failed(*frames: object, clauses: tuple[str, ...] = ("Hi all.",)) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        await spoken(*frames, clauses=clauses)
    assert raised.value.code == "speech_failed"
    return raised.value


def audio_of(pieces: list[SpeechPiece]) -> bytes:
    return b"".join(piece.pcm for piece in pieces)


def ends_of(pieces: list[SpeechPiece]) -> list[int]:
    """How many bytes had come at the end of each clause."""
    sizes = [len(audio_of(pieces[: index + 1])) for index in range(len(pieces))]
    return [size for size, piece in zip(sizes, pieces, strict=True) if piece.ends_clause]


async def asked(*clauses: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def script(peer: Peer) -> None:
        sent.extend(await until_closed(peer))
        await peer.send(chunk(), done())

    await said(script, *clauses)
    return sent
