"""What of a clause is sent to Cartesia."""

from __future__ import annotations

import re

from parley.text.scripts import CLOSERS, SENTENCE_END

_TAG = re.compile(r"<(?=[^\s\d<=])")
"""What may begin a tag: `<` and something other than white space or a number."""


def make_transcript(text: str) -> str:
    """Return the text that is spoken for a clause.

    Cartesia reads `<break time="9s"/>` and the like as commands. Such a `<` is left out, so that
    the words of a tag are words; `3 < 5` stays.
    """
    return _TAG.sub("", text)


def is_speakable(text: str) -> bool:
    """Return whether a text holds something that sounds. The first transcript of a context must."""
    return any(map(str.isalnum, text))


def is_ended(text: str) -> bool:
    """Return whether a text ends as a sentence does. The end of one that does not may be cut."""
    return text.rstrip().rstrip(CLOSERS)[-1:] in SENTENCE_END
