"""Text that shows nothing: white space and invisible characters."""

from __future__ import annotations

import re

_BLANK = re.compile(
    # Control characters, the soft hyphen, fillers, zero-width characters, direction marks and the
    # byte order mark: `str.strip` keeps them, but the template of a model may remove them.
    r"[\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e"
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0]*"
)


def is_blank(text: str) -> bool:
    """Return whether a text shows nothing."""
    return _BLANK.fullmatch(text) is not None
