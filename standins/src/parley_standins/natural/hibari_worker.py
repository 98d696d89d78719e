"""A process that speaks with hibari: one JSON line in, one header line and PCM out, in order.

Started as `python -m parley_standins.natural.hibari_worker`. It says what `espeak_worker` does, and
ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

from parley_standins.natural.hibari_voice import Asked, HibariVoice


def main() -> None:
    """Answer requests until standard input ends."""
    voice = HibariVoice()
    output = sys.stdout.buffer
    for line in sys.stdin.buffer:
        answer = _answer(voice, Asked(**json.loads(line)))
        try:
            output.write(answer)
            output.flush()
        except BrokenPipeError:
            return


def _answer(voice: HibariVoice, asked: Asked) -> bytes:
    try:
        said = voice.say(asked)
    except Exception as error:  # it fails at a number of 70 digits: then another engine speaks
        return _header({"error": f"hibari: {type(error).__name__}"})
    words = [(w.position, w.length, w.start, w.end) for w in said.words]
    return _header({"bytes": len(said.pcm), "rate_hz": said.rate_hz, "words": words}) + said.pcm


def _header(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
