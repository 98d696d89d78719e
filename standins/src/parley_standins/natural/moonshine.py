"""Moonshine tiny-en: English speech to text, of a few seconds at a time.

The weights are those of the package `moonshine-voice` 0.1.0, without its library: an encoder, and a
decoder that gives one token after another. onnxruntime runs both in the thread that calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from parley_standins.engines import MOONSHINE_FILES
from parley_standins.recognition_wire import SAMPLE_RATE_HZ

_BEGIN, _END = 1, 2
_TOKENS_PER_SECOND = 6.5
"""No speech has more; without a limit it would repeat itself at some noises."""
_NO_PAST = (1, 8, 0, 36)
"""The shape of what an attention head has seen at first: heads and width as this model has them."""
_SPACE = "\u2581"

Signal = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Heard:
    """A text, and how sure the model is of each of its words, which spaces separate."""

    text: str = ""
    log_probabilities: tuple[float, ...] = ()
    mean_log_probability: float = 0.0


class Moonshine:
    """The model, loaded once in a process.

    Args:
        folder: of the weights.
    """

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        encoder, decoder, vocabulary = (str(folder / name) for name in MOONSHINE_FILES)
        self._encoder = onnxruntime.InferenceSession(encoder, options)
        self._decoder = onnxruntime.InferenceSession(decoder, options)
        self._vocabulary = read_vocabulary(Path(vocabulary).read_bytes())
        self._presents = [output.name for output in self._decoder.get_outputs()[1:]]
        self._pasts = [name.replace("present", "past_key_values") for name in self._presents]

    def transcribe(self, signal: Signal) -> Heard:
        """Return what is said in a signal, -1 to 1 at 16 kHz; of 16 s at most it is reliable."""
        mask = np.ones((1, signal.size), np.int64)
        feed = {"input_values": signal[None], "attention_mask": mask}
        (hidden,) = self._encoder.run(None, feed)
        state: dict[str, Any] = {past: np.zeros(_NO_PAST, np.float32) for past in self._pasts}
        tokens: list[int] = []
        log_probabilities: list[float] = []
        for step in range(int(signal.size / SAMPLE_RATE_HZ * _TOKENS_PER_SECOND) + 2):
            logits, *presents = self._decoder.run(
                None,
                {
                    "encoder_attention_mask": mask,
                    "input_ids": np.array([[tokens[-1] if tokens else _BEGIN]], np.int64),
                    "encoder_hidden_states": hidden,
                    "use_cache_branch": np.array([step > 0]),
                    **state,
                },
            )
            for past, present in zip(self._pasts, presents, strict=True):
                if step == 0 or "decoder" in past:
                    state[past] = present
            scores = logits[0, -1].astype(np.float64)
            best = int(scores.argmax())
            log_probabilities.append(float(-np.log(np.exp(scores - scores[best]).sum())))
            if best == _END:
                break
            tokens.append(best)
        return self._heard(tokens, log_probabilities)

    def _heard(self, tokens: list[int], log_probabilities: list[float]) -> Heard:
        """Put tokens together, and how probable each word's least probable one is."""
        text = b""
        of_words: list[float] = []
        for token, log_probability in zip(tokens, log_probabilities, strict=False):
            piece = self._vocabulary[token] if token > _END else b""
            if piece.startswith(_SPACE.encode()) or not of_words:
                of_words.append(log_probability)
            else:
                of_words[-1] = min(of_words[-1], log_probability)
            text += piece
        words = text.decode("utf-8", "replace").replace(_SPACE, " ").split()
        # A token with a space alone has begun a word that the next one begins as well.
        sure = (*of_words, *([0.0] * len(words)))[: len(words)]
        mean = float(np.mean(log_probabilities)) if log_probabilities else 0.0
        return Heard(" ".join(words), tuple(sure), mean)


def read_vocabulary(content: bytes) -> list[bytes]:
    """Return the tokens: each has its length before it, in one byte, or in two from 128."""
    tokens, at = [], 0
    while at < len(content):
        length = content[at]
        at += 1
        if length >= 0x80:
            length = content[at] * 128 + length - 128
            at += 1
        tokens.append(content[at : at + length])
        at += length
    return tokens
