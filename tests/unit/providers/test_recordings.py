"""People's voices, from the microphone of a page to the text of a transcriber."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev import models
from parley.providers.elevenlabs.transcriber import build_transcriber
from parley_standins.__main__ import serve_app
from parley_standins.elevenlabs_app import elevenlabs_app
from parley_standins.engines import Engines
from parley_standins.faults import SpeechSettings
from tests.recordings import (
    Recording,
    find_recordings,
    microphone,
    sent_by_a_page,
    transcribe,
    word_errors,
    words_of,
)
from tests.unit.provider_context import build_context

# The stand-in is a program of its own, where warnings are no errors.
pytestmark = pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")
PROMPTS = 15


def chosen() -> list[Recording]:
    """All test data of PocketSphinx, and of the many prompts some that lie far apart."""
    found = [each for each in find_recordings() if each.path.suffix == ".wav"]
    prompts = [each for each in found if each.kind.startswith("Asterisk")]
    short = [each for each in prompts if 4 <= len(each.text.split()) <= 12]
    others = [each for each in found if each not in prompts]
    return others + short[:: max(1, len(short) // PROMPTS)][:PROMPTS]


# Debian's packages and fetched weights: `make test` has both on Debian and Ubuntu alone.
@pytest.mark.skipif(
    not find_recordings() or not models.are_here(),
    reason="no recordings (pocketsphinx-testdata) or no weights (python -m dev.models)",
)
async def test_nine_words_of_ten_that_people_say_are_understood(tmp_path: Path) -> None:
    recordings = chosen()
    said = [words_of(each.text) for each in recordings]
    sent = sent_by_a_page([microphone(each) for each in recordings])
    async with Engines("natural", models.WEIGHTS).running() as engines:
        app = elevenlabs_app("the-key", SpeechSettings(), engines)
        async with serve_app(app, "127.0.0.1", 0) as url:
            transcriber = build_transcriber(build_context(variables={"ELEVENLABS_BASE_URL": url}))
            heard = [words_of(await transcribe(transcriber, chunks)) for chunks in sent]
    errors = [word_errors(*pair) for pair in zip(said, heard, strict=True)]
    wrong = [
        pair for pair, count in zip(zip(said, heard, strict=True), errors, strict=True) if count
    ]
    assert sum(errors) <= 0.10 * sum(map(len, said)), wrong
