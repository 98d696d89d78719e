"""Finds the deployer's own files: what the folder `tools/` of the repository has.

On Lambda it is a layer, whose content is in /opt. Elsewhere its folder is among those that Python
imports from.
"""

from __future__ import annotations

import sys
from pathlib import Path

LAYERS = Path("/opt")
"""Where Lambda puts the content of layers ("Packaging your layer content")."""


def find_deployer_file(name: str) -> Path | None:
    """Return where a file of the deployer's is, by its path in the folder; None if it is not
    there."""
    for folder in (*map(Path, sys.path), LAYERS):
        path = folder / name
        if path.is_file():
            return path
    return None


def declares_anything(file: Path) -> bool:
    """Return whether there is more in a TOML file than comments. It costs less than to read it."""
    lines = map(bytes.strip, file.read_bytes().splitlines())
    return any(line and not line.startswith(b"#") for line in lines)
