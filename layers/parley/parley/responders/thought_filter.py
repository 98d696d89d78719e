"""Leaves out what a model thinks before it replies, where an endpoint sends it within the reply.

Reasoning models write `<think>…</think>` and then their reply; an endpoint that does not take
it apart streams both. It counts as a thought only at the start: a reply may talk about the tag.
"""

from __future__ import annotations

import re

TAGS = {
    **{f"<{name}>": f"</{name}>" for name in ("think", "thinking", "thought", "reasoning")},
    "<seed:think>": "</seed:think>",
    "[think]": "[/think]",
    "◁think▷": "◁/think▷",
}
"""How a thought begins and ends, in lower case; any case counts. The last three are those of
Seed-OSS, Magistral and Kimi."""

_NOT_YET = max(map(len, TAGS))
_SKIPPED = " \t\r\n\ufeff"


class ThoughtFilter:
    """Filters one reply.

    Attributes:
        thinks: whether a thought has been left out, or is being left out.
    """

    def __init__(self) -> None:
        self.thinks = False
        self._held = ""
        self._end = ""
        self._begun = False

    def feed(self, text: str) -> str:
        """Return the part of the reply that is known by now."""
        if self._begun:
            return text
        self._held += text
        while True:
            if self._end:
                if not self._skip_thought():
                    return ""
            elif (tag := self._tag_at_start()) is not None:
                self._end, self.thinks = TAGS[tag], True
                self._held = self._held.lstrip(_SKIPPED)[len(tag) :]
            elif self._may_become_tag():
                return ""
            else:
                return self._release()

    def flush(self) -> str:
        """Return what was held back, at the end of the reply; of a thought, nothing."""
        return "" if self._end else self._release()

    def _skip_thought(self) -> bool:
        """Drop what is held of a thought; whether it has ended."""
        end = re.search(re.escape(self._end), self._held, re.IGNORECASE)
        if end is None:
            self._held = self._held[-len(self._end) :]  # may hold the start of its end
            return False
        self._held, self._end = self._held[end.end() :], ""
        return True

    def _tag_at_start(self) -> str | None:
        start = self._start()
        return next((tag for tag in TAGS if start.startswith(tag)), None)

    def _may_become_tag(self) -> bool:
        start = self._start()
        return any(tag.startswith(start) for tag in TAGS)

    def _start(self) -> str:
        return self._held.lstrip(_SKIPPED)[:_NOT_YET].lower()

    def _release(self) -> str:
        self._begun = True
        # What separates the thought from the reply belongs to neither.
        text, self._held = self._held.lstrip(_SKIPPED) if self.thinks else self._held, ""
        return text
