"""When the turn function is woken for a session, so that its next turn finds a warm environment."""

from __future__ import annotations

from parley.storage.item_codec import Session

WARM_MS = 300_000
"""How long a wake counts. How long Lambda keeps an idle environment is not documented; five minutes
and more have been seen."""


def wake_time(session: Session, now_ms: int) -> int:
    """Return when the turn function is woken for a session that is resumed.

    It is now, or the last time if that has not been long ago: a client whose network comes and goes
    wakes one environment.
    """
    return now_ms if now_ms - session.woken_at_ms >= WARM_MS else session.woken_at_ms
