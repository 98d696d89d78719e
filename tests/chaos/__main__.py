"""`make chaos`: a soak, and what came of it.

PYTHONPATH=samwire/tests python -m tests.chaos \\
  [--turns 500] [--sessions 4] [--seed N] [--failover] [--logs FOLDER]
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from tests.chaos.plan import planned
from tests.chaos.soak import run_soak, table


def main() -> int:
    """Run it; 1 if anything was lost, doubled or endless."""
    parser = argparse.ArgumentParser(description="Conversations under every fault there is.")
    parser.add_argument("--turns", type=int, default=500)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(100_000))
    parser.add_argument("--failover", action="store_true", help="with a second provider each")
    parser.add_argument("--logs", type=Path, help="keep the stack's logs here")
    options = parser.parse_args()
    if options.logs:
        options.logs.mkdir(parents=True, exist_ok=True)
    plan = planned(options.seed, options.turns, options.sessions, failover=options.failover)
    verdict = run_soak(plan, options.logs)
    print("\n".join(table(plan, verdict)))
    for problem in verdict.problems[:20]:
        print(f"  ! {problem}")
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
