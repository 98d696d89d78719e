"""The longest utterance over HTTP: what the deployment allows, and an answer has time for."""

from __future__ import annotations

import pytest

from parley.errors import ParleyError
from parley.http import HttpRequest
from parley.http_bodies import MAX_AUDIO_S
from parley.http_turns import HttpTurns
from parley.invocation import TurnRequest
from parley.settings import DEFAULT_SETTINGS
from tests.unit.memory import MemoryStore


class Ran(Exception):
    """The turn was taken."""


def run(_request: TurnRequest) -> None:
    raise Ran


def say(utterance_s: int, seconds: float) -> None:
    """Post so many seconds of sound to a deployment with this limit."""
    store = MemoryStore()
    turns = HttpTurns(store, store, run, DEFAULT_SETTINGS, utterance_s=utterance_s)
    headers = {"content-type": "audio/pcm;rate=8000"}
    turns.take_turn(
        HttpRequest("POST", "POST /turns", headers=headers, body=bytes(int(16_000 * seconds)))
    )


@pytest.mark.parametrize(("limit_s", "held_s"), [(6, 6), (0, MAX_AUDIO_S), (300, MAX_AUDIO_S)])
def test_an_utterance_is_as_long_as_the_deployment_and_the_answer_allow(
    limit_s: int, held_s: int
) -> None:
    with pytest.raises(Ran):
        say(limit_s, held_s)
    with pytest.raises(ParleyError, match=f"may last {held_s} s") as refused:
        say(limit_s, held_s + 1)
    assert (refused.value.code, refused.value.field) == ("too_large", "audio")
