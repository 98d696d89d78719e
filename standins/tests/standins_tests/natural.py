"""Where the natural pair is, for the tests that need it, and why not if it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from parley_standins.engines import Unavailable, check_hibari, check_moonshine

LOCAL = Path(__file__).resolve().parents[3] / ".local" / "models"
WEIGHTS = Path(os.environ.get("MOONSHINE_WEIGHTS") or next(LOCAL.glob("moonshine-*"), LOCAL))


def why_not() -> str:
    """Return what is missing; empty if nothing is."""
    try:
        check_hibari()
        check_moonshine(WEIGHTS)
    except Unavailable as why:
        return str(why)
    return ""


# A machine may not have them: the weights are fetched apart (`make models`), for some platforms.
_MISSING = why_not()
needs_natural = pytest.mark.skipif(bool(_MISSING), reason=_MISSING or "nothing is missing")
