"""When a reply may begin before the end of the utterance is sure, in whichever order news comes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.turn.preemption import (
    CONFIRM_AFTER_S,
    LATE_S,
    MAX_TRIES,
    PAUSE_S,
    SETTLED_S,
    STABLE_S,
    Begin,
    Commit,
    Confirm,
    Decision,
    Preemption,
    Signals,
    Void,
)

ASK = "What time is it"
ASKED = "What time is it?"


class Utterance:
    """One utterance, whose news come at given times."""

    def __init__(self, signals: Signals = "pauses") -> None:
        self.preemption = Preemption(signals)
        self.now_s = 0.0
        self.decisions: list[Decision] = []

    def wait(self, seconds: float) -> Utterance:
        """Let time pass, and be asked whenever something is due."""
        until_s = self.now_s + seconds
        while (due_s := self.preemption.due_s) is not None and due_s <= until_s:
            self.now_s = max(self.now_s, due_s)
            self._advance()
        self.now_s = until_s
        return self._advance()

    def partial(self, text: str) -> Utterance:
        self.preemption.note_partial(text, self.now_s)
        return self._advance()

    def pause(self, number: int, chunks: int = 10) -> Utterance:
        self.preemption.note_pause(number, chunks, self.now_s)
        return self._advance()

    def resume(self, number: int) -> Utterance:
        self.preemption.note_resume(number)
        return self._advance()

    def end(self, pause: int | None = None) -> Utterance:
        self.preemption.note_end(pause, self.now_s)
        return self._advance()

    def confirmed(self, pause: int, text: str) -> Utterance:
        self.preemption.note_confirmed(pause, text)
        return self._advance()

    def final(self, text: str) -> Utterance:
        self.preemption.note_final(text)
        return self._advance()

    def likely(self, text: str) -> Utterance:
        self.preemption.note_likely_end(text, self.now_s)
        return self._advance()

    def unlikely(self) -> Utterance:
        self.preemption.note_unlikely_end()
        return self._advance()

    def failed(self) -> Utterance:
        self.preemption.note_failed_try()
        return self._advance()

    def _advance(self) -> Utterance:
        self.decisions += self.preemption.advance(self.now_s)
        return self


def paused(text: str = ASK) -> Utterance:
    """An utterance whose last word has been understood when it pauses."""
    return Utterance().partial(text).wait(SETTLED_S).pause(1)


# --- the client tells of pauses ---------------------------------------------------------


def test_a_settled_transcript_at_a_pause_begins_a_reply() -> None:
    assert paused().decisions == [Begin(ASK)]


def test_a_transcript_that_has_just_changed_is_waited_for() -> None:
    utterance = Utterance().partial(ASK).wait(SETTLED_S / 2).pause(1)
    assert utterance.decisions == []
    assert utterance.wait(SETTLED_S / 2).decisions == [Begin(ASK)]


def test_a_transcript_from_before_the_last_word_is_waited_for_a_while_longer() -> None:
    utterance = Utterance().partial(ASK).wait(PAUSE_S * 2).pause(1)
    assert utterance.decisions == []
    assert utterance.wait(LATE_S).decisions[:1] == [Begin(ASK)]


def test_where_one_transcript_of_a_pause_was_wrong_only_a_confirmed_one_counts() -> None:
    utterance = paused("What dime").partial("What dime is it").wait(CONFIRM_AFTER_S)
    assert utterance.decisions == [Begin("What dime"), Void(), Confirm(1, 10)]
    assert utterance.confirmed(1, ASKED).decisions[3:] == [Begin(ASKED)]


def test_nothing_begins_while_the_user_talks_however_long_nothing_is_understood() -> None:
    assert Utterance().partial(ASK).wait(5).decisions == []


def test_a_pause_before_the_first_word_begins_nothing() -> None:
    assert Utterance().pause(1).wait(CONFIRM_AFTER_S / 2).decisions == []


def test_a_pause_that_lasts_is_confirmed_and_its_end_commits_at_once() -> None:
    utterance = paused().wait(CONFIRM_AFTER_S).confirmed(1, ASKED).wait(0.2).end(1)
    assert utterance.decisions == [Begin(ASK), Confirm(1, 10), Commit(ASKED, hit=True)]


def test_a_short_pause_is_not_confirmed() -> None:
    utterance = paused().wait(CONFIRM_AFTER_S / 2).resume(1).wait(1)
    assert utterance.decisions == [Begin(ASK), Void()]


def test_an_end_waits_for_the_transcript_that_confirms_it() -> None:
    utterance = paused().wait(CONFIRM_AFTER_S).end(1)
    assert utterance.decisions == [Begin(ASK), Confirm(1, 10)]
    assert utterance.confirmed(1, ASKED).decisions[2:] == [Commit(ASKED, hit=True)]


def test_the_final_transcript_commits_where_nothing_is_confirmed() -> None:
    assert paused().end(1).final(ASKED).decisions == [Begin(ASK), Commit(ASKED, hit=True)]


def test_a_reply_to_other_words_is_void() -> None:
    utterance = paused("What time").end(1).final(ASKED)
    assert utterance.decisions == [Begin("What time"), Void(), Commit(ASKED, hit=False)]


def test_a_reply_to_what_another_transcript_confirms_begins_anew() -> None:
    utterance = paused("What dime is it").wait(CONFIRM_AFTER_S).confirmed(1, ASKED)
    assert utterance.decisions[2:] == [Void(), Begin(ASKED)]
    assert utterance.end(1).decisions[4:] == [Commit(ASKED, hit=True)]


def test_a_confirmed_transcript_begins_a_reply_where_there_was_no_partial_one() -> None:
    utterance = Utterance().pause(1).wait(CONFIRM_AFTER_S).confirmed(1, ASKED)
    assert utterance.decisions == [Confirm(1, 10), Begin(ASKED)]


def test_a_user_who_goes_on_makes_it_void() -> None:
    utterance = paused("What time").resume(1).partial(ASK).wait(SETTLED_S).pause(2).end(2)
    assert utterance.final(ASKED).decisions == [
        Begin("What time"),
        Void(),
        Begin(ASK),
        Commit(ASKED, hit=True),
    ]


def test_a_pause_whose_end_was_never_told_makes_it_void_too() -> None:
    assert paused("What time").pause(2).decisions[:2] == [Begin("What time"), Void()]


def test_words_that_come_after_the_pause_make_it_void() -> None:
    assert paused("What time").partial(ASK).decisions == [Begin("What time"), Void()]


def test_what_was_known_before_the_user_went_on_begins_nothing() -> None:
    utterance = paused("What time").resume(1).pause(2).wait(CONFIRM_AFTER_S / 2)
    assert utterance.decisions == [Begin("What time"), Void()]
    utterance.wait(CONFIRM_AFTER_S).confirmed(2, "What time?")
    assert utterance.decisions[2:] == [Confirm(2, 10), Begin("What time?")], "it was a cough"


def test_what_was_confirmed_of_an_earlier_pause_ends_nothing() -> None:
    utterance = paused("What time").wait(CONFIRM_AFTER_S).resume(1).confirmed(1, "What time.")
    utterance.partial(ASK).wait(SETTLED_S).pause(2).end(2)
    assert Commit not in map(type, utterance.decisions)


def test_words_after_what_was_confirmed_leave_it_to_the_final_transcript() -> None:
    utterance = paused().wait(CONFIRM_AFTER_S).confirmed(1, ASKED).partial("What time is it now")
    utterance.end(1)
    assert Commit not in map(type, utterance.decisions)
    now = utterance.final("What time is it now?").decisions[-1]
    assert isinstance(now, Commit)
    assert now.text == "What time is it now?"


def test_no_words_confirm_nothing() -> None:
    utterance = paused().wait(CONFIRM_AFTER_S).confirmed(1, "").end(1)
    assert utterance.decisions == [Begin(ASK), Confirm(1, 10)]
    assert utterance.final(ASKED).decisions[-1] == Commit(ASKED, hit=True)


def test_two_tries_are_enough() -> None:
    utterance = paused("a").resume(1).partial("a b").wait(SETTLED_S).pause(2).resume(2)
    utterance.partial("a b c").wait(SETTLED_S).pause(3).wait(2)
    assert [d for d in utterance.decisions if isinstance(d, Begin)] == [Begin("a"), Begin("a b")]
    assert utterance.preemption.tries == MAX_TRIES


def test_a_provider_that_fails_is_asked_ahead_no_more() -> None:
    utterance = paused().failed().wait(1).end(1).final(ASKED)
    decisions = [d for d in utterance.decisions if not isinstance(d, Confirm)]
    assert decisions == [Begin(ASK), Void(), Commit(ASKED, hit=False)]


# --- messages that overtake each other --------------------------------------------------


def test_an_end_that_names_a_pause_nobody_has_told_of_makes_it_void() -> None:
    utterance = paused("What time").end(2)
    assert utterance.decisions == [Begin("What time"), Void()]


def test_a_resume_that_is_late_changes_nothing() -> None:
    utterance = paused("What").resume(1).partial(ASK).wait(SETTLED_S).pause(2).resume(1)
    assert utterance.decisions == [Begin("What"), Void(), Begin(ASK)]


def test_a_pause_that_comes_after_the_end_changes_nothing() -> None:
    assert paused().end(1).pause(2).resume(2).decisions == [Begin(ASK)]


def test_the_same_news_twice_changes_nothing() -> None:
    utterance = paused().pause(1).partial(ASKED).pause(1).end(1).end(None)
    assert utterance.decisions == [Begin(ASK)]


# --- nobody tells of pauses -------------------------------------------------------------


def test_a_transcript_that_does_not_change_begins_a_reply() -> None:
    utterance = Utterance("partials").partial(ASK).wait(STABLE_S * 0.9)
    assert utterance.decisions == []
    assert utterance.wait(STABLE_S).end().final(ASKED).decisions == [
        Begin(ASK),
        Commit(ASKED, hit=True),
    ]


def test_after_the_end_a_settled_transcript_is_enough() -> None:
    utterance = Utterance("partials").partial(ASK).end()
    assert utterance.decisions == []
    assert utterance.wait(SETTLED_S).decisions == [Begin(ASK)]


# --- the transcriber tells --------------------------------------------------------------


def test_the_transcribers_own_signs_begin_and_void_a_reply() -> None:
    utterance = Utterance("transcriber").partial("What time").wait(1).likely("What time.")
    utterance.unlikely().partial(ASK).likely(ASKED).final(ASKED)
    assert utterance.decisions == [
        Begin("What time."),
        Void(),
        Begin(ASKED),
        Commit(ASKED, hit=True),
    ]


def test_a_likely_end_is_forgotten_when_more_words_come() -> None:
    # As of a stream that broke off: another one hears all of it again.
    utterance = Utterance("transcriber").partial(ASK).likely(ASK)
    utterance.partial("What").partial("What time").partial(ASK)
    assert utterance.decisions == [Begin(ASK), Void()]
    assert utterance.likely(ASKED).final(ASKED).decisions[2:] == [
        Begin(ASKED),
        Commit(ASKED, hit=True),
    ]


def test_switched_off_nothing_begins() -> None:
    utterance = Utterance("none").partial(ASK).wait(1).pause(1).wait(1).likely(ASK).end(1).wait(1)
    assert utterance.decisions == []
    assert utterance.final(ASKED).decisions == [Commit(ASKED, hit=False)]
    assert utterance.preemption.due_s is None


# --- whatever happens -------------------------------------------------------------------

TEXTS = st.sampled_from(["", "a", "A.", "a b", "a b c", "d"])
PAUSES = st.integers(1, 4)
NEWS: dict[str, st.SearchStrategy[tuple[Any, ...]]] = {
    "partial": st.tuples(TEXTS),
    "pause": st.tuples(PAUSES),
    "resume": st.tuples(PAUSES),
    "confirmed": st.tuples(PAUSES, TEXTS),
    "likely": st.tuples(TEXTS),
    "unlikely": st.just(()),
    "failed": st.just(()),
    "wait": st.tuples(st.sampled_from([0.05, 0.1, 0.2, 0.4])),
    "end": st.tuples(st.none() | PAUSES),
}
HAPPENS = st.lists(
    st.sampled_from(sorted(NEWS)).flatmap(lambda name: st.tuples(st.just(name), NEWS[name])),
    max_size=25,
)


@given(
    signals=st.sampled_from(["none", "partials", "pauses", "transcriber"]),
    happens=HAPPENS,
    said=TEXTS,
)
@pytest.mark.parametrize("marks", [".", ""])
def test_whatever_happens_only_a_reply_to_what_was_said_is_heard(
    marks: str, signals: Signals, happens: list[tuple[str, tuple[Any, ...]]], said: str
) -> None:
    utterance = Utterance(signals)
    for name, arguments in happens:
        getattr(utterance, name)(*arguments)
    decisions = utterance.final(said + marks).decisions
    commits = [d for d in decisions if isinstance(d, Commit)]
    assert len(commits) == 1
    assert decisions[-1] == commits[0]
    running: str | None = None
    begun = 0
    for decision in decisions:
        if isinstance(decision, Begin):
            assert running is None
            assert decision.text.strip()
            running, begun = decision.text, begun + 1
        elif isinstance(decision, Void):
            assert running is not None
            running = None
    assert begun == utterance.preemption.tries <= MAX_TRIES
    commit = commits[0]
    assert commit.hit == (running is not None)
    if running is not None:
        assert running.rstrip(".").lower() == commit.text.rstrip(".").lower()
