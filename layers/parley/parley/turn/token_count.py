"""Tokens of one turn's calls to the model: as its answers say, otherwise as their texts suggest."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace

import msgspec

from parley.providers.llm import Prompt, ReplyPiece, Tokens

CHARS_PER_TOKEN = 4
"""Of English ("What are tokens and how to count them?", OpenAI). Other scripts have fewer."""


class TokenCount:
    """Adds up the tokens of a turn.

    Attributes:
        known: whether a model has been asked whose tokens are told, or can be estimated.
        input, output: what it has read and written.
        estimated: whether some of it is an estimate.
    """

    def __init__(self) -> None:
        self.known = False
        self.input = self.output = 0
        self.estimated = False

    @contextlib.contextmanager
    def count(self, prompt: Prompt) -> Iterator[CountedCall]:
        """Count one call to a model, while it lasts.

        One that fails before anything of its answer has come costs nothing. One that is given up
        does: the model reads the prompt all the same.
        """
        call = CountedCall(prompt)
        try:
            yield call
        except asyncio.CancelledError:
            call.answered = True
            raise
        finally:
            if call.answered:
                self._add(call)

    def _add(self, call: CountedCall) -> None:
        told = call.told
        self.known = True
        self.estimated = self.estimated or told.input is None or told.output is None
        self.input += _estimate(_chars(call.prompt)) if told.input is None else told.input
        self.output += _estimate(call.written_chars) if told.output is None else told.output


class CountedCall:
    """One call to a model.

    Attributes:
        prompt: what the model is asked; it notes what the answer says of tokens.
        told: what it has said.
        answered: whether something of the answer has come.
        written_chars: how much of it.
    """

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = replace(prompt, note_tokens=self._note_tokens)
        self.told = Tokens()
        self.answered = False
        self.written_chars = 0

    def note(self, piece: ReplyPiece) -> None:
        """Note a piece of the answer."""
        self.answered = True
        written = piece if isinstance(piece, str) else msgspec.json.encode(piece.calls)
        self.written_chars += len(written)

    def _note_tokens(self, tokens: Tokens) -> None:
        self.told = tokens


def _estimate(chars: int) -> int:
    return math.ceil(chars / CHARS_PER_TOKEN)


def _chars(prompt: Prompt) -> int:
    """Return how long everything is that a model is sent."""
    said = [prompt.instructions, prompt.text, *(message.text for message in prompt.history)]
    rounds = [*prompt.rounds, *(each for some in prompt.past_rounds.values() for each in some)]
    more = msgspec.json.encode((rounds, prompt.tools)) if rounds or prompt.tools else b""
    return sum(map(len, said)) + len(more)
