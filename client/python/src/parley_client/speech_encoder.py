"""How speech is coded on its way out: which coding a server takes, and what makes it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from parley_client.dvi4 import Dvi4Encoder
from parley_client.messages import SpeechFormat
from parley_client.mulaw import encode_mulaw

_FEWEST_BITS_FIRST: tuple[SpeechFormat, ...] = ("dvi4_16000", "mulaw_16000")


def choose_coding(takes: Collection[str]) -> SpeechFormat:
    """Return the coding of `pcm_16000` that has the fewest bits of what a server takes."""
    return next((each for each in _FEWEST_BITS_FIRST if each in takes), "pcm_16000")


def speech_encoder(coding: SpeechFormat | None) -> Callable[[bytes], bytes]:
    """Return what codes the PCM of one utterance, piece by piece."""
    if coding == "dvi4_16000":
        return Dvi4Encoder().encode
    return encode_mulaw if coding == "mulaw_16000" else bytes
