"""When a turn's inbox is read again: soon and exactly while something is due, cheaply if not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from parley.turn.input.poll_rhythm import (
    ACK_S,
    AWAY_S,
    BETWEEN_S,
    DUE_S,
    REPLY_S,
    NextRead,
    PollRhythm,
)

DUE = NextRead(DUE_S, consistent=True)
BETWEEN = NextRead(BETWEEN_S, consistent=False)
AWAY = NextRead(AWAY_S, consistent=False)
REPLY = NextRead(REPLY_S, consistent=False)
ACK = NextRead(ACK_S, consistent=False)
MS = 32
"""Bytes of a millisecond of PCM at 16 kHz."""


def nothing(_rhythm: PollRhythm) -> None:
    """No chunk yet."""


def talks(rhythm: PollRhythm) -> None:
    """Two chunks; the second at 0.58 s."""
    rhythm.note_chunk(1, 100 * MS, 0.1)
    rhythm.note_chunk(2, 480 * MS, 0.58)


def talks_in_short_chunks(rhythm: PollRhythm) -> None:
    """As clients did before; the last at 0.5 s."""
    for seq in range(1, 6):
        rhythm.note_chunk(seq, 100 * MS, seq / 10)


def pauses(rhythm: PollRhythm) -> None:
    """A third chunk, at 0.8 s, is shorter."""
    talks(rhythm)
    rhythm.note_chunk(3, 220 * MS, 0.8)


def pauses_on(rhythm: PollRhythm) -> None:
    """The client tells of the pause, and a whole chunk of silence comes, at 1.28 s."""
    pauses(rhythm)
    rhythm.note_pause(is_over=False)
    rhythm.note_chunk(4, 480 * MS, 1.28)


def goes_on(rhythm: PollRhythm) -> None:
    pauses_on(rhythm)
    rhythm.note_pause(is_over=True)


def ends(rhythm: PollRhythm) -> None:
    talks(rhythm)
    rhythm.note_end()


def is_over(rhythm: PollRhythm) -> None:
    ends(rhythm)
    rhythm.note_over()


def has_posted_all(rhythm: PollRhythm) -> None:
    is_over(rhythm)
    rhythm.expect_ack()


@pytest.mark.parametrize(
    ("listening", "happens", "now_s", "expected"),
    [
        (True, nothing, 0.0, DUE),
        (True, nothing, 1.1, AWAY),
        (True, talks, 0.6, BETWEEN),
        (True, talks, 1.0, BETWEEN),
        (True, talks, 1.05, DUE),
        (True, talks, 1.9, DUE),
        (True, talks, 2.1, AWAY),
        (True, talks_in_short_chunks, 0.52, BETWEEN),
        (True, talks_in_short_chunks, 0.59, DUE),
        (True, pauses, 0.82, DUE),
        (True, pauses, 2.4, AWAY),
        (True, pauses_on, 1.3, DUE),
        (True, pauses_on, 2.8, AWAY),
        (True, goes_on, 1.3, BETWEEN),
        (True, ends, 0.6, DUE),
        (True, ends, 5.0, DUE),
        (True, is_over, 0.7, REPLY),
        (True, has_posted_all, 3.0, ACK),
        (False, nothing, 0.0, REPLY),
    ],
)
def test_the_inbox_is_read_again(
    listening: bool,
    happens: Callable[[PollRhythm], None],
    now_s: float,
    expected: NextRead,
) -> None:
    rhythm = PollRhythm(0.0, listening=listening)
    happens(rhythm)
    assert rhythm.next_read(now_s) == expected


def test_a_chunk_that_is_read_again_is_not_news() -> None:
    rhythm = PollRhythm(0.0, listening=True)
    talks(rhythm)
    rhythm.note_chunk(1, 100 * MS, 1.0)
    assert rhythm.next_read(1.05) == DUE
