"""Word times of a context as the times of the clauses' characters."""

from __future__ import annotations

import pytest

from parley.audio.word_timing import Alignment
from parley.providers.cartesia.word_times import WordTimes


def timed(text: str, words: list[str], starts: list[float], ends: list[float]) -> WordTimes:
    times = WordTimes()
    times.submit(text)
    times.add(words, starts, ends)
    return times


def taken(times: WordTimes, spoken_ms: float = 0.0) -> Alignment:
    alignment = times.take(spoken_ms)
    assert alignment is not None
    return alignment


def characters(times: WordTimes) -> str:
    return "".join(taken(times).chars)


def test_a_words_time_is_shared_out_among_its_characters() -> None:
    alignment = taken(timed("Hi all. ", ["Hi", "all."], [0.1, 0.5], [0.3, 0.9]))
    assert "".join(alignment.chars) == "Hiall."
    assert alignment.starts_ms == pytest.approx([100, 200, 500, 600, 700, 800])
    assert alignment.durations_ms == pytest.approx([100] * 6)
    assert alignment.exact


def test_times_count_from_the_audio_that_they_come_with() -> None:
    times = timed("Hi all. ", ["Hi", "all."], [0.1, 0.5], [0.3, 0.9])
    assert taken(times, 400).starts_ms == pytest.approx([-300, -200, 100, 200, 300, 400])


def test_times_are_given_once() -> None:
    times = timed("Hi. ", ["Hi."], [0.0], [0.3])
    assert times.take(0) is not None
    assert times.take(0) is None


def test_scripts_without_spaces_come_character_by_character() -> None:
    times = timed("你好。再见。", list("你好。再见。"), [n / 10 for n in range(6)], [1] * 6)
    assert characters(times) == "你好。再见。"


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("Well - yes. ", ["Well", "yes."], "Well-yes."),
        ("It is “so”, he said. ", ["It", "is", "so", "he", "said."], "Itis“so”,hesaid."),
        ("2 + 2 = 4, a fact. ", ["a", "fact."], "2+2=4,afact."),
        ("A list<String> it is. ", ["A", "listString>", "it", "is."], "Alist<String>itis."),
        ("Call <spell>AB</spell> now. ", ["Call", "<spell>AB</spell>", "now."], None),
    ],
)
def test_what_the_service_spells_otherwise_has_passed_when_the_next_word_begins(
    text: str, words: list[str], found: str | None
) -> None:
    times = timed(text, words, [float(n) for n in range(len(words))], [n + 0.5 for n in range(5)])
    assert characters(times) == (found or "".join(text.split()))


def test_a_short_word_is_not_found_within_another() -> None:
    times = timed("That was a day. ", ["a"], [1.0], [1.2])
    alignment = taken(times)
    assert "".join(alignment.chars) == "Thatwasa"
    assert alignment.durations_ms == pytest.approx([0] * 7 + [200])


def test_a_word_that_is_nowhere_is_passed_over() -> None:
    assert timed("Ten days. ", ["ten", "10"], [0, 0], [1, 1]).take(0) is None


def test_a_clause_without_times_does_not_hide_the_next_one() -> None:
    times = WordTimes()
    times.submit("A clause that nobody has timed, as it is, at all. ")
    times.submit("Yes, a clause. ")
    times.end_submission()
    times.add(["Yes,", "a"], [3.0, 3.5], [3.4, 3.6])
    assert characters(times) == "Yes,a"


def test_a_word_may_come_when_the_next_clause_was_sent() -> None:
    times = WordTimes()
    times.submit("One two. ")
    times.add(["One"], [0.0], [0.2])
    times.submit("Three. ")
    times.add(["two."], [0.3], [0.5])
    times.end_submission()
    times.add(["Three."], [0.6], [0.9])
    assert characters(times) == "Onetwo.Three."


@pytest.mark.parametrize(
    ("words", "starts", "ends"),
    [(["Hi."], [], []), ([], [0.1], [0.2]), ([""], [0], [0]), ([" "], [0], [0]), (["…"], [0], [0])],
)
def test_nonsense_gives_no_times(words: list[str], starts: list[float], ends: list[float]) -> None:
    assert timed("Hi. ", words, starts, ends).take(0) is None


def test_a_word_that_ends_before_it_begins_has_no_length() -> None:
    assert taken(timed("Hi. ", ["Hi."], [0.5], [0.2])).durations_ms == [0, 0, 0]
