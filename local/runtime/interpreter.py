"""Which Python functions run on: the one that runs this."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from local.template.model import Function

OWN = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""This Python, as templates name it."""


def other_runtimes(functions: Iterable[Function]) -> list[str]:
    """A sentence for every runtime that functions ask for and do not get."""
    wanted = {function.runtime for function in functions} - {OWN}
    return [
        f"Functions of {runtime} run on {OWN} here, the Python of this command."
        for runtime in sorted(wanted)
    ]
