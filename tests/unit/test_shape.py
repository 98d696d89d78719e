"""What is refused for its shape is refused soon, however long it is."""

from __future__ import annotations

import json
import time

import pytest

from parley.http import MAX_BODY_BYTES
from parley.shape import MAX_VALUES, Misshapen, check_shape


def filled(one: str) -> str:
    """An object of the largest body, with as many of these as fit."""
    return "{" + ",".join([one] * ((MAX_BODY_BYTES - 2) // (len(one) + 1))) + "}"


def numbered_then_twice() -> str:
    """An object of 400 KB, whose last name alone it has twice."""
    names = [*(f"{n:x}" for n in range(50_000)), "z", "z"]
    return "{" + ",".join(f'"{name}":0' for name in names) + "}"


@pytest.mark.parametrize(
    "text",
    [numbered_then_twice(), filled('"a":0'), filled('"":{"a":0,"b":0}')],
    ids=["all but one different", "all the same", "objects"],
)
def test_an_object_with_many_names_is_refused_within_a_second(text: str) -> None:
    assert min(refused_after_s(text) for _ in range(3)) < 1, "whatever else the machine does"


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
