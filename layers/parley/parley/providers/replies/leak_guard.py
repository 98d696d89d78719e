"""Keeps call syntax out of speech.

A server whose parser does not know its model sends calls as text. Such text is never spoken, and
never run: what a parser has not recognised is a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

HELD_CHARS = 64
"""At most so much of a round's beginning is held back, and only while it may begin a call."""

_TAGS = (
    *("<tool_", "<function", "<invoke", "<|tool", "<|python_tag|>", "<|channel|>", "<｜tool"),
    "[TOOL_",
)
"""What begins a call wherever it stands."""
_OPENINGS = (*_TAGS, "<tool", "[TOOL", "functions.", "default_api.")
"""What begins one at the start of a round."""
_TAG = re.compile("|".join(map(re.escape, _TAGS)))
_LONGEST_TAG = max(map(len, _TAGS))
_OBJECT = re.compile(r"(?:```[a-z_]*\s*)?\[?\s*\{\s*[\"']|```tool_")
_BEGINS_OBJECT = re.compile(r"(?:`{1,3}|```[a-z_]*\s*)?(?:\[\s*|\[?\s*\{\s*)?")


class LeakGuard:
    """Reads the text of one round.

    Args:
        names: of the tools that are offered.

    Attributes:
        leaked: the text has become a call. All that follows is left out.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._openings = (*_OPENINGS, *_openings_of(names))
        self._held = ""
        self._is_open = True
        self._is_muted = False
        self.leaked = False

    def feed(self, text: str) -> str:
        """Return what may be spoken by now."""
        if self._is_muted:
            return ""
        if not self._is_open:
            return self._watch(text)
        self._held += text
        start = self._held.lstrip()
        if _OBJECT.match(start) or start.startswith(self._openings):
            self.leaked = True
            self.mute()
        elif len(self._held) >= HELD_CHARS or not self._may_begin_call(start):
            self._is_open = False
        return "" if self._is_open or self._is_muted else self._watch("")

    def flush(self) -> str:
        """Return what was held back, and has not become a call."""
        text, self._held = self._held, ""
        return text

    def mute(self) -> None:
        """Leave out what is held back, and all that follows."""
        self._held, self._is_open, self._is_muted = "", False, True

    def _watch(self, text: str) -> str:
        """Return what may be spoken of a reply that did not begin as a call."""
        text, self._held = self._held + text, ""
        if (tag := _TAG.search(text)) is not None:
            self.leaked = True
            self.mute()
            return text[: tag.start()]
        end = _end_without_tag(text)
        self._held = text[end:]
        return text[:end]

    def _may_begin_call(self, start: str) -> bool:
        is_object = start != "" and _BEGINS_OBJECT.fullmatch(start) is not None
        return is_object or any(opening.startswith(start) for opening in self._openings)


def _end_without_tag(text: str) -> int:
    """Return where the beginning of a tag stands that a text ends with; its length for none."""
    for at in range(max(0, len(text) - _LONGEST_TAG), len(text)):
        if any(tag.startswith(text[at:]) for tag in _TAGS):
            return at
    return len(text)


def _openings_of(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield from (f"{name}(", f"[{name}(", f"<{name}>", f"{name}{{")
