"""The client's event order: gapless, each once, and only of the latest attempt."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from parley_client.event_order import MAX_NAMED, Arrival, EventOrder, TurnOrder
from parley_client.events import TurnEvent
from parley_client.messages import Error, Metrics, ReplyText, TurnEnd


@dataclass(frozen=True)
class Numbered:
    seq: int | None


def accept(*numbers: int) -> list[int | None]:
    order: EventOrder[Numbered] = EventOrder()
    return [event.seq for number in numbers for event in order.accept(Numbered(number))]


@pytest.mark.parametrize("arrival", list(itertools.permutations([1, 2, 3, 4])))
def test_every_order_of_arrival_is_delivered_in_order(arrival: tuple[int, ...]) -> None:
    assert accept(*arrival) == [1, 2, 3, 4]


def test_duplicates_are_dropped_whether_delivered_or_waiting() -> None:
    assert accept(1, 1, 3, 3, 2, 2, 3) == [1, 2, 3]


def test_nothing_is_delivered_across_a_gap() -> None:
    order: EventOrder[Numbered] = EventOrder()
    assert order.accept(Numbered(2)) == []
    assert order.accept(Numbered(5)) == []
    assert order.missing == [1, 3, 4]
    order.accept(Numbered(1))
    assert order.delivered == 2
    assert order.missing == [3, 4]


def test_an_absurd_number_does_not_make_an_absurd_list() -> None:
    order: EventOrder[Numbered] = EventOrder()
    order.accept(Numbered(2**53))
    assert order.missing == list(range(1, MAX_NAMED + 1))


# --- over attempts ----------------------------------------------------------------


def text(seq: int, attempt: int = 1) -> TurnEvent:
    return ReplyText("t", seq, f"{attempt}.{seq} ", attempt=attempt)


def end(seq: int, attempt: int = 1) -> TurnEvent:
    return TurnEnd("t", seq, "completed", "", Metrics(), attempt=attempt)


def test_a_newer_attempt_starts_from_one_and_the_older_is_dropped() -> None:
    order = TurnOrder()
    assert order.accept(text(1)) == Arrival((text(1),))
    assert order.accept(text(2, 2)) == Arrival((), restarted=True)
    assert order.accept(text(2)) == Arrival()
    assert order.accept(text(1, 2)) == Arrival((text(1, 2), text(2, 2)))
    assert (order.attempt, order.delivered) == (2, 2)


def test_after_the_end_nothing_of_the_attempt_is_delivered() -> None:
    order = TurnOrder()
    order.accept(end(1))
    assert order.accept(text(2)) == Arrival()
    assert order.accept(end(1)) == Arrival()
    assert order.ended


def test_an_end_that_is_not_numbered_comes_instead_of_what_is_missing() -> None:
    order = TurnOrder()
    order.accept(text(3))
    assert order.missing == [1, 2]
    assert order.accept(end(0)) == Arrival((end(0),))
    assert order.missing == []
    assert order.accept(text(1)) == Arrival()


def test_an_end_of_an_older_attempt_does_not_end_the_newer() -> None:
    order = TurnOrder()
    order.begin(2)
    assert order.accept(end(0, 1)) == Arrival()
    assert not order.ended


def why(attempt: int = 1) -> TurnEvent:
    return Error("internal", "It broke off.", True, "t", 0, attempt=attempt)


def test_why_an_attempt_broke_off_is_told_once() -> None:
    order = TurnOrder()
    order.accept(text(1))
    assert order.accept(why()) == Arrival((why(),))
    assert order.accept(why()) == Arrival()
    assert order.accept(end(0)) == Arrival((end(0),))
    assert order.accept(why()) == Arrival()


def test_why_an_older_attempt_broke_off_is_not_told() -> None:
    order = TurnOrder()
    order.begin(2)
    assert order.accept(why(1)) == Arrival()
    assert order.accept(why(2)) == Arrival((why(2),))
    order.begin(3)
    assert order.accept(why(3)) == Arrival((why(3),))


class LossyNetwork(RuleBasedStateMachine):
    """A server that sends a turn's events, attempt after attempt, and a network that
    delivers them late, twice or not at all, until a replay from what was received."""

    def __init__(self) -> None:
        super().__init__()
        self.order = TurnOrder()
        self.sent: list[TurnEvent] = []
        self.attempt = 1
        self.count = 0
        self.over = False
        self.delivered: list[TurnEvent] = []

    def arrive(self, event: TurnEvent) -> None:
        arrival = self.order.accept(event)
        if arrival.restarted:
            self.delivered = []
        self.delivered += arrival.events

    @precondition(lambda self: not self.over)
    @rule(arrives=st.booleans())
    def the_server_says_more(self, arrives: bool) -> None:
        self.count += 1
        self.sent.append(text(self.count, self.attempt))
        if arrives:
            self.arrive(self.sent[-1])

    @precondition(lambda self: not self.over)
    @rule(arrives=st.booleans(), died=st.booleans())
    def the_attempt_ends(self, arrives: bool, died: bool) -> None:
        self.count += 1
        self.over = True
        self.sent.append(end(0 if died else self.count, self.attempt))
        if arrives:
            self.arrive(self.sent[-1])

    @precondition(lambda self: self.over)
    @rule(known=st.booleans())
    def the_turn_runs_again(self, known: bool) -> None:
        self.attempt += 1
        self.count = 0
        self.over = False
        if known:  # this client asked for it; else it learns of it by the first event
            self.order.begin(self.attempt)
            self.delivered = []

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def something_arrives_late_or_twice(self, data: st.DataObject) -> None:
        self.arrive(data.draw(st.sampled_from(self.sent)))

    @rule()
    def the_client_comes_back(self) -> None:
        attempt, seq = self.order.attempt, self.order.delivered
        for event in self.sent:
            assert event.seq is not None
            if event.attempt > attempt or (
                event.attempt == attempt and (event.seq > seq or event.seq == 0)
            ):
                self.arrive(event)

    @invariant()
    def what_is_delivered_is_of_one_attempt_in_order_and_without_a_gap(self) -> None:
        assert {event.attempt for event in self.delivered} <= {self.order.attempt}
        seqs = [event.seq for event in self.delivered if event.seq != 0]
        assert seqs == list(range(1, len(seqs) + 1)) == list(range(1, self.order.delivered + 1))

    @invariant()
    def nothing_follows_an_end(self) -> None:
        ends = [event for event in self.delivered if isinstance(event, TurnEnd)]
        assert ends == ([self.delivered[-1]] if self.order.ended else [])

    def teardown(self) -> None:
        self.the_client_comes_back()
        latest = [event for event in self.sent if event.attempt == self.attempt]
        if latest and not (self.order.ended and self.delivered[-1].seq == 0):
            assert self.delivered == latest


TestLossyNetwork = LossyNetwork.TestCase
TestLossyNetwork.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
