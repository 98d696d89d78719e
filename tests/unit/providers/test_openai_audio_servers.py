"""The audio client against each server that the stand-in plays: one client, whatever the server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from parley.config import DEFAULT_SETTINGS
from parley.protocol.messages import Settings
from parley.providers.openai_audio.synthesizer import build_synthesizer
from parley.providers.openai_audio.transcriber import build_transcriber
from parley.providers.stt import TranscriptPiece
from tests.unit.chat_server import http_client
from tests.unit.provider_context import build_context

KEY = "standin-key"
SAID = "What time is it?"
MODELS = {"openai": "gpt-transcribe"}
"""Of transcripts; whisper-1 where nothing is said."""


class Server:
    """The stand-in and its control API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def play(self, profile: str, **oddities: object) -> None:
        httpx.delete(f"{self.url}/_control")
        httpx.delete(f"{self.url}/_requests")
        answer = httpx.put(
            f"{self.url}/_control", json={"oddities": {"profile": profile, **oddities}}
        )
        answer.raise_for_status()

    def requests(self) -> list[int]:
        records = httpx.get(f"{self.url}/_requests").json()["requests"]
        return [record["status"] for record in records]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    command = [sys.executable, "-m", "parley_standins", "--exit-with-parent"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            yield Server(ready["urls"]["openai_audio"])
        finally:
            process.terminate()


async def spoken(server: Server, *clauses: str) -> tuple[bytes, int]:
    """The sound of a reply at 16 kHz, and how many clauses have ended."""
    chosen = DEFAULT_SETTINGS.merged_with(Settings(voice="af_heart"))
    async with http_client() as client:
        context = build_context(client, {"SPEECH_BASE_URL": f"{server.url}/v1"}, key=KEY)
        stream = await build_synthesizer(context).open("pcm_16000", chosen)
        for clause in clauses:
            await stream.speak(clause)
        await stream.finish()
        pieces = [piece async for piece in stream.pieces()]
        await stream.close()
    return b"".join(piece.pcm for piece in pieces), sum(piece.ends_clause for piece in pieces)


async def heard(
    server: Server, pcm: bytes, model: str, times: int = 1, language: str = "en"
) -> list[TranscriptPiece]:
    variables = {"TRANSCRIPTION_BASE_URL": f"{server.url}/v1", "TRANSCRIPTION_MODEL": model}
    pieces: list[TranscriptPiece] = []
    async with http_client() as client:
        transcriber = build_transcriber(build_context(client, variables, key=KEY))
        for _ in range(times):
            stream = await transcriber.open("pcm_16000", language, "manual")
            await stream.send(pcm)
            await stream.finish()
            pieces = [piece async for piece in stream.pieces()]
            await stream.close()
    return pieces


@pytest.fixture
async def utterance(server: Server) -> bytes:
    server.play("openai")
    return (await spoken(server, SAID))[0]


@pytest.mark.parametrize("profile", ["openai", "groq", "speaches", "kokoro", "localai"])
async def test_each_server_speaks(server: Server, utterance: bytes, profile: str) -> None:
    server.play(profile)
    sound, clauses = await spoken(server, SAID, SAID)
    assert clauses == 2
    assert server.requests() == [200, 200]
    # Twice the same, whatever the rate it was made at, and nothing of a header in it.
    assert abs(len(sound) - 2 * len(utterance)) <= 8
    server.play("openai")
    (piece,) = [one for one in await heard(server, sound, "gpt-transcribe") if one.final]
    assert piece.text.lower().count("what time is it") == 2


@pytest.mark.parametrize(
    ("profile", "refused", "partials"),
    [
        ("openai", 0, 4),
        ("groq", 1, 0),
        ("speaches", 0, 1),
        ("localai", 0, 0),
        ("whisper.cpp", 0, 0),
        ("vllm", 1, 0),
    ],
)
async def test_each_server_transcribes(
    server: Server, utterance: bytes, profile: str, refused: int, partials: int
) -> None:
    server.play(profile)
    pieces = await heard(server, utterance, MODELS.get(profile, "whisper-1"), times=2)
    assert pieces[-1].final
    assert pieces[-1].text == SAID
    assert (len(pieces) - 1 > 0) == (partials > 0)
    assert server.requests() == [400] * refused + [200, 200]


async def test_the_stream_of_vllm_is_read_too(server: Server, utterance: bytes) -> None:
    server.play("vllm")
    assert (await heard(server, utterance, "voxtral"))[-1].text == SAID


async def test_the_language_is_told_where_the_server_knows_it(
    server: Server, utterance: bytes
) -> None:
    server.play("whisper.cpp")
    assert (await heard(server, utterance, "whisper-1", language=""))[-1].language == "en"


async def test_what_a_model_invents_is_no_transcript(server: Server) -> None:
    server.play("whisper.cpp", stt_invents="Thanks for watching!")
    beep = (b"\x00\x20" * 8 + b"\x00\xe0" * 8) * 200
    noise = (bytes(6_400) + beep) * 3  # loud and uneven, and no speech
    assert await heard(server, noise, "whisper-1") == [TranscriptPiece("", True, "en")]
    assert server.requests() == [200]


async def test_sound_in_odd_pieces_is_the_same(server: Server, utterance: bytes) -> None:
    server.play("kokoro", tts_piece_bytes=333)
    assert (await spoken(server, SAID))[0] == utterance
