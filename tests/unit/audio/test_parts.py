"""Words, back-off, timings, settings, identifiers: the small plain parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.audio.heard import heard_text, split_heard
from parley.audio.word_timing import Alignment, WordTimer
from parley.config import Deployment
from parley.errors import ConfigurationError, FailureKind, ProviderError
from parley.ids import new_resume_token, new_ulid, token_hash, token_matches
from parley.protocol.messages import Settings, Word
from parley.providers.errors import make_failure, parse_retry_after_ms
from parley.providers.retry import EARLY_DELAYS_S, MAX_RETRY_AFTER_S, RetrySchedule
from parley.providers.rules import RETRY_DELAYS_S
from parley.text.spoken_text import SpokenText
from parley.turn.output.latency import Mark, TurnLatency


def timer_of(text: str) -> WordTimer:
    """A timer for a reply whose text has come."""
    spoken = SpokenText()
    spoken.feed(text)
    spoken.finish()
    return WordTimer(spoken)


def timed(text: str, pieces: list[int]) -> list[Word]:
    """Words of a text whose characters sound for 10 ms each, cut into frames."""
    timer, words, start = timer_of(text), [], 0
    if text.strip():
        timer.expect(text.strip())
    for size in [*pieces, len(text)]:
        part = text[start : start + size]
        offsets = [10.0 * i for i in range(len(part))]
        words += timer.add(Alignment(list(part), offsets, [10.0] * len(part)), start * 10.0)
        start += len(part)
    return words + timer.finish()


@given(st.text(alphabet="ab .,\n", max_size=80), st.lists(st.integers(1, 20), max_size=6))
def test_words_do_not_depend_on_how_the_audio_was_cut(text: str, pieces: list[int]) -> None:
    words = timed(text, pieces)
    assert [word.text for word in words] == text.split()
    assert words == timed(text, [])


@given(st.lists(st.text(alphabet="ab.", min_size=1, max_size=5), max_size=6), st.integers(1, 9))
def test_the_end_of_a_clause_ends_a_word_without_white_space(clauses: list[str], size: int) -> None:
    text = "".join(clauses)
    timer, words = timer_of(text), []
    for clause in clauses:
        timer.expect(clause)
    for start in range(0, len(text), size):
        part = text[start : start + size]
        times = [10.0 * i for i in range(len(part))]
        words += timer.add(Alignment(list(part), times, [10.0] * len(part)), start * 10.0)
    assert [word.text for word in words + timer.finish()] == clauses


def test_a_text_made_for_speaking_is_not_cut_where_the_clause_would_be() -> None:
    timer = timer_of("42")
    timer.expect("42")
    chars = [*"forty-two "]
    times = [10.0 * i for i in range(len(chars))]
    words = timer.add(Alignment(chars, times, [10.0] * len(chars), exact=False), 0.0)
    assert words + timer.finish() == [Word("42", 0, 90)]


@given(st.integers(0, 400))
def test_heard_are_the_words_whose_audio_had_ended(played_ms: int) -> None:
    text = "Long ago there lived some girl"
    words = timed(text, [])
    expected = [w for w in text.split() if (text.index(w) + len(w)) * 10 <= played_ms]
    assert heard_text(split_heard(text, words), played_ms).split() == expected


@pytest.mark.parametrize(
    ("kind", "tries"),
    [
        ("unavailable", 2),
        ("rate_limited", 2),
        ("unauthorized", 0),
        ("refused", 0),
        ("timeout", 0),
        ("invalid", 0),
    ],
)
def test_what_may_pass_is_tried_again_soon_and_not_often(kind: FailureKind, tries: int) -> None:
    schedule = RetrySchedule()
    error = make_failure("reply_failed", kind)
    delays = [schedule.delay_after(error) for _ in range(4)]
    assert [delay for delay in delays if delay is not None] == pytest.approx(
        list(RETRY_DELAYS_S)[:tries], rel=0.11
    )
    assert schedule.retries == tries


def test_a_wait_that_is_asked_for_is_kept_if_the_user_can_bear_it() -> None:
    def asks(seconds: float) -> ProviderError:
        return make_failure("reply_failed", "rate_limited", retry_after_ms=int(seconds * 1000))

    assert RetrySchedule().delay_after(asks(1)) == pytest.approx(1, rel=0.11)
    too_long = asks(MAX_RETRY_AFTER_S + 1)
    assert RetrySchedule().delay_after(too_long) is None
    early = RetrySchedule().delay_after(too_long, owed=False)
    assert early == pytest.approx(MAX_RETRY_AFTER_S + 1, rel=0.11)


def test_while_nothing_is_owed_it_is_tried_again_for_ever_and_the_schedule_stays_whole() -> None:
    schedule = RetrySchedule()
    error = make_failure("reply_failed", "unavailable")
    early = [schedule.delay_after(error, owed=False) for _ in range(20)]
    assert early == pytest.approx([*EARLY_DELAYS_S, *EARLY_DELAYS_S[-1:] * 15], rel=0.11)
    owed = [schedule.delay_after(error) for _ in range(2)]
    assert owed == pytest.approx(list(RETRY_DELAYS_S), rel=0.11)
    assert schedule.delay_after(error) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(None, None), ("", None), ("2", 2000), ("0.5", 500), ("Wed", None)],
        *[("-1", 0), ("inf", None), ("nan", None), ("1e400", None)],
        *[(huge, 86_400_000) for huge in ("86401", "1e306", "1e300", "9" * 20, "9" * 300)],
        *[("86399", 86_399_000), ("-1e306", 0), ("-9e307", 0), ("-inf", None)],
    ],
)
def test_retry_after(value: str | None, expected: int | None) -> None:
    assert parse_retry_after_ms(value) == expected


@given(st.lists(st.floats(0, 5), min_size=8, max_size=8))
def test_the_parts_of_a_turn_add_up(gaps: list[float]) -> None:
    names: list[Mark] = [
        *("received", "started", "transcribed", "requested"),
        *("first_token", "first_clause", "first_audio", "first_audio_posted"),
    ]
    timings, now = TurnLatency(), 0.0
    for name, gap in zip(names, gaps, strict=True):
        now += gap
        timings.mark(name, now)
        timings.mark(name, now + 99)  # the first mark counts
    found = timings.metrics()
    parts = [found.dispatch_ms, found.transcript_ms, found.prepare_ms, found.responder_ms]
    parts += [found.clause_ms, found.synthesizer_ms, found.delivery_ms]
    assert sum(part or 0 for part in parts) == pytest.approx(found.first_audio_ms, abs=0.5)


def test_what_did_not_happen_has_no_figure() -> None:
    timings = TurnLatency()
    timings.mark("received", 0)
    assert timings.metrics().first_audio_ms is None


def test_newer_settings_lie_over_older_ones() -> None:
    merged = Settings(voice="a", speed=1.0).merged_with(Settings(speed=0.8, style="short"))
    assert merged == Settings(voice="a", speed=0.8, style="short")


def test_settings_come_from_the_environment() -> None:
    found = Deployment.from_environment({"TABLE_NAME": "t", "VOICE_SPEED": "0.9"})
    assert found.table == "t"
    assert found.defaults.speed == 0.9
    assert (found.transcriber, found.responder) == ("elevenlabs", "openai_chat")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "TABLE_NAME is not set"),
        ({"TABLE_NAME": "t", "VOICE_SPEED": "fast"}, "VOICE_SPEED: expected a number"),
        ({"TABLE_NAME": "t", "REPLY_FORMAT": "mp3"}, "REPLY_FORMAT: expected one of pcm_8000"),
    ],
)
def test_a_wrong_variable_is_named(variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Deployment.from_environment(variables)


def test_ulids_sort_by_time_and_never_repeat() -> None:
    assert len({new_ulid(5) for _ in range(1000)}) == 1000
    assert new_ulid(1) < new_ulid(2) < new_ulid(10**12)
    assert len(new_ulid()) == 26


def test_tokens_are_stored_as_hashes_that_match_only_them() -> None:
    token = new_resume_token()
    assert token not in token_hash(token)
    assert token_matches(token, token_hash(token))
    assert not token_matches(new_resume_token(), token_hash(token))
