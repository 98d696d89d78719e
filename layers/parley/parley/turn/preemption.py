"""When a reply may begin before the end of the utterance is sure, and whether it may be heard.

A try is a reply to a presumed text: what is known of the utterance when it seems to be over. It
stands if the text turns out to be what was said, and is void otherwise. Plain decisions: what
happens goes in, what is to be done comes out of `advance`. The pipeline does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parley.text.blank import is_blank
from parley.text.same_words import bare_words

MAX_TRIES = 2
"""In an utterance. A user who stops and goes on three times pays for no third reply."""
SETTLED_S = 0.1
"""A partial transcript that is so old when speech has paused is taken for the last one."""
PAUSE_S = 0.2
"""So long has speech been over when a client tells of a pause."""
LATE_S = 0.15
"""How long a transcript of the last word is waited for, if none has come since that was said: it
comes 100 to 300 ms after it."""
STABLE_S = 0.3
"""A partial transcript that is so old is taken for the last one where nobody tells of pauses."""
CONFIRM_AFTER_S = 0.15
"""How long a pause lasts until the transcriber is asked to confirm it: most pauses within an
utterance are over by then, and a transcript that is cut there is a worse one. Its answer (280 ms)
still comes before the end of the speech is sure (700 ms of silence)."""

Signals = Literal["none", "partials", "pauses", "transcriber"]
"""What tells that an utterance may be over: nothing, a partial transcript that does not change, the
client's pauses, or the transcriber."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin a reply to this text, and hold it back."""

    text: str


@dataclass(frozen=True, slots=True)
class Void:
    """Cancel the reply that is held back, and forget it."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Ask the transcriber for what was said before a pause, in so many chunks."""

    pause: int
    chunks: int


@dataclass(frozen=True, slots=True)
class Commit:
    """The utterance is over, and this is what was said.

    Attributes:
        hit: whether the reply that is held back answers it.
    """

    text: str
    hit: bool


Decision = Begin | Void | Confirm | Commit


