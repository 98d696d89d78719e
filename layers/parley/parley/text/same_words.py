"""What two transcripts have in common that say the same."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

_SPOKEN = frozenset("%％٪‰#＃&＆@＠*§\\")
"""Marks that a transcriber writes for words."""


def bare_words(text: str) -> str:
    """Return a text without letter case, punctuation and white space, to be compared.

    A mark right before a digit counts: `3.5` is not `35`, and `-5` is not `5`. So does one that is
    spoken: `5%` is not `5`.
    """
    folded = unicodedata.normalize("NFC", text).casefold() + " "
    return "".join(char for char, after in pairwise(folded) if _counts(char, after))


def _counts(char: str, after: str) -> bool:
    if char.isalnum():  # most are: the rest looks the others up
        return True
    category = unicodedata.category(char)[0]
    if category == "P":
        return char in _SPOKEN or after.isdecimal()
    return category not in "ZC"
