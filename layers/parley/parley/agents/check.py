"""Checks the agents' files before they are deployed.

python -m parley.agents.check tools
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from parley.agents.file import AgentFiles
from parley.errors import ConfigurationError


def check_agents(folder: str | None = None) -> list[str]:
    """Read every agent's file, and return their names.

    Args:
        folder: that has the folder `agents`; None for where a function finds it.

    Raises:
        ConfigurationError: a file is invalid; it names the file and the field.
    """
    files = AgentFiles(None if folder is None else [folder])
    for name in files.names:
        files.read(name)
    return files.names


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    if len(arguments) != 1:
        print("usage: python -m parley.agents.check FOLDER", file=sys.stderr)
        return 2
    try:
        names = check_agents(arguments[0])
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{arguments[0]}/agents: {', '.join(names) or 'no agent has a file'}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
