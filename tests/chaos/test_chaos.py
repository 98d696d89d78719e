"""A short soak; `make chaos` runs a long one. A seed that fails is run again with --seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley.turns import LEASE_S
from tests.chaos.ledger import MAX_SILENCE_S
from tests.chaos.plan import planned
from tests.chaos.soak import run_soak, table

TURNS, SESSIONS, SEED = 24, 3, 7


@pytest.mark.timeout(240)
def test_nothing_is_lost_doubled_or_endless_whatever_goes_wrong(tmp_path: Path) -> None:
    plan = planned(SEED, TURNS, SESSIONS)
    verdict = run_soak(plan, tmp_path)
    shown = "\n".join([*table(plan, verdict), *verdict.problems])
    print(shown)
    assert verdict.turns == TURNS, shown
    assert verdict.faulty >= TURNS / 2, shown
    assert verdict.whole, shown
    # Other tests share the machine: how long a silence may be is for `make chaos` to judge. Here
    # no turn may be silent for longer than a lease that nobody renews, and the attempt after it:
    # one in some loaded runs is (docs/performance.md), which is a fault whose cause is not known.
    assert verdict.longest_silence_s < LEASE_S + MAX_SILENCE_S, shown


def test_equal_seeds_give_equal_plans() -> None:
    assert planned(3, 40, 4) == planned(3, 40, 4)
    assert planned(3, 40, 4) != planned(4, 40, 4)
