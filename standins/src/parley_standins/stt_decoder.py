"""Hearing: audio to words with PocketSphinx, while the audio arrives.

The decoder makes one pass with the everyday language model, so that little is left
to do when an utterance ends. It loads in a process of its own (`recognition_worker`).
"""

from __future__ import annotations

import math
import re
import tempfile
from array import array
from pathlib import Path

import pocketsphinx

from parley_standins import language_model
from parley_standins.recognition_wire import SAMPLE_RATE_HZ

FRAMES_PER_SECOND = 100
MIN_LEVEL = 250
"""RMS of 16-bit samples (-42 dBFS) that the loudest 50 ms must reach to be speech."""

FIRST_MEAN = "63.5,0,1.5,14,-14,4.5,-17,-5,-5,-2.5,9,-10,5.5"
"""The cepstral mean that each utterance starts with: an average of spoken sentences, a
woman's and a man's. The model's own (40,3,-1) makes three times as many mistakes."""

_LEVEL_WINDOW = SAMPLE_RATE_HZ // 20
_PRONUNCIATION = re.compile(r"\(\d+\)$")


def make_decoder() -> pocketsphinx.Decoder:
    """Return a decoder with the everyday language model and a dictionary of its words only.

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


class SttDecoder:
    """One decoder, utterance after utterance.

    The cepstral mean, by which it gets used to a voice and a microphone, starts anew
    with each utterance: what is heard never depends on what was heard before.
    """

    def __init__(self, decoder: pocketsphinx.Decoder) -> None:
        self._decoder = decoder
        self._in_utterance = False
        self._partial = ""
        self._loud = False

    def hear(self, pcm: bytes) -> str | None:
        """Take audio in; the text so far, if that has changed."""
        if not self._in_utterance:
            self._decoder.set_cmn(FIRST_MEAN)
            self._decoder.start_utt()
            self._in_utterance, self._partial, self._loud = True, "", False
        self._loud = self._loud or _level(pcm) >= MIN_LEVEL
        self._decoder.process_raw(pcm, False, False)
        text = self._text() if self._loud else ""
        if text == self._partial:
            return None
        self._partial = text
        return text

    def finish(self) -> tuple[str, list[tuple[str, float, float, float]]]:
        """Return the utterance's text, and its words with their times in seconds."""
        if not self._in_utterance:
            return "", []
        self._decoder.end_utt()
        self._in_utterance = False
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
        if self._in_utterance:
            self._decoder.end_utt()
            self._in_utterance = False

    def _text(self) -> str:
        hypothesis = self._decoder.hyp()
        return str(hypothesis.hypstr) if hypothesis else ""


def _level(pcm: bytes) -> float:
    """Return the RMS of the loudest 50 ms, without numpy: that would double the start-up time."""
    samples = array("h", pcm[: len(pcm) // 2 * 2])
    loudest = 0.0
    for at in range(0, len(samples), _LEVEL_WINDOW):
        part = samples[at : at + _LEVEL_WINDOW]
        loudest = max(loudest, sum(sample * sample for sample in part) / len(part))
    return math.sqrt(loudest)
