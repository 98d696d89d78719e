"""Finds and reads the deployer's own files: what the folder `tools/` of the repository has.

On Lambda it is a layer, whose content is in /opt. Elsewhere its folder is among those that Python
imports from.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from parley.errors import ConfigurationError

LAYERS = Path("/opt")
"""Where Lambda puts the content of layers ("Packaging your layer content")."""


def list_folders() -> list[Path]:
    """Return the folders where the deployer's files may be. The first that has a file counts."""
    return [*map(Path, sys.path), LAYERS]


def find_deployer_file(name: str) -> Path | None:
    """Return where a file of the deployer's is, by its path in the folder; None if it is not
    there."""
    return next((path for each in list_folders() if (path := each / name).is_file()), None)


def declares_anything(file: Path) -> bool:
    """Return whether there is more in a TOML file than comments. It costs less than to read it."""
    lines = map(bytes.strip, file.read_bytes().splitlines())
    return any(line and not line.startswith(b"#") for line in lines)


def read_toml(file: Path, shown: str) -> dict[str, Any]:
    """Return what a file of the deployer's says.

    Args:
        shown: what the file is called in an error.

    Raises:
        ConfigurationError: it is no TOML.
    """
    import tomllib  # a deployment without such files does not pay for it

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ConfigurationError(f"{shown}: expected text in UTF-8.") from None
    except (tomllib.TOMLDecodeError, RecursionError) as invalid:
        raise ConfigurationError(f"{shown}: it is not TOML: {invalid}.") from None
