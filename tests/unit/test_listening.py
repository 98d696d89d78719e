"""Chunks in any order, missing, doubled or too many; utterances that never end."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from parley.inbox import ChunkEntry, EndEntry
from parley.listening import GAP_GIVE_UP_S, GAP_REPORT_S, GAP_WHILE_TALKING_S, Listening


def chunk(seq: int) -> ChunkEntry:
    return ChunkEntry(seq, bytes([seq % 256, 0]))


@given(st.integers(0, 30), st.randoms(use_true_random=False))
def test_any_order_with_duplicates_gives_the_audio_once_in_order(
    count: int, shuffler: random.Random
) -> None:
    arrivals: list[ChunkEntry | EndEntry] = [chunk(seq) for seq in range(1, count + 1)]
    arrivals += shuffler.sample(arrivals, count // 2)
    arrivals += [EndEntry(count, 0), EndEntry(count, 0)]
    shuffler.shuffle(arrivals)
    listening = Listening(8, 0)
    heard: list[bytes] = []
    for entry in arrivals:
        if isinstance(entry, EndEntry):
            listening.take_end(entry, 0)
        else:
            heard += listening.take_chunk(entry, 0)
    rest, errors = listening.update(0)
    assert heard + rest == [chunk(seq).audio for seq in range(1, count + 1)]
    assert errors == []
    assert listening.over


def test_a_gap_is_reported_once_with_its_numbers_and_can_be_filled() -> None:
    listening = Listening(8, 0)
    for seq in (1, 2, 4, 6):
        listening.take_chunk(chunk(seq), 0)
    listening.take_end(EndEntry(7, 0), 0)
    assert listening.update(GAP_REPORT_S - 0.1) == ([], [])
    _, (error,) = listening.update(GAP_REPORT_S)
    assert (error.code, error.missing, error.retryable) == ("audio_gap", [3, 5, 7], True)
    assert listening.update(GAP_REPORT_S + 0.1) == ([], [])
    assert len(listening.take_chunk(chunk(3), 1)) == 2
    assert len(listening.take_chunk(chunk(5), 1)) == 2
    assert len(listening.take_chunk(chunk(7), 1)) == 1
    assert listening.update(1) == ([], [])
    assert listening.over


def test_a_gap_is_reported_while_the_user_still_talks() -> None:
    listening = Listening(8, 0)
    listening.take_chunk(chunk(1), 0)
    listening.take_chunk(chunk(3), 0)
    assert listening.update(0.1) == ([], [])
    assert listening.update(0.1 + GAP_WHILE_TALKING_S - 0.01) == ([], []), "it may be on its way"
    _, (error,) = listening.update(0.1 + GAP_WHILE_TALKING_S)
    assert (error.code, error.missing) == ("audio_gap", [2])
    assert not listening.over
    assert len(listening.take_chunk(chunk(2), 2)) == 2
    assert listening.update(2) == ([], [])


def test_what_was_sent_again_and_lost_again_is_asked_for_again() -> None:
    listening = Listening(8, 0)
    listening.take_chunk(chunk(2), 0)
    listening.take_end(EndEntry(2, 0), 0)
    reports = [at for at in (0.5, 1.0, 1.9, 2.0, 2.5, 3.5) if listening.update(at)[1]]
    assert reports == [0.5, 2.0, 3.5]


def test_a_gap_that_stays_is_given_up_and_the_rest_is_used() -> None:
    listening = Listening(8, 0)
    listening.take_chunk(chunk(1), 0)
    listening.take_chunk(chunk(3), 0)
    listening.take_end(EndEntry(3, 0), 0)
    listening.update(GAP_REPORT_S)
    rest, _ = listening.update(GAP_GIVE_UP_S)
    assert rest == [chunk(3).audio]
    assert listening.over


def test_more_chunks_than_announced_are_left_out_and_told_once() -> None:
    listening = Listening(8, 0)
    listening.take_chunk(chunk(1), 0)
    listening.take_end(EndEntry(1, 0), 0)
    assert listening.update(0) == ([], [])
    assert listening.take_chunk(chunk(2), 0) == []
    _, (error,) = listening.update(0)
    assert (error.code, error.field) == ("bad_request", "audio_chunk.seq")
    listening.take_chunk(chunk(3), 0)
    assert listening.update(0) == ([], [])


def test_chunks_that_were_taken_before_a_shorter_end_are_too_many() -> None:
    listening = Listening(8, 0)
    for seq in (1, 2, 3):
        listening.take_chunk(chunk(seq), 0)
    listening.take_end(EndEntry(2, 0), 0)
    _, (error,) = listening.update(0)
    assert "announced 2 chunks, but chunk 3" in error.message
    assert listening.over


def test_silence_ends_an_utterance_whose_end_never_comes() -> None:
    listening = Listening(8, 0)
    listening.take_chunk(chunk(1), 5)
    listening.take_chunk(chunk(3), 6)
    assert listening.update(13.9)[0] == []
    assert not listening.over, "what came behind a gap was said too"
    assert listening.update(14)[0] == [chunk(3).audio]
    assert listening.over


def test_what_comes_after_the_transcriber_heard_the_end_is_not_used() -> None:
    listening = Listening(8, 0)
    listening.take_chunk(chunk(1), 0)
    listening.stop()
    assert listening.take_chunk(chunk(2), 1) == []
    assert listening.update(100) == ([], [])
