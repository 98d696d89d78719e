"""A tool that takes a tenth of a second."""

from __future__ import annotations

import time
from typing import Any

WORK_S = 0.1


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Say where an order is."""
    time.sleep(WORK_S)
    return {"order": event["order"], "status": "on its way", "depot": "Leeds"}
