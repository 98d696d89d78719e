"""Whoever asks for a turn, however often and in whatever order: an attempt runs once."""

from __future__ import annotations

import itertools
from typing import Any
from unittest import mock

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from parley.storage import turns as turns_module
from parley.storage.table import Table
from parley.storage.turns import LEASE_S, TurnStore
from tests.unit.memory import own

_names = itertools.count()


class Claims(RuleBasedStateMachine):
    """One turn, many invocations, and a clock that the test moves."""

    table: Table

    def __init__(self) -> None:
        super().__init__()
        self.turns = TurnStore(self.table)
        self.now_ms = 1_700_000_000_000
        self.clock = mock.patch.object(turns_module, "now_ms", self._now_ms)
        self.clock.start()
        self.owner: str | None = None
        self.lease_until_ms = 0
        self.state = "none"
        self.attempt = 0
        self.failed_at_ms = 0
        self.looked = False

    def _now_ms(self) -> int:
        return self.now_ms

    @initialize()
    def begin(self) -> None:
        self.session = own(f"session-{next(_names)}")

    @rule(seconds=st.sampled_from([0.001, 1.0, LEASE_S / 2, LEASE_S + 1]))
    def time_passes(self, seconds: float) -> None:
        self.now_ms += max(1, round(seconds * 1000))
        self.looked = True  # the table does not know of it

    @rule(asked=st.sampled_from([None, None, 1, 2, 3]), stale=st.booleans())
    def ask(self, asked: int | None, stale: bool) -> None:
        received = self.failed_at_ms - 1 if stale and self.failed_at_ms else self.now_ms
        owner = f"invocation-{next(_names)}"
        claim = self.turns.acquire_lease(
            self.session, "t", owner, attempt=asked, received_at_ms=received
        )
        dead = self.state == "running" and self.lease_until_ms < self.now_ms
        if self.state == "none":
            wanted = True
        elif asked is None:
            wanted = dead or (self.state == "failed" and self.failed_at_ms < received)
        else:
            wanted = asked > self.attempt
        assert (claim is not None) == wanted
        if claim is None:
            return
        assert claim.number > self.attempt
        if asked is not None:
            assert claim.number == asked
        self.attempt = claim.number
        self.owner, self.state = owner, "running"
        self.failed_at_ms = 0
        self.lease_until_ms = self.now_ms + round(LEASE_S * 1000)

    @rule(mine=st.booleans())
    def renew(self, mine: bool) -> None:
        owner = self.owner if mine and self.owner else "somebody else"
        renewed = self.turns.renew_lease(self.session, "t", owner)
        assert renewed == (self.state not in ("none", "failed") and owner == self.owner)
        if renewed:
            self.lease_until_ms = self.now_ms + round(LEASE_S * 1000)

    @rule(reason=st.sampled_from(["completed", "interrupted", "failed"]), mine=st.booleans())
    def finish(self, reason: Any, mine: bool) -> None:
        owner = self.owner if mine and self.owner else "somebody else"
        finished = self.turns.finish_turn(self.session, "t", owner, reason=reason)
        done_before = self.state == reason and owner == self.owner  # a repetition of that
        assert finished == ((self.state == "running" and owner == self.owner) or done_before)
        if finished and not done_before:
            self.state = reason
            self.failed_at_ms = self.now_ms if reason == "failed" else 0

    @rule(known=st.booleans(), waited_for=st.sampled_from([1, 1, 2, 3]))
    def die(self, known: bool, waited_for: int) -> None:
        owner = self.owner if known else None
        ended = self.turns.fail_turn(self.session, "t", owner, waited_for)
        unclaimed = self.state == "none" or waited_for > self.attempt
        dead = self.state not in ("none", "failed") and (
            owner is not None or self.lease_until_ms < self.now_ms
        )
        assert (ended is not None) == (dead or unclaimed)
        if ended is not None:
            if unclaimed:
                assert ended.number == waited_for
                self.attempt = ended.number
                self.owner = owner  # whoever ran an attempt before has nothing left to end
            self.state, self.failed_at_ms = "failed", self.now_ms

    @invariant()
    def the_table_has_the_latest_attempt(self) -> None:
        looked, self.looked = self.looked, False
        if looked or not hasattr(self, "session"):
            return
        turn = self.turns.get_turn(self.session, "t")
        assert (turn.attempt.number if turn is not None else 0) == self.attempt

    def teardown(self) -> None:
        self.clock.stop()


SETTINGS = settings(
    max_examples=10,  # of 25 steps: a step is two requests to the table, some 10 ms
    stateful_step_count=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a step takes too long to shrink
)


def test_an_attempt_runs_once(table: Table) -> None:
    Claims.table = table  # for all examples: each has a session of its own
    run_state_machine_as_test(Claims, settings=SETTINGS)
