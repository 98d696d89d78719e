"""The longest utterance over HTTP: what the deployment allows, and an answer has time for."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from parley.audio.pcm import sample_rate_hz
from parley.auth.identity import Identity
from parley.config import DEFAULT_SETTINGS
from parley.errors import ParleyError
from parley.http.bodies import MAX_AUDIO_S, read_turn
from parley.http.framework import HttpRequest, read_request
from parley.http.turns import TurnHandlers
from parley.limits.turn_quota import Admission
from parley.principal import ANONYMOUS, SessionRef
from parley.protocol.turn_request import TurnRequest
from parley.sessions.settings_policy import SettingsPolicy
from tests.unit.memory import MemoryStore
from tests.wav_files import DATA, EMPTY, SAMPLES, WELL, extensible, riff


class Ran(Exception):
    """The turn was taken."""


def run(_request: TurnRequest, _admission: Admission) -> None:
    raise Ran


def admit(_ref: SessionRef, _spoken: bool) -> Admission:
    return Admission()


def say(utterance_s: int, seconds: float) -> None:
    """Post so many seconds of sound to a deployment with this limit."""
    store = MemoryStore()
    turns = TurnHandlers(
        store,
        store,
        run,
        SettingsPolicy(DEFAULT_SETTINGS),
        admit_turn=admit,
        utterance_s=utterance_s,
    )
    headers = {"content-type": "audio/pcm;rate=8000"}
    body = bytes(int(16_000 * seconds))
    request = HttpRequest("POST", "POST /turns", headers=headers, body=body)
    turns.run_turn(request, Identity(ANONYMOUS))


@pytest.mark.parametrize(("limit_s", "held_s"), [(6, 6), (0, MAX_AUDIO_S), (300, MAX_AUDIO_S)])
def test_an_utterance_is_as_long_as_the_deployment_and_the_answer_allow(
    limit_s: int, held_s: int
) -> None:
    with pytest.raises(Ran):
        say(limit_s, held_s)
    with pytest.raises(ParleyError, match=f"may last {held_s} s") as refused:
        say(limit_s, held_s + 1)
    assert (refused.value.code, refused.value.field) == ("too_large", "audio")


@pytest.mark.parametrize(
    "content_type",
    [
        "audio/wav",
        "audio/x-wav",
        "audio/wave",
        "audio/x-pn-wav",
        "audio/vnd.wave",
        "Audio/WAVE",
        "audio/vnd.wave; codec=1",
        'audio/wav;codecs="1"; charset=binary',
        " audio/x-wav ",
    ],
)
def test_a_wav_file_is_taken_by_each_of_its_names(content_type: str) -> None:
    headers = {"content-type": content_type}
    request = HttpRequest("POST", "POST /turns", headers=headers, body=riff(extensible(), DATA))
    turn = read_turn(request)
    assert (turn.audio, turn.format) == (SAMPLES, "pcm_16000")


@pytest.mark.parametrize(("name", "file"), WELL, ids=[name for name, _ in WELL])
def test_a_wav_file_in_json_is_taken_as_programs_write_it(name: str, file: bytes) -> None:
    body = json.dumps({"audio": base64.b64encode(file).decode(), "format": "wav"}).encode()
    headers = {"content-type": "application/json"}
    turn = read_turn(HttpRequest("POST", "POST /turns", headers=headers, body=body))
    assert (turn.audio, turn.format) == (SAMPLES, "pcm_16000"), name


@pytest.mark.parametrize("file", [file for _, file in EMPTY], ids=[name for name, _ in EMPTY])
def test_a_wav_file_without_sound_is_refused_as_one(file: bytes) -> None:
    headers = {"content-type": "audio/wav"}
    with pytest.raises(ParleyError, match="audio: this WAV file has no sound in it") as refused:
        read_turn(HttpRequest("POST", "POST /turns", headers=headers, body=file))
    assert (refused.value.code, refused.value.field) == ("bad_request", "audio")


# --- what fits into an event of Lambda -----------------------------------------------------------

LAMBDA_BYTES = 6 * 1024 * 1024
DOCUMENTED = re.findall(
    r"^\| `(pcm_\d+)` \| (\d+) s \| (\d+) s \|$",
    (Path(__file__).parents[3] / "docs" / "http.md").read_text(),
    re.MULTILINE,
)


def spoken(audio_format: str, seconds: float, as_body: bool) -> dict[str, Any]:
    """The event of a spoken turn."""
    rate = sample_rate_hz(audio_format)
    sound = base64.b64encode(bytes(2 * int(rate * seconds))).decode()
    kind = f"audio/pcm;rate={rate}" if as_body else "application/json"
    return {
        "routeKey": "POST /turns",
        "headers": {"content-type": kind},
        "requestContext": {"http": {"method": "POST"}, "timeEpoch": 0},
        "body": sound if as_body else json.dumps({"audio": sound, "format": audio_format}),
        "isBase64Encoded": as_body,
    }


@pytest.mark.parametrize("as_body", [True, False], ids=["as the body", "in JSON"])
@pytest.mark.parametrize(
    ("audio_format", "body_s", "json_s"), [*DOCUMENTED, ("pcm_24000", "60", "60")]
)
def test_an_utterance_is_as_long_as_the_documentation_says(
    audio_format: str, body_s: str, json_s: str, as_body: bool
) -> None:
    longest_s = int(body_s if as_body else json_s)
    event = spoken(audio_format, longest_s, as_body)
    assert len(json.dumps(event)) + 2 * 10_240 < LAMBDA_BYTES, "with all that headers may have"
    assert read_turn(read_request(event)).format == audio_format
    with pytest.raises(ParleyError, match=r"too long|lower sample rate") as refused:
        read_turn(read_request(spoken(audio_format, longest_s + 1, as_body)))
    assert refused.value.code == "too_large"


def test_the_highest_rates_are_documented() -> None:
    assert [row[0] for row in DOCUMENTED] == ["pcm_48000", "pcm_44100"]
