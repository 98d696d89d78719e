"""Says where the command `local` went; for one release.

It is part of the stand-ins' distribution: who had `local` has a checkout of Parley. The emulator
is a distribution of its own, and takes no module of this name.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Say it; returns the exit code of a mistake."""
    print(
        "local has been split up: the emulator is `samwire start`, the stand-ins are "
        "`parley-standins`, and the conversation on this machine is `make run`.",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
