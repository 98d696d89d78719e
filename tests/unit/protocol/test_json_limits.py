"""What is refused for its shape is refused soon, however long it is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from parley.protocol.json_limits import MAX_VALUES, Misshapen, check_shape

FEW = 2_000


def numbered_then_twice(count: int) -> str:
    """An object whose last name alone it has twice."""
    names = [*(f"{n:x}" for n in range(count)), "z", "z"]
    return "{" + ",".join(f'"{name}":0' for name in names) + "}"


def filled(one: str) -> Callable[[int], str]:
    """Makes objects of so many of these."""
    return lambda count: "{" + ",".join([one] * count) + "}"


@pytest.mark.parametrize(
    "text",
    [numbered_then_twice, filled('"a":0'), filled('"":{"a":0,"b":0}')],
    ids=["all but one different", "all the same", "objects"],
)
def test_an_object_with_many_names_is_refused_in_a_time_that_grows_as_it_does(
    text: Callable[[int], str],
) -> None:
    """The time of four times as many: 4 times as long, were each name compared with all, 16."""
    few, many = text(FEW), text(4 * FEW)
    times = [(refused_after_s(few), refused_after_s(many)) for _ in range(5)]
    assert min(long for _, long in times) < 9 * min(short for short, _ in times), times


def refused_after_s(text: str) -> float:
    began = time.thread_time()
    with pytest.raises(Misshapen, match=f"more than {MAX_VALUES} values"):
        check_shape(text)
    return time.thread_time() - began


def test_a_name_that_is_there_twice_is_named() -> None:
    names = [f"k{n}" for n in range(MAX_VALUES - 1)]
    text = "{" + ",".join(f'"{name}":0' for name in [*names, "k7"]) + "}"
    with pytest.raises(Misshapen, match="'k7' twice"):
        check_shape(text)


def test_as_many_values_as_may_be_are_taken() -> None:
    check_shape(json.dumps({f"k{n}": n for n in range(MAX_VALUES)}))
