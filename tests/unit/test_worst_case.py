"""What the limits let a day cost: it follows the limits, and the docs say what it says."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from benchmarks.worst_case import Prices, defaults, table, worst_day, worst_flood
from parley.limits import rates
from parley.protocol import MAX_CHUNK_BYTES, MAX_TEXT_CHARS

ROOT = Path(__file__).parents[2]
FREE = Prices(**{field.name: 0.0 for field in fields(Prices)})


@pytest.mark.parametrize("whose", ["Subject", "Tenant"])
def test_what_is_free_costs_nothing(whose: str) -> None:
    assert set(worst_day(defaults(), whose, FREE).values()) == {0.0}
    assert worst_flood(defaults(), FREE) == 0


@pytest.mark.parametrize(
    ("parameter", "what"),
    [
        ("SpeechSecondsPerDayPerSubject", "speech synthesis"),
        ("SpeechSecondsPerDayPerSubject", "language model"),
        ("ReplyCharacters", "speech synthesis"),
        ("AudioSecondsPerDayPerSubject", "speech recognition"),
        ("UtteranceSeconds", "speech recognition"),
        ("ConnectionsPerSubject", "turn function"),
        ("MessagesPerSecond", "messages"),
        ("ConnectionsPerSubject", "chunks of no turn"),
    ],
)
def test_a_lower_limit_costs_less(parameter: str, what: str) -> None:
    usual = defaults()
    lower = {**usual, parameter: usual[parameter] / 2}
    assert worst_day(lower, "Subject", Prices())[what] < worst_day(usual, "Subject", Prices())[what]


def test_a_minute_of_speech_costs_what_its_characters_cost() -> None:
    values = {**defaults(), "SpeechSecondsPerDayPerSubject": 60, "ConnectionsPerSubject": 0}
    assert worst_day(values, "Subject", Prices())["speech synthesis"] == pytest.approx(0.045)


def test_what_is_supposed_of_the_library_is_so() -> None:
    assert rates.BYTES_PER_S * 3 / 4 == 96_000
    assert (MAX_CHUNK_BYTES, MAX_TEXT_CHARS) == (20_480, 8_000)


def test_the_docs_say_what_it_says() -> None:
    costs = (ROOT / "docs" / "costs.md").read_text()
    assert table(defaults(), Prices()) in costs, "run benchmarks/worst_case.py"
    assert f"${worst_flood(defaults(), Prices()):,.0f} a day" in costs
