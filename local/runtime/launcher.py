"""What an environment's process runs: AWS's own runtime client, tied to its parent's life.

python -m local.runtime.launcher PARENT_PID HANDLER
"""

from __future__ import annotations

import sys

from local.file_limit import limit_the_function
from local.lifeline import end_with_parent


def main() -> None:
    """Run `awslambdaric` until killed."""
    end_with_parent(int(sys.argv[1]))
    limit_the_function()
    from awslambdaric.__main__ import main as run

    run(["awslambdaric", sys.argv[2]])


if __name__ == "__main__":
    main()
