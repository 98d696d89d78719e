"""What a minute of talk costs: it follows from the prices, and the docs say what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import worst_case
from benchmarks.minute_price import (
    CHARS_PER_S,
    CHARS_PER_TOKEN,
    COSTS,
    EXCHANGES,
    FLASH,
    GROQ_WHISPER,
    LUNA,
    SCRIBE,
    TYPICAL,
    minute_table,
    price_table,
)


def test_the_docs_say_what_it_says() -> None:
    costs = COSTS.read_text()
    assert price_table() in costs, "run benchmarks/minute_price.py"
    assert minute_table() in costs, "run benchmarks/minute_price.py"


def test_the_worst_case_has_the_same_prices_and_quantities() -> None:
    worst = worst_case.Prices()
    assert worst.speech_char == pytest.approx(FLASH.usd / 1000)
    assert worst.listening_s == pytest.approx(SCRIBE.usd / 3600)
    assert worst.input_token == pytest.approx(LUNA.usd / 1e6)
    assert worst.output_token == pytest.approx(LUNA.output_usd / 1e6)
    assert (CHARS_PER_S, CHARS_PER_TOKEN) == (worst_case.CHARS_PER_S, worst_case.CHARS_PER_TOKEN)
    assert worst_case.defaults()["HistoryMessages"] == 2 * EXCHANGES


def test_half_a_minute_is_spoken_and_transcribed() -> None:
    assert FLASH.minute_usd == pytest.approx(0.450 * 0.04)
    assert SCRIBE.minute_usd == pytest.approx(0.39 / 120)
    assert replace(GROQ_WHISPER, least_s=0).minute_usd == pytest.approx(0.04 / 120)
    assert GROQ_WHISPER.minute_usd == pytest.approx(0.04 * 50 / 3600), "ten seconds of each turn"


def test_a_typical_combination_has_all_three_stages() -> None:
    for each in TYPICAL:
        transcriber, model, voice = each.prices
        assert transcriber.unit in ("minute", "hour")
        assert model.unit == "million tokens"
        assert voice.unit == "1,000 characters"
