"""When text that comes in bits is spoken: the buffering of the speech sockets, as rules.

Text waits until there is as much of it as the schedule says (more for each later
generation), until a flush, or until the end. `auto_mode` speaks each bit at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

DEFAULT_SCHEDULE = (120, 160, 250, 290)
MIN_CHUNK, MAX_CHUNK = 50, 500


class BadSchedule(ValueError):
    """A schedule's lengths are not what the service takes."""


def checked_schedule(given: object) -> tuple[int, ...]:
    """Return a `chunk_length_schedule`; absent or None is the default.

    Raises:
        BadSchedule: it is no list of numbers from 50 to 500.
    """
    if given is None:
        return DEFAULT_SCHEDULE
    if (
        not isinstance(given, list)
        or not given
        or not all(
            isinstance(n, int | float) and not isinstance(n, bool) and MIN_CHUNK <= n <= MAX_CHUNK
            for n in given
        )
    ):
        raise BadSchedule(
            f"chunk_length_schedule has to be a list of numbers from {MIN_CHUNK} to {MAX_CHUNK}."
        )
    return tuple(int(n) for n in given)


@dataclass(slots=True)
class TextBuffer:
    """The text of one stream or context that has not been spoken yet."""

    schedule: Sequence[int] = DEFAULT_SCHEDULE
    auto_mode: bool = False
    _pending: str = ""
    _generations: int = field(default=0)

    def add(self, text: str, *, flush: bool = False, try_trigger: bool = False) -> str | None:
        """Take text; what is to be spoken now, if anything."""
        self._pending += text
        if self.auto_mode or flush:
            return self._take()
        wanted = self.schedule[min(self._generations, len(self.schedule) - 1)]
        if try_trigger:
            wanted = min(wanted, MIN_CHUNK)
        return self._take() if len(self._pending) >= wanted else None

    def flush(self) -> str | None:
        """Return what is to be spoken now because nothing more will come."""
        return self._take()

    def _take(self) -> str | None:
        text, self._pending = self._pending, ""
        if not text.strip():
            return None
        self._generations += 1
        return text
