"""The life of a synthesis context, and which of a reply's clauses it still owes.

A context keeps the melody from clause to clause, and dies a second after its last audio was sent.
Audio is made faster than it sounds, so a model that hesitates between two clauses outlives it. What
is sent to a dead context is lost, or answered with an error. So a context that has answered
everything and is quiet is left in time, and what one has not begun to speak is said once more in a
new one.
"""

from __future__ import annotations

from dataclasses import dataclass

STALE_S = 0.5
"""So long after the last frame a context that owes nothing is left. Cartesia ends it after 1 s; the
rest is for the way there, and for a clock that starts when the audio leaves."""


@dataclass(slots=True)
class Submission:
    """Text that was sent as one transcript.

    Attributes:
        clauses: how many clauses it holds.
        repeated: whether it was sent to another context before.
    """

    text: str
    clauses: int = 1
    repeated: bool = False


class SpeechContext:
    """One context: what was sent to it, and what has come back.

    A submission is answered when `flush_done` has come for it. A service that sends none answers
    all of them with `done`.

    Args:
        context_id: names it on the socket.
        now_s: the time, of a clock that only goes forward.

    Attributes:
        is_done: whether the service has ended it.
    """

    def __init__(self, context_id: str, now_s: float) -> None:
        self.id = context_id
        self.is_done = False
        self._submissions: list[Submission] = []
        self._answered = 0
        self._flushes: set[object] = set()
        self._sent_before_audio = 0
        self._has_begun_next = False
        self._last_s = now_s

    @property
    def is_idle(self) -> bool:
        """Whether everything that was sent to it has been spoken."""
        return self.is_done or self._answered == len(self._submissions)

    @property
    def has_sounded(self) -> bool:
        """Whether it has made any sound, and so may have expired since."""
        return bool(self._answered or self._sent_before_audio)

    def is_stale(self, now_s: float) -> bool:
        """Return whether it may be dead by the time that a text arrives."""
        return self.is_done or (
            self._answered > 0 and self.is_idle and now_s - self._last_s >= STALE_S
        )

    def breaks_off(self, now_s: float) -> bool:
        """Return whether it is in the middle of a submission, so that its end would leave a part
        of that unspoken. To be asked when what has not begun was taken."""
        if self.is_idle:
            return False
        return self._answered > 0 or now_s - self._last_s < STALE_S

    def add(self, submission: Submission) -> None:
        """Note what is sent to it."""
        self._submissions.append(submission)

    def note_audio(self, now_s: float) -> None:
        """Note a piece of audio."""
        self._last_s = now_s
        self._has_begun_next = True
        self._sent_before_audio = len(self._submissions)

    def note_flush(self, flush_id: object, now_s: float) -> int:
        """Note that the audio of the next submission has ended. Return how many clauses that ends.

        Args:
            flush_id: counts the flushes; the same one may be told twice.
        """
        self._last_s = now_s
        if flush_id is not None and flush_id in self._flushes:
            return 0
        self._flushes.add(flush_id)
        if self._answered == len(self._submissions):
            return 0
        ended = self._submissions[self._answered]
        self._answered += 1
        self._has_begun_next = False
        return ended.clauses

    def note_done(self) -> int:
        """Note that it is over. Return how many clauses that ends."""
        self.is_done = True
        rest = self._submissions[self._answered :]
        self._answered = len(self._submissions)
        return sum(submission.clauses for submission in rest)

    def take_unbegun(self) -> list[Submission]:
        """Return the submissions that have made no sound for certain, and forget them.

        Once the service tells where each ends, all behind the one that sounds are certain. Before
        that, only those that were sent after the last audio.
        """
        first = self._answered + self._has_begun_next if self._answered else self._sent_before_audio
        unbegun = self._submissions[first:]
        del self._submissions[first:]
        return unbegun
