"""`python -m dev`, which `make run` runs.

Nothing but the standard library is imported before the port is known to be free.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from dev.choice import PAIR, PAIRS, SETTINGS, ChoiceRefused, check_choice
from dev.port import DEFAULT_PORT, PortRefused, check_port, port_number
from dev.steps import wrap

LOCAL = Path(__file__).resolve().parent.parent / ".local"
LOGS, DATA = LOCAL / "logs", LOCAL / "data"


def main(command_line: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = _parser().parse_args(command_line)
    try:
        return _run(arguments)
    except KeyboardInterrupt:  # `run` handles it itself, but not while it is imported
        return 130


def _run(arguments: argparse.Namespace) -> int:
    try:
        check_choice({name: getattr(arguments, name.lower()) or "" for name in (*SETTINGS, PAIR)})
        check_port(arguments.port)
    except (ChoiceRefused, PortRefused) as refusal:
        print(wrap(str(refusal)), file=sys.stderr)
        return 2
    if importlib.util.find_spec("parley_standins") is None:
        print("What this needs is not installed: make run installs it.", file=sys.stderr)
        return 2
    from dev import run

    return run.main(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dev",
        description="Hold a spoken conversation on this machine, then serve the page.",
    )
    parser.add_argument(
        "--port",
        type=port_number,
        default=DEFAULT_PORT,
        metavar="N",
        help=f"of API and page; 0 for any (default {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--demo",
        choices=("yes", "no"),
        help="hold a conversation at the start (default: only where it costs nothing)",
    )
    parser.add_argument(
        "--no-demo", dest="demo", action="store_const", const="no", help="the same as --demo no"
    )
    for name, does in (("voice", "speaks"), ("mind", "replies"), ("ears", "transcribes")):
        parser.add_argument(
            f"--{name}", metavar="NAME", help=f"who {does}, as the template names providers"
        )
    parser.add_argument(
        f"--{PAIR.lower()}",
        metavar="NAME",
        help=f"which stand-ins speak and hear: {' or '.join(PAIRS)} (default: {PAIRS[0]})",
    )
    parser.add_argument("--once", action="store_true", help="stop after the conversation")
    parser.add_argument(
        "--logs", type=Path, default=LOGS, metavar="DIR", help="for what emulator and stand-ins log"
    )
    parser.add_argument(
        "--db-path", type=Path, default=DATA, metavar="DIR", help="where sessions are kept"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
