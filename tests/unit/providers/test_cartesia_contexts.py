"""When a context is left, and what of a reply it still owes."""

from __future__ import annotations

from parley.providers.cartesia.contexts import STALE_S, SpeechContext, Submission


def context(*texts: str) -> SpeechContext:
    made = SpeechContext("one", 0.0)
    for text in texts:
        made.add(Submission(text))
    return made


def texts(submissions: list[Submission]) -> list[str]:
    return [submission.text for submission in submissions]


def test_a_context_that_owes_audio_is_never_stale() -> None:
    one = context("a", "b")
    one.note_audio(1.0)
    one.note_flush(1, 1.0)
    assert not one.is_stale(100.0)


def test_a_context_that_has_answered_is_left_before_it_dies() -> None:
    one = context("a")
    one.note_audio(1.0)
    one.note_flush(1, 1.0)
    assert not one.is_stale(1.0 + STALE_S * 0.9)
    assert one.is_stale(1.0 + STALE_S)
    assert STALE_S < 1.0


def test_a_new_context_is_not_stale() -> None:
    assert not context().is_stale(100.0)


def test_a_context_that_the_service_has_ended_is_stale() -> None:
    one = context("a")
    one.note_done()
    assert one.is_stale(0.0)


def test_a_context_whose_flushes_are_not_told_is_never_stale() -> None:
    one = context("a")
    one.note_audio(1.0)
    assert not one.is_stale(100.0)


def test_a_flush_that_is_told_twice_answers_once() -> None:
    one = context("a", "b")
    one.note_audio(1.0)
    assert [one.note_flush(1, 1.0), one.note_flush(1, 1.0), one.note_flush(2, 1.0)] == [1, 0, 1]
    assert one.is_idle


def test_a_flush_without_an_id_counts() -> None:
    one = context("a", "b")
    assert [one.note_flush(None, 1.0) for _ in range(3)] == [1, 1, 0]


def test_a_flush_ends_all_clauses_of_its_submission() -> None:
    one = SpeechContext("one", 0.0)
    one.add(Submission("… a", clauses=2))
    assert one.note_flush(1, 0.0) == 2


def test_the_end_of_a_context_ends_what_was_not_told() -> None:
    one = context("a", "b", "c")
    one.note_flush(1, 0.0)
    assert one.note_done() == 2
    assert one.note_done() == 0


def test_what_comes_behind_the_sounding_submission_has_not_begun() -> None:
    one = context("a", "b", "c")
    one.note_audio(1.0)
    one.note_flush(1, 1.0)
    one.note_audio(1.1)
    assert texts(one.take_unbegun()) == ["c"]
    assert one.breaks_off(2.0)


def test_what_was_sent_after_the_last_flush_has_not_begun() -> None:
    one = context("a")
    one.note_audio(1.0)
    one.note_flush(1, 1.0)
    one.add(Submission("b"))
    assert texts(one.take_unbegun()) == ["b"]
    assert not one.breaks_off(1.0)


def test_without_flushes_only_what_was_sent_after_the_last_audio_has_not_begun() -> None:
    one = context("a", "b")
    one.note_audio(1.0)
    one.add(Submission("c"))
    assert texts(one.take_unbegun()) == ["c"]
    assert one.breaks_off(1.0 + STALE_S * 0.9)
    assert not one.breaks_off(1.0 + STALE_S)


def test_nothing_has_begun_before_the_first_audio() -> None:
    one = context("a", "b")
    assert not one.has_sounded
    assert texts(one.take_unbegun()) == ["a", "b"]
