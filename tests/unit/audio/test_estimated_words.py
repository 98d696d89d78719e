"""Words without times: spread over their clause's audio, told apart, and never at the cost of a
time that is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.audio.heard import EstimatedWord, Heard, heard_text, is_estimated, split_heard
from parley.audio.word_timing import MS_PER_CHAR, Alignment, Place, WordTimer
from parley.protocol.messages import Word
from parley.storage.item_codec import encode_parts, turn_from
from parley.text.spoken_text import SpokenText

CHAR_MS = 10.0


class Voice:
    """A voice of 10 ms a character, white space included, that speaks some clauses."""

    def __init__(self, *clauses: str) -> None:
        self.written = " ".join(clauses)
        spoken = SpokenText()
        spoken.feed(self.written)
        spoken.finish()
        self.timer = WordTimer(spoken)
        for clause in clauses:
            self.timer.expect(clause)
        self.at_ms = 0.0

    def sound(self, text: str, *, timed: bool, exact: bool = True) -> list[Word]:
        starts = [CHAR_MS * index for index in range(len(text))]
        times = Alignment([*text], starts, [CHAR_MS] * len(text), exact)
        length_ms = CHAR_MS * len(text)
        words = self.timer.add(times if timed else None, self.at_ms, length_ms)
        self.at_ms += length_ms
        return words


def estimated(words: list[Word]) -> list[bool]:
    """Of each word, whether it is estimated."""
    return [isinstance(word, EstimatedWord) for word in words]


def test_a_clause_without_times_is_spread_over_its_audio_by_its_letters() -> None:
    voice = Voice("One three.")
    assert voice.sound("One three.", timed=False) == []
    assert voice.timer.end_clause() == [
        EstimatedWord("One", 0, 33),
        EstimatedWord("three.", 33, 100),
    ]


def test_a_clause_whose_times_end_early_is_spread_from_there() -> None:
    voice = Voice("One two three four.", "Five.")
    words = voice.sound("One two t", timed=True) + voice.sound("hree four. ", timed=False)
    words += voice.timer.end_clause()
    words += voice.sound("Five. ", timed=True) + voice.timer.end_clause() + voice.timer.finish()
    assert [word.text for word in words] == ["One", "two", "three", "four.", "Five."]
    assert estimated(words) == [False, False, True, True, False]
    assert words[0] == Word("One", 0, 30)
    assert words[2].start_ms == 80, "it had begun"
    assert words[-1] == Word("Five.", 200, 250)


def test_where_times_begin_again_the_words_before_are_spread_up_to_there() -> None:
    voice = Voice("One two three four five six seven eight.")
    words = voice.sound("One ", timed=True)
    words += voice.sound("two three four ", timed=False)
    words += voice.sound("five six seven eight.", timed=True)
    words += voice.timer.finish()
    assert [word.text for word in words] == voice.written.split()
    assert estimated(words) == [False, True, True, True, False, False, False, False]
    assert words[3].end_ms <= 190
    assert words[4] == Word("five", 190, 230)


@pytest.mark.parametrize("untimed", ["", "~", "\u2026 "])
def test_audio_without_times_between_characters_that_have_them_changes_nothing(
    untimed: str,
) -> None:
    voice = Voice("One two three.")
    words = voice.sound("One t", timed=True) + voice.sound(untimed, timed=False)
    words += voice.sound("wo three.", timed=True) + voice.timer.finish()
    assert [word.text for word in words] == ["One", "two", "three."]
    assert estimated(words) == [False] * 3


def test_a_voice_that_tells_nothing_is_spread_at_its_end_over_all_clauses() -> None:
    voice = Voice("One two.", "Three four.")
    assert voice.sound("One two. Three four. ", timed=False) == []
    words = voice.timer.finish()
    assert [word.text for word in words] == voice.written.split()
    assert all(estimated(words))
    assert words[-1].end_ms == 210


def test_of_a_voice_that_is_stopped_the_usual_pace_is_assumed() -> None:
    voice = Voice("One two three four.")
    voice.timer.add(None, 0.0, 7 * MS_PER_CHAR)
    words = voice.timer.estimate_stopped()
    assert words[:2] == [EstimatedWord("One", 0, 240), EstimatedWord("two", 240, 480)]
    assert words[2:] == [EstimatedWord("three", 480, 880)], "it would have ended later"
    assert voice.timer.estimate_stopped() == []


def test_of_a_voice_that_is_stopped_its_own_pace_counts_once_it_is_known() -> None:
    voice = Voice("One two three.", "Four five.")
    voice.sound("One two three.", timed=False)
    voice.timer.end_clause()
    voice.sound("Four f", timed=False)
    words = voice.timer.estimate_stopped()
    assert [word.text for word in words] == ["Four", "five."]
    pace = 140 / len("Onetwothree.")
    assert words[0].end_ms == round(140 + 4 * pace)
    assert words[1].end_ms == round(140 + 9 * pace) > 200


def test_a_syllable_of_han_sounds_longer_than_a_letter() -> None:
    voice = Voice("今天 is fine.")
    voice.timer.add(None, 0.0, 1_000.0)
    words = voice.timer.estimate_stopped()
    assert [word.text for word in words[:2]] == ["今", "天"]
    assert words[0].end_ms == round(2.4 * MS_PER_CHAR)


@pytest.mark.parametrize(
    ("sounded", "place", "spoken"),
    [
        ("", Place(0, 0), []),
        ("On", Place(0, 0), []),
        ("One", Place(0, 4), ["One"]),
        ("One t", Place(0, 4), ["One"]),
        ("One two", Place(1, 0), ["One", "two,"]),
        ("One two, thr", Place(1, 0), ["One", "two,"]),
        ("One two, three four", Place(2, 0), ["One", "two,", "three", "four."]),
    ],
)
def test_another_voice_goes_on_at_the_first_word_that_is_not_spoken(
    sounded: str, place: Place, spoken: list[str]
) -> None:
    voice = Voice("One two,", "three four.")
    words = voice.sound(sounded, timed=True)
    more, found = voice.timer.break_off()
    assert found == place
    assert [word.text for word in words + more] == spoken
    assert not any(estimated(words + more))


def test_a_version_made_for_speaking_goes_on_behind_its_last_word_that_is_found() -> None:
    voice = Voice("It costs 42 euros now.")
    words = voice.sound("It costs forty two euros n", timed=True, exact=False)
    more, place = voice.timer.break_off()
    assert [word.text for word in words + more] == ["It", "costs", "42 euros"]
    assert voice.written[place.char :] == "now."


def test_a_clause_without_times_of_which_nothing_sounded_begins_anew() -> None:
    voice = Voice("One two.", "Three four.")
    voice.sound("One two. ", timed=False)
    assert [word.text for word in voice.timer.end_clause()] == ["One", "two."]
    assert voice.timer.break_off() == ([], Place(1, 0))


def test_a_clause_without_times_goes_on_where_the_pace_says() -> None:
    voice = Voice("One two three.", "Four five six seven.")
    voice.sound("One two three.", timed=False)
    voice.timer.end_clause()
    voice.sound("Four five si", timed=False)
    words, place = voice.timer.break_off()
    assert ([word.text for word in words], place) == (["Four", "five"], Place(1, 10))
    assert all(estimated(words))


def test_the_clauses_of_the_voice_that_goes_on_are_counted_from_where_it_begins() -> None:
    voice = Voice("One two.", "Three four.", "Five six.")
    voice.sound("One two. Three f", timed=True)
    voice.timer.break_off()
    begun_ms = voice.at_ms
    voice.sound("four. ", timed=False)
    words = voice.timer.end_clause()
    assert [word.text for word in words] == ["four."]
    assert (words[0].start_ms, words[0].end_ms) == (begun_ms, voice.at_ms)
    voice.sound("Five six. ", timed=False)
    assert [word.text for word in voice.timer.end_clause()] == ["Five", "six."]


def test_the_voice_that_goes_on_has_a_pace_of_its_own() -> None:
    voice = Voice("One two.", "Three four.")
    voice.sound("One two. ", timed=True)
    voice.timer.break_off()
    voice.timer.add(None, voice.at_ms, 5 * MS_PER_CHAR)
    words = voice.timer.estimate_stopped()
    assert words[0] == EstimatedWord("Three", 90, 490)


def test_marks_that_nobody_speaks_do_not_keep_the_next_words_from_being_found() -> None:
    voice = Voice("One" + " \u2014" * 12, "two three.")
    words = voice.sound("One", timed=True)
    more, place = voice.timer.break_off()
    assert place == Place(1, 0)
    words += more + voice.sound("two three. ", timed=True) + voice.timer.finish()
    assert words[-1].text == "three."
    assert "".join("".join(word.text for word in words).split()) == "".join(voice.written.split())


@given(
    st.lists(
        st.sampled_from(["a", "tea", "fox", "bridge,", "今天好", "—"]), min_size=1, max_size=9
    ),
    st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=12),
    st.booleans(),
)
def test_no_word_is_lost_doubled_or_moved_back_whatever_has_times(
    words: list[str], pieces: list[tuple[int, bool]], ends: bool
) -> None:
    clause = " ".join([*words, "end."])
    voice = Voice(clause)
    found: list[Word] = []
    at = 0
    for length, timed in [*pieces, (len(clause), True)]:
        if at < len(clause):
            found += voice.sound(clause[at : at + length], timed=timed)
        at += length
    if ends:
        found += voice.timer.end_clause()
    found += voice.timer.finish()
    assert "".join("".join(word.text for word in found).split()) == "".join(clause.split())
    if all(timed for _, timed in pieces):
        assert not any(estimated(found))
    before = ""
    for played_ms in range(0, int(voice.at_ms) + 10, 10):
        heard = heard_text(split_heard(clause, found), played_ms)
        assert clause.startswith(heard)
        assert heard.startswith(before)
        before = heard
    assert before == clause


# --- what is kept of it -------------------------------------------------------------


def test_what_was_heard_is_an_estimate_if_its_end_or_what_follows_is() -> None:
    parts = [Heard("", 0), Heard("a", 10), Heard(" b", 20, estimated=True), Heard(" c", 30)]
    assert [is_estimated(parts, played_ms) for played_ms in (5, 10, 20, 30)] == [
        False,
        True,
        True,
        False,
    ]


def test_parts_are_stored_with_the_flag_only_where_it_says_something() -> None:
    parts = [Heard("", 0), Heard("a", 10), Heard(" b", 20, estimated=True)]
    stored = encode_parts(parts)
    assert stored == '[["",0],["a",10],[" b",20,true]]'
    assert turn_from({"parts": {"S": stored}}).parts == parts
