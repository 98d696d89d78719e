"""`make chaos`: a soak, and what came of it. Then short ones with a mistake each, to be found.

PYTHONPATH=samwire/tests python -m tests.chaos \\
  [--turns 500] [--sessions 4] [--seed N] [--tools 0.4] [--failover] [--logs FOLDER]
PYTHONPATH=samwire/tests python -m tests.chaos --mistakes [--seed N]
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from tests.chaos.plan import planned, planned_mistake
from tests.chaos.soak import run_soak, table
from tests.chaos.tool_plan import MISTAKES

MISTAKEN_TURNS = 16


def main() -> int:
    """Run it; 1 if anything was lost, doubled or endless, or if a mistake was not found."""
    parser = argparse.ArgumentParser(description="Conversations under every fault there is.")
    parser.add_argument("--turns", type=int, default=500)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(100_000))
    parser.add_argument("--tools", type=float, default=0.4, help="share of turns that call tools")
    parser.add_argument("--failover", action="store_true", help="with a second provider each")
    parser.add_argument("--logs", type=Path, help="keep the stack's logs here")
    parser.add_argument("--mistakes", action="store_true", help="whether mistakes are found")
    options = parser.parse_args()
    if options.mistakes:
        return find_mistakes(options.seed, options.sessions)
    if options.logs:
        options.logs.mkdir(parents=True, exist_ok=True)
    plan = planned(
        options.seed,
        options.turns,
        options.sessions,
        failover=options.failover,
        tools=options.tools,
    )
    verdict = run_soak(plan, options.logs)
    print("\n".join(table(plan, verdict)))
    for problem in [*verdict.problems[:20], *verdict.tools.problems[:20]]:
        print(f"  ! {problem}")
    return 0 if verdict.good else 1


def find_mistakes(seed: int, sessions: int) -> int:
    """Have each mistake made in the turns' code; 1 if its soak is good, or the one without is
    not."""
    missed = 0
    for name in MISTAKES:
        right, wrong = (
            run_soak(planned_mistake(seed, MISTAKEN_TURNS, sessions, name, made=made))
            for made in (False, True)
        )
        found = right.good and wrong.tools.doubled > 0 and not wrong.good
        missed += not found
        print(
            f"{name}, seed {seed}, {MISTAKEN_TURNS} turns: {right.tools.asked} effects asked for, "
            f"{right.tools.effects} done, {right.tools.doubled} doubled; with the mistake "
            f"{wrong.tools.effects} done, {wrong.tools.doubled} doubled"
            f"{'' if found else '  ! not found'}"
        )
        for problem in [*right.problems, *right.tools.problems]:
            print(f"  ! {problem}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
