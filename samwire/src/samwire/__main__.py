"""The `samwire` command: AWS on one machine.

samwire start --template template.yaml --parameter-overrides Key=value
samwire validate --template template.yaml
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from samwire.cli.parser import parse


def main(command_line: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    Args:
        command_line: what follows the command's name; None for what this process was given.
    """
    arguments = parse(command_line)
    _forget_the_developers_account()
    try:
        return _run(arguments)
    except KeyboardInterrupt:  # `start` handles it itself, but not while it is imported
        return 130


def _run(arguments: argparse.Namespace) -> int:
    # What serves a template takes more than a second to import, and --help needs none of it.
    if arguments.command == "validate":
        from samwire.cli import validate

        return validate.run(arguments)
    from samwire.cli import start

    return start.run(arguments)


def _forget_the_developers_account() -> None:
    """Keep this process from a real account, and from failing over its profile."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]


if __name__ == "__main__":
    raise SystemExit(main())
