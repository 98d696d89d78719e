"""A process that hears with Moonshine: frames of audio in, JSON lines of words out.

Started as `python -m parley_standins.natural.moonshine_worker FOLDER`, with the folder of the
weights. What it reads and writes is in `recognition_wire`. It ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import select
import sys
from pathlib import Path

import numpy as np

from parley_standins.natural.moonshine import Moonshine
from parley_standins.natural.moonshine_decoder import MoonshineDecoder
from parley_standins.recognition_wire import SAMPLE_RATE_HZ, read_frame, say


def main(folder: Path) -> None:
    """Answer until standard input ends."""
    model = Moonshine(folder)
    model.transcribe(np.zeros(SAMPLE_RATE_HZ, np.float32))  # the first time is slow
    decoder = MoonshineDecoder(model.transcribe)
    say({"ready": True})
    # Not buffered: what waits can be seen.
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as source:
        while frame := read_frame(source):
            kind, payload = frame
            if kind == b"A":
                waits, _, _ = select.select([source], [], [], 0)
                partial = decoder.hear(payload, in_time=not waits)
                if partial is not None:
                    say({"partial": partial})
            elif kind == b"E":
                text, words = decoder.finish()
                say({"final": text, "words": words})
            else:
                decoder.forget()
                say({"forgotten": True})


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        main(Path(sys.argv[1]))
