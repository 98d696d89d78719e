"""A process that hears: frames of audio in, JSON lines of words out.

Started as `python -m local.standins.recognition_worker`. A decoder holds the GIL
and keeps a core busy, so each has a process of its own. It decodes while audio
arrives: the utterance's end costs a few milliseconds. It ends when its standard
input does, and so never outlives the server that started it.

In: one byte of kind, a 4-byte big-endian length, the payload. `A` audio (16-bit mono
at 16 kHz), `E` the utterance ends, `X` forget it. Out: `{"ready": true}` once, then
`{"partial": text}` when that changes, `{"final": text, "words": [[word, start_s,
end_s, log_probability], ...]}` for each `E`, `{"forgotten": true}` for each `X`.
"""

from __future__ import annotations

import contextlib
import json
import re
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pocketsphinx

from local.standins import language_model

HEADER = struct.Struct(">cI")
SAMPLE_RATE_HZ = 16_000
FRAMES_PER_SECOND = 100
SLICE_BYTES = 3200
"""Audio is decoded 100 ms at a time, so that partials come while much of it waits."""

MIN_LEVEL = 250
"""RMS of 16-bit samples (-42 dBFS) that the loudest 50 ms must reach to be speech."""

FIRST_MEAN = "63.5,0,1.5,14,-14,4.5,-17,-5,-5,-2.5,9,-10,5.5"
"""The cepstral mean that each utterance starts with: an average of spoken sentences, a
woman's and a man's. The model's own (40,3,-1) makes three times as many mistakes."""

_LEVEL_WINDOW = SAMPLE_RATE_HZ // 20
_PRONUNCIATION = re.compile(r"\(\d+\)$")


def make_decoder() -> pocketsphinx.Decoder:
    """A decoder with the everyday language model and a dictionary of its words only.

    One pass: the second and third (`fwdflat`, `bestpath`) start when an utterance
    ends, take about a tenth of its length, and gain nothing with this small a model.
    """
    model, words = language_model.build()
    with tempfile.TemporaryDirectory() as folder:
        model_file = Path(folder, "everyday.lm")
        model_file.write_text(model)
        dictionary = Path(folder, "everyday.dict")
        dictionary.write_text(_dictionary(words))
        return pocketsphinx.Decoder(
            pocketsphinx.Config(
                lm=str(model_file),
                dict=str(dictionary),
                fwdflat=False,
                bestpath=False,
                pl_window=0,
                loglevel="FATAL",
            )
        )


def _dictionary(words: set[str]) -> str:
    source = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"))
    lines = source.read_text().splitlines()
    return "\n".join(
        line for line in lines if _PRONUNCIATION.sub("", line.split(" ", 1)[0]) in words
    )


class Ear:
    """One decoder, utterance after utterance.

    The cepstral mean, by which it gets used to a voice and a microphone, starts anew
    with each utterance: what is heard never depends on what was heard before.
    """

    def __init__(self, decoder: pocketsphinx.Decoder) -> None:
        self._decoder = decoder
        self._listening = False
        self._partial = ""
        self._loud = False

    def hear(self, pcm: bytes) -> str | None:
        """Take audio in; the text so far, if that has changed."""
        if not self._listening:
            self._decoder.set_cmn(FIRST_MEAN)
            self._decoder.start_utt()
            self._listening, self._partial, self._loud = True, "", False
        self._loud = self._loud or _level(pcm) >= MIN_LEVEL
        self._decoder.process_raw(pcm, False, False)
        text = self._text() if self._loud else ""
        if text == self._partial:
            return None
        self._partial = text
        return text

    def finish(self) -> tuple[str, list[tuple[str, float, float, float]]]:
        """The utterance's text, and its words with their times in seconds."""
        if not self._listening:
            return "", []
        self._decoder.end_utt()
        self._listening = False
        if not self._loud:
            return "", []
        words = [
            (
                _PRONUNCIATION.sub("", segment.word),
                segment.start_frame / FRAMES_PER_SECOND,
                (segment.end_frame + 1) / FRAMES_PER_SECOND,
                min(0.0, float(self._decoder.logmath.log_to_ln(segment.prob))),
            )
            for segment in self._decoder.seg()
            if segment.word[0] not in "<["
        ]
        return " ".join(word for word, _, _, _ in words), words

    def forget(self) -> None:
        """Drop the utterance."""
        if self._listening:
            self._decoder.end_utt()
            self._listening = False

    def _text(self) -> str:
        hypothesis = self._decoder.hyp()
        return str(hypothesis.hypstr) if hypothesis else ""


def _level(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    if not samples.size:
        return 0.0
    parts = np.array_split(samples, max(1, samples.size // _LEVEL_WINDOW))
    return max(float(np.sqrt(np.mean(part**2))) for part in parts)


def main() -> None:
    """Answer until standard input ends."""
    ear = Ear(make_decoder())
    _say({"ready": True})
    source = sys.stdin.buffer
    while frame := _read(source):
        kind, payload = frame
        if kind == b"A":
            for at in range(0, len(payload), SLICE_BYTES):
                partial = ear.hear(payload[at : at + SLICE_BYTES])
                if partial is not None:
                    _say({"partial": partial})
        elif kind == b"E":
            text, words = ear.finish()
            _say({"final": text, "words": words})
        else:
            ear.forget()
            _say({"forgotten": True})


def _read(source: BinaryIO) -> tuple[bytes, bytes] | None:
    header = source.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    kind, length = HEADER.unpack(header)
    payload = source.read(length)
    return (kind, payload) if len(payload) == length else None


def _say(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        main()
