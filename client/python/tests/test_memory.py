"""What lives of the client's objects after many turns: no more than after a few."""

from __future__ import annotations

import gc
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from soak import one_turn, soak_conversation

WARM_UP = 10
TURNS = 20
"""After these, among them spoken ones, three that are interrupted and two that lose their
connection."""
IN_FLIGHT = 1
"""Of each kind of object: the last event that came may still be held."""
IN_FLIGHT_BYTES = 10_000
"""That event's sound; one turn has a dozen times as much."""


@dataclass(frozen=True)
class Living:
    """The client's objects by type, and the bytes that they hold."""

    objects: Counter[str]
    bytes: int


def living() -> Living:
    """What garbage collection leaves."""
    gc.collect()
    own = [each for each in gc.get_objects() if _package(each) == "parley_client"]
    held = {id(part): len(part) for each in own for part in _bytes_of(each)}
    return Living(Counter(type(each).__qualname__ for each in own), sum(held.values()))


def _package(thing: object) -> str:
    module = getattr(type(thing), "__module__", None)  # some types of C have none
    return module.partition(".")[0] if isinstance(module, str) else ""


def _bytes_of(holder: object) -> Iterator[bytes | bytearray]:
    """What an object holds itself or in its collections."""
    for part in gc.get_referents(holder):
        if isinstance(part, bytes | bytearray):
            yield part
        elif type(part) in (dict, list, tuple, set, deque):
            yield from _bytes_of(part)


async def grown(warm_up: int, turns: int, *, keep: bool = False) -> tuple[Counter[str], int]:
    """How many objects of each type, and how many bytes, the turns have left.

    Args:
        warm_up: so many turns are held before it counts.
        turns: so many count.
        keep: hold on to the turns, as a client that leaks would.
    """
    kept = []
    async with soak_conversation() as conversation:
        for number in range(1, warm_up + turns + 1):
            turn, _ = await one_turn(conversation, number)
            if keep:
                kept.append(turn)
            if number == warm_up:
                before = living()
        after = living()
    return after.objects - before.objects, after.bytes - before.bytes


async def test_turns_that_are_over_leave_nothing() -> None:
    objects, held = await grown(WARM_UP, TURNS)
    assert all(count <= IN_FLIGHT for count in objects.values()), objects
    assert held <= IN_FLIGHT_BYTES


async def test_a_client_that_kept_its_turns_would_be_noticed() -> None:
    objects, held = await grown(1, 5, keep=True)
    assert objects["Turn"] == 5
    assert held > 5 * IN_FLIGHT_BYTES
