"""Writing systems: the marks that end sentences and clauses, and scripts without spaces.

In Han, kana, Thai, Lao, Khmer, Burmese and similar scripts nothing shows where a word ends. There
the unit is the character as a reader sees it: a letter with everything that belongs to it (extended
grapheme cluster, Unicode Standard Annex 29, and Thai and Lao vowels that are written before their
consonant). This needs no dictionary, and builds no table at import.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

SENTENCE_END = (
    ".!?…‥。！？．｡‼‽⁇⁈⁉⸮⸼"
    "\u0589\u061d\u061e\u061f\u06d4\u0700\u0701\u0702"  # Armenian, Arabic, Syriac
    "\u0964\u0965\u0f0d\u0f0e\u104b\u1362\u1367\u1368"  # Indic, Tibetan, Burmese, Ethiopic
    "\u166e\u17d4\u17d5\u1803\u1809\u1944\u1945\u1aa8\u1aa9\u1c7e\u1c7f\ua4ff\ua60e\ua6f3\ua6f7"
    "\ua8ce\ua8cf\ua9c8\ua9c9\uaa5d\uaa5e\uaa5f\uabeb"
)
"""Sentence_Terminal of the Unicode Character Database, without scripts that are no longer
spoken."""
CLAUSE_END = (
    ",;:，、；：､﹐﹑﹔﹕\u037e\u0387"
    "\u055c\u055d\u055e\u060c\u061b\u07f8\u104a\u1363\u1364\u1365\u1366\u17d6\u1802\u1804\u1808"
    "\ua4fe\ua60d\ua6f5"
)
CLOSERS = "\"'”’›)]}」』】〕〉》｝］）〙〗〛〟＂＇｣﹂﹄﹀︶❜❞”"
"""Quotes and brackets that only ever close."""

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x2E80, 0x312F),  # Han radicals, CJK marks, kana, Bopomofo
    (0x31A0, 0x31FF),  # Bopomofo and kana, extended
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0xA4CF),  # Han, Yi
    (0xA9E0, 0xA9FF),  # Burmese, extended
    (0xAA60, 0xAADF),  # Burmese, extended; Tai Viet
    (0xF900, 0xFAFF),  # Han
    (0xFE30, 0xFE4F),  # upright forms of CJK marks
    (0xFF01, 0xFF9F),  # full-width Latin, half-width kana
    (0x1AFF0, 0x1B16F),  # kana
    (0x20000, 0x3FFFF),  # Han
)
"""First and last code points of scripts without spaces, in order (Unicode 16, Blocks)."""
_VOWELS_BEFORE = "เแโใไເແໂໃໄ"
"""Vowels that are written before the consonant after which they are spoken
(Logical_Order_Exception)."""
_VOWELS_AFTER = "ะาำๅະາຳຽ\uff9e\uff9f"
"""Characters of category letter that never stand alone."""
_STACKERS = "\u1039\u17d2\u1a60"
"""Signs that put the next letter below the one before."""
_JOINER = "\u200d"
_JOINED_TO = "\u200c\u200d"


def is_unspaced(char: str) -> bool:
    """Return whether a character is of a writing system without spaces between words."""
    point = ord(char)
    if point < _UNSPACED[0][0]:
        return False
    return any(first <= point <= last for first, last in _UNSPACED)


def continues(before: str, char: str) -> bool:
    """Return whether a character belongs to the one before it and is never separated from it.

    Args:
        before: the character in front of it.
        char: the character itself.
    """
    point = ord(char)
    if point < 0x300 and before < "\u0300":
        return False
    return (
        before in _VOWELS_BEFORE
        or before in _STACKERS
        or (before == _JOINER and not char.isspace())
        or char in _VOWELS_AFTER
        or char in _JOINED_TO
        or unicodedata.category(char)[0] == "M"
        or 0x1F3FB <= point <= 0x1F3FF  # the colour of an emoji's skin
        or 0xE0020 <= point <= 0xE007F  # what makes a flag of a flag
    )


def unit_ends(text: str) -> Iterator[int]:
    """Yield where the units of a text end: words, or characters in scripts without spaces.

    A mark belongs to the unit before it, an opening quote or bracket to the one after it. White
    space belongs to none.
    """
    base = ""
    for index, (char, following) in enumerate(zip(text, text[1:] + " ", strict=False)):
        if char.isspace():
            continue
        if not base or not continues(text[index - 1], char):
            base = char
        if following.isspace() or (not continues(char, following) and _may_part(base, following)):
            yield index + 1


def cluster_start(text: str, index: int) -> int:
    """Return the last place up to `index` at which a text may be cut within a word."""
    while 0 < index < len(text) and continues(text[index - 1], text[index]):
        index -= 1
    return index


def join_texts(texts: Iterable[str]) -> str:
    """Join texts that were said one after another, with a space where their scripts use spaces."""
    whole = ""
    for text in texts:
        if whole and text and not (_is_unspaced_at(whole[::-1]) or _is_unspaced_at(text)):
            whole += " "
        whole += text
    return whole


def _is_unspaced_at(text: str) -> bool:
    """Return whether a text begins in a script without spaces. Marks that many scripts share (`……`,
    `“`) do not count."""
    telling = (char for char in text if char.isascii() or char.isalnum() or is_unspaced(char))
    return is_unspaced(next(telling, text[0]))


def _may_part(base: str, following: str) -> bool:
    if not (is_unspaced(base) or is_unspaced(following)) or _opens(base):
        return False
    return following.isalnum() or _opens(following)


def _opens(char: str) -> bool:
    return unicodedata.category(char) in ("Ps", "Pi", "Sc")
