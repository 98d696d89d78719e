"""The adapters of ElevenLabs' newest models against the stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from parley.config import DEFAULT_SETTINGS
from parley.providers.elevenlabs.synthesizer import build_synthesizer
from parley.providers.tts import SpeechPiece
from parley_standins.__main__ import serve_app
from parley_standins.elevenlabs_app import elevenlabs_app
from parley_standins.engines import Engines
from parley_standins.faults import SpeechOddities, SpeechSettings
from tests.unit.provider_context import build_context

# The stand-in is a program of its own, where warnings are no errors.
pytestmark = pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")


@pytest.fixture
async def engines() -> AsyncIterator[Engines]:
    async with Engines().running() as started:
        yield started


@pytest.mark.parametrize("model", ["eleven_v3_conversational", "eleven_v4"])
@pytest.mark.parametrize(
    "oddities",
    [
        SpeechOddities(),
        SpeechOddities(dialogue_close_drops=True),
        SpeechOddities(dialogue_times=False),
    ],
    ids=["as documented", "a close drops what has not begun", "no times"],
)
async def test_every_clause_of_a_reply_is_spoken_and_told_apart(
    engines: Engines, model: str, oddities: SpeechOddities
) -> None:
    clauses = ["Sure,", "here is a somewhat longer clause of more than eight words,", "and a last."]
    app = elevenlabs_app("the-key", SpeechSettings(oddities=oddities), engines)
    async with serve_app(app, "127.0.0.1", 0) as url:
        context = build_context(variables={"ELEVENLABS_BASE_URL": url, "SPEECH_MODEL": model})
        stream = await build_synthesizer(context).open("pcm_24000", DEFAULT_SETTINGS)
        for clause in clauses:
            await stream.speak(clause)
        await stream.finish()
        pieces = [piece async for piece in stream.pieces()]
        await stream.close()
    spoken = by_clause(pieces)
    assert len(spoken) == len(clauses)
    assert all(len(b"".join(piece.pcm for piece in clause)) > 9_600 for clause in spoken)
    chars = ["".join("".join(p.alignment.chars) for p in c if p.alignment) for c in spoken]
    timed = oddities.dialogue_times
    assert chars == [clause + " " if timed else "" for clause in clauses]


def by_clause(pieces: list[SpeechPiece]) -> list[list[SpeechPiece]]:
    """The pieces of each clause."""
    found: list[list[SpeechPiece]] = [[]]
    for piece in pieces:
        found[-1].append(piece)
        if piece.ends_clause:
            found.append([])
    assert found.pop() == []
    return found
