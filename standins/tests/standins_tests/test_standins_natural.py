"""hibari and Moonshine, through the sockets and endpoints of the stand-ins."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from parley_standins.engines import Engines
from standins_tests.conftest import KEY, VOICE, Standin, running, socket_to
from standins_tests.natural import WEIGHTS, needs_natural

ADAM = "pNInz6obpgDQGcFmaJgB"
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def natural() -> Iterator[Standin]:
    with running("--pair", "natural", "--weights", str(WEIGHTS)) as standins:
        yield standins.elevenlabs


def spoken(natural: Standin, text: str, voice: str = VOICE) -> tuple[bytes, dict[str, Any]]:
    response = natural.http.post(
        f"/v1/text-to-speech/{voice}/with-timestamps",
        params={"output_format": f"pcm_{RATE_HZ}"},
        json={"text": text},
        headers={"xi-api-key": KEY},
    )
    body = response.raise_for_status().json()
    return base64.b64decode(body["audio_base64"]), body["alignment"]


def level(pcm: bytes, from_s: float, to_s: float) -> float:
    """Return the RMS of a part."""
    samples: npt.NDArray[np.float64] = np.frombuffer(pcm, "<i2").astype(np.float64)
    part = samples[int(from_s * RATE_HZ) : int(to_s * RATE_HZ)]
    return float(np.sqrt((part**2).mean()))


@needs_natural
@pytest.mark.parametrize("voice", [VOICE, ADAM], ids=["a woman", "a man"])
async def test_a_sentence_that_was_never_tuned_for_is_said_and_understood(
    natural: Standin, voice: str
) -> None:
    said = "Please send the invoice to the office before Thursday afternoon."
    pcm, _ = spoken(natural, said, voice)
    async with socket_to(natural, "/v1/speech-to-text/realtime") as socket:
        await socket.receive()
        await socket.hear(pcm, pause_s=0.1)  # as it is spoken
        await socket.commit()
        frames = await socket.until(lambda f: f["message_type"] == "committed_transcript")
    assert frames[-1]["text"] == said
    partials = [frame["text"] for frame in frames[:-1]]
    assert said.startswith(partials[0])
    assert len(partials[0]) < len(said) / 2, "while it is spoken"


@needs_natural
def test_a_word_begins_when_its_time_says_so(natural: Standin) -> None:
    text = "Well, table eight."
    pcm, alignment = spoken(natural, text)
    starts = alignment["character_start_times_seconds"]
    ends = alignment["character_end_times_seconds"]
    assert starts[0] < 0.06, "the silence before the first sound is cut off"
    table, comma = text.index("table"), text.index(",")
    # A stop: the lips are closed, then comes a burst.
    closed = level(pcm, starts[table] - 0.04, starts[table] - 0.01)
    assert closed < 0.1 * level(pcm, starts[table], starts[table] + 0.05)
    assert closed < 0.1 * level(pcm, starts[0], ends[comma - 1] - 0.05)
    assert ends[-1] == pytest.approx(len(pcm) / 2 / RATE_HZ, abs=0.02)


@needs_natural
def test_the_same_text_is_the_same_sound_and_another_voice_another(natural: Standin) -> None:
    once, _ = spoken(natural, "Good morning.")
    assert spoken(natural, "Good morning.")[0] == once
    assert spoken(natural, "Good morning.", ADAM)[0] != once


@needs_natural
@pytest.mark.parametrize("text", ["你好。", "1" * 80], ids=["another script", "it fails at this"])
def test_what_hibari_cannot_say_espeak_says(natural: Standin, text: str) -> None:
    pcm, alignment = spoken(natural, text)
    assert len(pcm) > RATE_HZ // 2
    assert "".join(alignment["characters"]) == text


@needs_natural
def test_its_voices_say_who_speaks(natural: Standin) -> None:
    listed = natural.http.get(f"/v1/voices/{VOICE}", headers={"xi-api-key": KEY}).json()
    assert listed["labels"]["engine"] == "hibari"


async def test_weights_that_are_none_leave_pocketsphinx_and_a_reason(tmp_path: Path) -> None:
    async with Engines("natural", tmp_path).running() as engines:
        assert engines.recognizer.engine == "PocketSphinx"
        assert any("Moonshine" in reason for reason in engines.missing)


@needs_natural
async def test_weights_that_are_broken_leave_pocketsphinx_and_a_reason(tmp_path: Path) -> None:
    for file in WEIGHTS.iterdir():
        (tmp_path / file.name).write_bytes(b"broken")
    async with Engines("natural", tmp_path).running() as engines:
        assert (engines.speaker.engine, engines.recognizer.engine) == ("hibari", "PocketSphinx")
        assert engines.missing == ["Moonshine did not start"]
        await asyncio.wait_for(engines.recognizer.wait_until_ready(), 20)
