"""One minute of talk over the Python client, of whichever tree this runs in.

Reads a script from stdin and writes what came of it to stdout, both JSON. It imports nothing but
`parley_client`, so that `benchmarks/cost.py` can run it with another tree's.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

from parley_client import Conversation

PAUSE_S = 0.3
"""Before the user answers what was said."""


async def converse(url: str, pcm: bytes, turns: int) -> list[dict[str, Any]]:
    """Speak in real time, and listen to each reply to its end; what each turn came to."""
    found = []
    async with Conversation.connect(url) as conversation:
        for _ in range(turns):
            turn = conversation.speak(pcm)
            first_s = 0.0
            async for event in turn:
                if type(event).__name__ == "Audio" and not first_s:
                    first_s = time.monotonic()
            reply = await turn
            found.append(
                {
                    "reason": reply.reason,
                    "errors": [error.code for error in reply.errors],
                    "audio_ms": reply.audio_ms,
                    "said": len(reply.text),
                    "timings": dataclasses.asdict(reply.timings),
                }
            )
            plays_until_s = first_s + reply.audio_ms / 1000
            await asyncio.sleep(max(0.0, plays_until_s - time.monotonic()) + PAUSE_S)
    return found


def main() -> None:
    """Converse as stdin says."""
    script = json.load(sys.stdin)
    pcm = Path(script["pcm"]).read_bytes()
    print(json.dumps(asyncio.run(converse(script["url"], pcm, script["turns"]))))


if __name__ == "__main__":
    main()