class Preemption:
    """Decide for one utterance. Times are seconds of one monotonic clock.

    Call `advance` after each event, and when `due_s` is over.

    Attributes:
        tries: how many replies were begun.
    """

    def __init__(self, signals: Signals) -> None:
        self._signals: Signals = signals
        self._partial = ""
        self._partial_words = ""
        self._partial_at_s = 0.0
        self._pause: int | None = None
        self._pause_chunks = 0
        self._paused_at_s = 0.0
        self._quiet_from_s = 0.0
        """From when a settled transcript is taken for the last one, once speech has paused."""
        self._newest_pause = 0
        self._pause_words = ""
        self._doubted_pause = 0
        """In which a transcript was wrongly taken for the last one: only a confirmed one counts
        then."""
        self._known_words = ""
        """What was understood in the pause before: more is to come of a user who went on."""
        self._asked_for = 0
        self._confirms_left = MAX_TRIES
        self._confirmed: dict[int, str] = {}
        self._likely_over = False
        self._ended = False
        self._end_pause: int | None = None
        self._final: str | None = None
        self._presumed: str | None = None
        """The bare words that a reply was begun to."""
        self._is_wrong = False
        self._has_failed = False
        self._is_over = False
        self.tries = 0

    # --- what happens -----------------------------------------------------------------

    def note_partial(self, text: str, now_s: float) -> None:
        """Note what the transcriber has understood so far."""
        words = bare_words(text) if self._signals != "none" else ""
        self._partial = text
        if words == self._partial_words:
            return
        self._partial_words, self._partial_at_s = words, now_s
        self._likely_over = False
        if self._pause is not None:
            self._pause_words = words
        confirmed = self._confirmed.get(self._newest_pause)
        if confirmed is not None and words != bare_words(confirmed):
            # The transcriber hears what the client's detector does not: the final one decides.
            del self._confirmed[self._newest_pause]
        self._check(words)

    def note_pause(self, pause: int, chunks: int, now_s: float) -> None:
        """Note that speech has paused, and that all of it is here.

        Args:
            pause: counts the pauses of the utterance, from 1.
            chunks: how many chunks it is in.
        """
        if self._ended or pause <= self._newest_pause:
            return
        if self._newest_pause:  # words came between the two
            self._is_wrong = True
        self._newest_pause = self._pause = pause
        self._pause_chunks = chunks
        self._known_words, self._pause_words = self._pause_words, self._partial_words
        self._paused_at_s = now_s

    def note_resume(self, pause: int) -> None:
        """Note that speech goes on after a pause."""
        if not self._ended and pause >= self._newest_pause:
            self._newest_pause, self._pause = pause, None
            self._is_wrong = True

    def note_likely_end(self, text: str, now_s: float) -> None:
        """Note that the transcriber takes the turn for over, and may think better of it."""
        self.note_partial(text, now_s)
        self._likely_over = True

    def note_unlikely_end(self) -> None:
        """Note that the transcriber does so no more."""
        self._likely_over = False
        self._is_wrong = True

    def note_confirmed(self, pause: int, text: str) -> None:
        """Note what the transcriber has understood of all that was said before a pause.

        Nothing is known by no words: a service answers so where it has heard too little.
        """
        if is_blank(text):
            return
        self._confirmed[pause] = text
        if pause in (self._pause, self._end_pause):
            self._check(bare_words(text))

    def note_end(self, pause: int | None, now_s: float) -> None:
        """Note that the user has finished.

        Args:
            pause: the one since which nothing was said; None if nobody knows.
        """
        if self._ended:
            return
        self._ended, self._end_pause = True, pause
        if pause is not None and pause > self._newest_pause:
            self._is_wrong = True  # nothing was known of it: what is presumed came before
        if pause is None or pause != self._pause:
            # A word that was on its way when the user finished is not in the transcript yet.
            self._quiet_from_s = now_s + SETTLED_S

    def note_final(self, text: str) -> None:
        """Note the final transcript."""
        self._final = text

    def note_failed_try(self) -> None:
        """Note that the reply that is held back has failed: nothing more is tried ahead."""
        self._is_wrong = self._has_failed = True

    # --- what is to be done -----------------------------------------------------------

    def advance(self, now_s: float) -> list[Decision]:
        """Return what is to be done now, in order."""
        if self._is_over:
            return []
        said = self._find_said()
        if said is not None:
            self._is_over = True
            return self._commit(said)
        decisions: list[Decision] = []
        if self._is_wrong and self._presumed is not None:
            self._presumed = None
            self._doubted_pause = self._pause or 0
            decisions.append(Void())
        self._is_wrong = False
        text = self._find_presumed(now_s)
        if text is not None:
            self._presumed = bare_words(text)
            self.tries += 1
            decisions.append(Begin(text))
        if self._may_confirm() and now_s >= self._paused_at_s + CONFIRM_AFTER_S:
            assert self._pause is not None, "it is what is confirmed"
            self._asked_for = self._pause
            self._confirms_left -= 1
            decisions.append(Confirm(self._pause, self._pause_chunks))
        return decisions

    @property
    def due_s(self) -> float | None:
        """When time alone may change something; None if it cannot."""
        due: list[float] = []
        if not self._is_over:
            if (begin_s := self._begin_at_s()) is not None:
                due.append(begin_s)
            if self._may_confirm():
                due.append(self._paused_at_s + CONFIRM_AFTER_S)
        return min(due, default=None)

    def _check(self, words: str) -> None:
        """Find a reply wrong that answers other words than these."""
        if self._presumed is not None and words != self._presumed:
            self._is_wrong = True

    def _find_said(self) -> str | None:
        """Return what was said, once that is sure."""
        if self._final is not None:
            return self._final
        return self._confirmed.get(self._end_pause) if self._end_pause is not None else None

    def _commit(self, said: str) -> list[Decision]:
        is_right = self._presumed is not None and self._presumed == bare_words(said)
        hit = is_right and not self._is_wrong
        void = [] if hit or self._presumed is None else [Void()]
        return [*void, Commit(said, hit)]

    def _may_try(self) -> bool:
        if self._signals == "none" or self._has_failed:
            return False
        return self._presumed is None and self.tries < MAX_TRIES

    def _find_presumed(self, now_s: float) -> str | None:
        """Return the text that a reply may be begun to now."""
        if not self._may_try():
            return None
        if self._pause is not None and (known := self._confirmed.get(self._pause)):
            return known
        begin_s = self._begin_at_s()
        return self._partial if begin_s is not None and now_s >= begin_s else None

    def _begin_at_s(self) -> float | None:
        """Return when the newest partial transcript will be taken for the last one."""
        if not self._may_try() or is_blank(self._partial):
            return None
        if self._likely_over:
            return self._partial_at_s
        if self._partial_words == self._known_words:
            return None
        if self._pause is not None and self._signals == "pauses":
            if self._pause == self._doubted_pause:
                return None
            is_late = self._partial_at_s < self._paused_at_s - PAUSE_S
            return max(self._partial_at_s + SETTLED_S, self._paused_at_s + is_late * LATE_S)
        if self._ended:
            return max(self._quiet_from_s, self._partial_at_s + SETTLED_S)
        return self._partial_at_s + STABLE_S if self._signals == "partials" else None

    def _may_confirm(self) -> bool:
        """Return whether the transcriber is to confirm the pause that holds, sooner or later."""
        return (
            self._signals == "pauses"
            and self._pause is not None
            and not self._ended
            and self._confirms_left > 0
            and self._asked_for != self._pause
        )
