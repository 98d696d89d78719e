"""Characters that come in two halves."""

from __future__ import annotations

import re

_HALF = re.compile("[\ud800-\udfff]")
_HIGH_HALF_AT_END = re.compile("[\ud800-\udbff]\\Z")


class SurrogateJoiner:
    """Puts halves of surrogate pairs together that come in two pieces; a half alone is U+FFFD.

    Endpoints that cut a reply by UTF-16 units send an emoji as `\\ud83d` and `\\ude00`.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the text that is known by now."""
        text, self._held = self._held + text, ""
        if text.isascii() or not _HALF.search(text):
            return text
        if _HIGH_HALF_AT_END.search(text):
            text, self._held = text[:-1], text[-1]
        return _joined(text)

    def flush(self) -> str:
        """Return what was held back."""
        text, self._held = _joined(self._held), ""
        return text


def _joined(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
