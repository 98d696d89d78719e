"""Clients ask after turns by a request that API Gateway says has failed: which turns are ended."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from parley.protocol.messages import Error, Pong, ServerEvent, TurnEnd
from parley.storage.item_codec import TurnAttempt
from tests.unit.door import Door
from tests.unit.memory import own

DEAD, ALIVE = "PJqCFEqHqRcFd0w=", "PJqD-EqHqRc_d0w="


class Asking:
    """A client with a session."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.ref = own(door.ready().session_id)

    def begin(self, owner: str, turn_id: str = "t", attempt: int | None = 1) -> TurnAttempt | None:
        """Have the function begin a turn that a request invokes."""
        return self.door.store.acquire_lease(
            self.ref, turn_id, owner, attempt=attempt, received_at_ms=self.door.now_ms
        )

    def ask(self, turn_id: str = "t", request_id: str = DEAD, **more: Any) -> list[ServerEvent]:
        """Ask after a turn; what comes but the pong."""
        before = len(self.door.posts)
        self.door.send("ping", sent_at=1, turn_id=turn_id, request_id=request_id, **more)
        events = [event for _, _, event in self.door.posts[before:]]
        assert events[-1] == Pong(1)
        return events[:-1]

    def state(self, turn_id: str = "t") -> str | None:
        """What the table says of a turn."""
        turn = self.door.store.get_turn(self.ref, turn_id)
        return None if turn is None else turn.state


@pytest.fixture
def asking(door: Door) -> Asking:
    return Asking(door)


def test_a_turn_that_the_failed_request_ran_is_ended_at_once(asking: Asking) -> None:
    asking.begin(DEAD)
    error, end = asking.ask()
    assert isinstance(error, Error)
    assert isinstance(end, TurnEnd)
    assert (error.code, error.seq, error.turn_id) == ("internal", 0, "t")
    assert (end.seq, end.reason, end.code, end.retryable) == (0, "failed", "internal", True)
    assert not asking.door.store.renew_lease(asking.ref, "t", DEAD), (
        "if it lives after all, it stops"
    )
    assert asking.begin(ALIVE, attempt=1) is None, "the same attempt does not run again"
    again = asking.begin(ALIVE, attempt=2)
    assert again is not None
    assert again.number == 2


def test_a_client_that_asks_again_is_told_again(asking: Asking) -> None:
    asking.begin(DEAD)
    assert asking.ask() == asking.ask()


def test_a_turn_of_another_request_goes_on(asking: Asking) -> None:
    asking.begin(ALIVE)
    assert asking.ask() == []
    assert asking.state() == "running"
    assert asking.door.store.renew_lease(asking.ref, "t", ALIVE)


def test_a_turn_that_has_not_begun_is_not_ended_and_may_begin(asking: Asking) -> None:
    assert asking.ask() == []
    assert asking.state() is None
    assert asking.begin(ALIVE) is not None


def test_an_attempt_that_has_not_begun_is_not_ended_and_may_begin(asking: Asking) -> None:
    asking.begin(DEAD)
    asking.ask()
    assert asking.ask(request_id="other=", attempt=2) == []
    again = asking.begin(ALIVE, attempt=2)
    assert again is not None
    assert again.number == 2


def test_of_two_open_turns_only_the_dead_one_is_ended(asking: Asking) -> None:
    asking.begin(ALIVE, "a")
    asking.begin(DEAD, "b")
    assert asking.ask("a") == []
    assert [getattr(event, "turn_id", None) for event in asking.ask("b")] == ["b", "b"]
    assert (asking.state("a"), asking.state("b")) == ("running", "failed")


def test_a_duplicate_that_died_does_not_end_the_turn_that_it_did_not_get(asking: Asking) -> None:
    asking.begin(ALIVE)
    assert asking.begin(DEAD) is None
    assert asking.ask() == []
    assert asking.state() == "running"


STEPS = ("begin", "asked", "said again")


@pytest.mark.parametrize("order", list(itertools.permutations(STEPS)))
def test_in_whatever_order_a_turn_begins_is_asked_after_and_said_again_it_runs_once(
    asking: Asking, order: tuple[str, ...]
) -> None:
    begun: list[TurnAttempt | None] = []
    steps: dict[str, Callable[[], object]] = {
        "begin": lambda: begun.append(asking.begin(DEAD)),
        "asked": asking.ask,
        "said again": lambda: begun.append(asking.begin(ALIVE)),
    }
    for step in order:
        steps[step]()
    asking.ask()  # the frame that comes last finds what the first one was too early for
    assert sum(attempt is not None for attempt in begun) == 1
    died = order.index("begin") < order.index("said again")
    assert asking.state() == ("failed" if died else "running")


@pytest.mark.parametrize("request_id", ["", "x" * 65, "a b", "a#b", 7])
def test_what_is_no_request_is_refused_by_name(asking: Asking, request_id: object) -> None:
    error = asking.door.refused("ping", sent_at=1, turn_id="t", request_id=request_id)
    assert (error.code, error.field) == ("bad_request", "ping.request_id")
