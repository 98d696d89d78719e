"""What the limits let a day cost: it follows the limits, and the docs say what it says."""

from __future__ import annotations

import functools
import math
from dataclasses import fields
from pathlib import Path

import pytest

from benchmarks.worst_case import (
    ANSWER_UNITS_PER_S,
    BYTES_PER_S,
    CALLS_AT_ONCE,
    CALLS_PER_TURN,
    CHUNK_BYTES,
    LEASES_OF_A_UNIT,
    LIST_UNITS,
    REPLAY_EVENTS,
    SHARDS_TRIED,
    TEXT_CHARS,
    TRANSCRIPT_BYTES,
    TRANSCRIPT_UNITS,
    Prices,
    table,
    worst_crowd,
    worst_day,
    worst_flood,
)
from benchmarks.worst_case import (
    defaults as read_defaults,
)
from parley.http import sessions
from parley.limits import connection_lease, message_rates, rules
from parley.principal import ANONYMOUS
from parley.protocol.messages import MAX_CHUNK_BYTES, MAX_TEXT_CHARS, Metrics, Word, encode
from parley.storage import session_reader
from parley.storage.item_codec import answer_key
from parley.turn.output.outbox import Outbox
from parley.websocket import resume

defaults = functools.cache(read_defaults)
"""Nobody changes them: reading the template takes longer than a test."""
ROOT = Path(__file__).parents[2]
FREE = Prices(**{field.name: 0.0 for field in fields(Prices)})


@pytest.mark.parametrize("whose", ["Subject", "Tenant"])
def test_what_is_free_costs_nothing(whose: str) -> None:
    assert set(worst_day(defaults(), whose, FREE).values()) == {0.0}
    assert worst_flood(defaults(), FREE) == 0
    assert worst_crowd(defaults(), FREE) == 0


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
        ("TurnsPerMinutePerSubject", "turns that are refused"),
        ("TurnsPerMinutePerSubject", "turns that are stopped before they begin"),
        ("TurnsPerMinutePerSubject", "interruptions"),
        ("TurnsPerMinutePerSubject", "questions after turns"),
        ("TurnsPerMinutePerSubject", "interruptions over HTTP"),
        ("ThrottlingRateLimit", "requests over HTTP that are refused"),
        ("ConnectionsPerSubject", "chunks of no turn"),
        ("SpeechSecondsPerDayPerSubject", "answers that are kept"),
        ("SessionsPerMinutePerSubject", "sessions"),
        ("ReadsPerMinutePerSubject", "transcripts"),
    ],
)
def test_a_lower_limit_costs_less(parameter: str, what: str) -> None:
    usual = defaults()
    lower = {**usual, parameter: usual[parameter] / 4}
    assert worst_day(lower, "Subject", Prices())[what] < worst_day(usual, "Subject", Prices())[what]


def test_a_minute_of_speech_costs_what_its_characters_cost() -> None:
    values = {**defaults(), "SpeechSecondsPerDayPerSubject": 60, "ConnectionsPerSubject": 0}
    assert worst_day(values, "Subject", Prices())["speech synthesis"] == pytest.approx(0.036)


def test_what_is_supposed_of_the_library_is_so() -> None:
    assert message_rates.BYTES_PER_S * 3 / 4 == BYTES_PER_S
    assert (rules.CALLS_PER_TURN, message_rates.CALLS_AT_ONCE) == (CALLS_PER_TURN, CALLS_AT_ONCE)
    assert (MAX_CHUNK_BYTES, MAX_TEXT_CHARS) == (CHUNK_BYTES, TEXT_CHARS)
    assert rules.LimitRules().reply_chars == defaults()["ReplyCharacters"]


def test_what_is_supposed_of_sessions_is_so() -> None:
    assert (connection_lease.SHARD_LEASES, connection_lease.TRIES) == (
        LEASES_OF_A_UNIT,
        SHARDS_TRIED,
    )
    assert session_reader.MAX_PAGES * 1024 * 1024 / 4096 == TRANSCRIPT_UNITS
    assert sessions.MAX_ANSWER_BYTES == TRANSCRIPT_BYTES
    assert sessions.MAX_LIST_LIMIT <= LIST_UNITS, "a unit each"
    assert resume.REPLAY_EVENTS == REPLAY_EVENTS


def test_an_answer_that_is_kept_costs_what_is_supposed_for_each_second() -> None:
    """Counted as DynamoDB does: each event is an item, each KB of it that is begun a unit."""
    outbox, ref = Outbox("t" * 26, "pcm_24000"), ANONYMOUS.session("s" * 26)
    for at_ms in range(0, 60_000, 100):
        words = [Word("conversation", at_ms, at_ms + 400)] if at_ms % 400 == 0 else []
        outbox.add_audio(bytes(4_800), words, at_ms / 1000)
    outbox.close_audio()
    outbox.add_end("completed", "x" * 900, Metrics())
    units = 0
    while (event := outbox.take_next(60.0, everything=True)) is not None:
        key = answer_key(ref, "t" * 26, 1, event.seq or 0)
        names = sum(len(value["S"]) for value in key.values()) + len("pkskframeexpires_at") + 6
        units += math.ceil((len(encode(event)) + names) / 1024)
    assert ANSWER_UNITS_PER_S - 2 < units / 60 <= ANSWER_UNITS_PER_S


def test_the_docs_say_what_it_says() -> None:
    costs = (ROOT / "docs" / "costs.md").read_text()
    assert table(defaults(), Prices()) in costs, "run benchmarks/worst_case.py"
    assert f"${worst_flood(defaults(), Prices()):,.0f} a day" in costs
    assert f"${worst_crowd(defaults(), Prices()):,.0f} a day" in costs
