"""A process that speaks: one JSON line in, one header line and PCM out, in order.

Started as `python -m parley_standins.espeak_worker`. Each utterance is synthesised in
a child that has just been forked from a process in which nothing was spoken before,
so that the same words in the same voice are always the same bytes, and a crash of
the library costs one utterance. It ends when its standard input does, and so never
outlives the server that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

from parley_standins.espeak import SAMPLE_RATE_HZ, Espeak, EspeakError, Utterance

PRELOADED_VOICE = "en-us"


def main() -> None:
    """Answer requests until standard input ends."""
    espeak = Espeak()
    espeak.select_voice(PRELOADED_VOICE)
    output = sys.stdout.buffer
    for line in sys.stdin.buffer:
        answer = _in_child(espeak, line)
        try:
            output.write(answer or _header({"error": "espeak-ng crashed"}))
            output.flush()
        except BrokenPipeError:
            return


def _in_child(espeak: Espeak, line: bytes) -> bytes:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            with open(writing, "wb") as pipe:
                pipe.write(_answer(espeak, line))
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)
    return answer


def _answer(espeak: Espeak, line: bytes) -> bytes:
    try:
        spoken = espeak.speak(Utterance(**json.loads(line)))
    except EspeakError as error:
        return _header({"error": str(error)})
    header = {"bytes": len(spoken.pcm), "rate_hz": SAMPLE_RATE_HZ, "words": spoken.words}
    return _header(header) + spoken.pcm


def _header(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
