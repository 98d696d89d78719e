"""The turn's handler in a soak: marks who runs which turn, and stands still where that is planned.

It lies beside the soak's file of tools, in the layer that only the turns' functions have.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from pathlib import Path
from typing import Any

from parley.storage.rounds import RoundStore

app: Any = importlib.import_module("app")  # the turn's own handler
SETTINGS = json.loads((Path(__file__).parent / "soak.json").read_text())
MARKS = Path(SETTINGS["marks"])
PAUSES = Path(SETTINGS["pauses"])

RECORDED_S = 0.2
"""How long a record takes at most, on a machine that is not too busy."""

record_round = RoundStore.record_round


def record_late(
    self: RoundStore, ref: Any, turn_id: str, started_ms: int, owner: str, attempt: int, *rest: Any
) -> Any:
    """Stand still before a round is recorded, as a function does that Lambda gives no time."""
    pause = PAUSES / turn_id
    if attempt == 1 and pause.is_file():
        wait_s = int(pause.read_text()) / 1000
        pause.unlink()
        # All of it stands still, also what would hear that another attempt has begun. The record is
        # what goes on first: nothing but its own fence stands before it.
        app.runner._loop.call_soon_threadsafe(time.sleep, wait_s)
        time.sleep(wait_s - RECORDED_S)
    return record_round(self, ref, turn_id, started_ms, owner, attempt, *rest)


setattr(RoundStore, "record_round", record_late)  # noqa: B010  # with any arguments
importlib.import_module("soak_mutations").apply(SETTINGS["mutation"])


def handler(event: dict[str, Any], context: Any) -> Any:
    """Run the turn."""
    asked = json.loads(event["body"]) if "body" in event else event
    mark = MARKS / f"{asked['turn_id']}.{context.aws_request_id}"
    mark.write_text(str(os.getpid()))  # stays if the function is killed
    try:
        return app.handler(event, context)
    finally:
        mark.unlink()
