"""A process that hears with PocketSphinx: frames of audio in, JSON lines of words out.

Started as `python -m parley_standins.recognition_worker`. A decoder holds the GIL
and keeps a core busy, so each has a process of its own. It ends when its standard
input does, and so never outlives the server that started it. What it reads and
writes is in `recognition_wire`.
"""

from __future__ import annotations

import contextlib
import sys

from parley_standins.recognition_wire import read_frame, say
from parley_standins.stt_decoder import SttDecoder, make_decoder

SLICE_BYTES = 3200
"""Audio is decoded 100 ms at a time, so that partials come while much of it waits."""


def main() -> None:
    """Answer until standard input ends."""
    decoder = SttDecoder(make_decoder())
    say({"ready": True})
    source = sys.stdin.buffer
    while frame := read_frame(source):
        kind, payload = frame
        if kind == b"A":
            for at in range(0, len(payload), SLICE_BYTES):
                partial = decoder.hear(payload[at : at + SLICE_BYTES])
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
        main()
