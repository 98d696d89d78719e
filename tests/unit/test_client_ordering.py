"""The client's event order: gapless, each once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from parley_client.ordering import MAX_NAMED, EventOrder


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
