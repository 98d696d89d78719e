"""Chunks in any order, missing, doubled or too many; utterances that never end."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from parley.storage.inbox_entries import ChunkEntry, EndEntry
from parley.turn.input.endpointing import (
    GAP_GIVE_UP_AT_LAST_S,
    GAP_GIVE_UP_S,
    GAP_LOOK_S,
    GAP_REPORT_S,
    GAP_WHILE_TALKING_GIVE_UP_S,
    GAP_WHILE_TALKING_S,
    EndpointDetector,
)


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
    detector = EndpointDetector(8, 0)
    heard: list[bytes] = []
    for entry in arrivals:
        if isinstance(entry, EndEntry):
            detector.note_end(entry, 0)
        else:
            heard += detector.add_chunk(entry, 0)
    rest, errors = detector.advance(0)
    assert heard + rest == [chunk(seq).audio for seq in range(1, count + 1)]
    assert errors == []
    assert detector.over


def test_a_gap_is_reported_once_with_its_numbers_and_can_be_filled() -> None:
    detector = EndpointDetector(8, 0)
    for seq in (1, 2, 4, 6):
        detector.add_chunk(chunk(seq), 0)
    detector.note_end(EndEntry(7, 0), 0)
    assert detector.advance(GAP_REPORT_S - 0.1) == ([], [])
    _, (error,) = detector.advance(GAP_REPORT_S)
    assert (error.code, error.missing, error.retryable) == ("audio_gap", [3, 5, 7], True)
    assert detector.advance(GAP_REPORT_S + 0.1) == ([], [])
    assert len(detector.add_chunk(chunk(3), 1)) == 2
    assert len(detector.add_chunk(chunk(5), 1)) == 2
    assert len(detector.add_chunk(chunk(7), 1)) == 1
    assert detector.advance(1) == ([], [])
    assert detector.over


def test_a_gap_is_reported_while_the_user_still_talks() -> None:
    detector = EndpointDetector(8, 0)
    detector.add_chunk(chunk(1), 0)
    detector.add_chunk(chunk(3), 0)
    assert detector.advance(0.1) == ([], [])
    assert detector.advance(0.1 + GAP_WHILE_TALKING_S - 0.01) == ([], []), "it may be on its way"
    _, (error,) = detector.advance(0.1 + GAP_WHILE_TALKING_S)
    assert (error.code, error.missing) == ("audio_gap", [2])
    assert not detector.over
    assert len(detector.add_chunk(chunk(2), 2)) == 2
    assert detector.advance(2) == ([], [])


def test_what_was_sent_again_and_lost_again_is_asked_for_again() -> None:
    detector = EndpointDetector(8, 0)
    detector.add_chunk(chunk(2), 0)
    detector.note_end(EndEntry(2, 0), 0)
    reports = [at for at in (0.5, 1.0, 1.9, 2.0, 2.5, 3.5) if detector.advance(at)[1]]
    assert reports == [0.5, 2.0, 3.5]


def test_a_gap_that_stays_is_given_up_and_the_rest_is_used() -> None:
    detector = EndpointDetector(8, 0)
    detector.add_chunk(chunk(1), 0)
    detector.add_chunk(chunk(3), 0)
    detector.note_end(EndEntry(3, 0), 0)
    detector.advance(GAP_REPORT_S)
    rest, _ = detector.advance(GAP_GIVE_UP_S)
    assert rest == [chunk(3).audio]
    assert detector.over


def test_a_client_that_came_back_or_sends_what_was_missing_is_waited_for_anew() -> None:
    detector = EndpointDetector(8, 0)
    detector.add_chunk(chunk(4), 0)
    detector.note_end(EndEntry(4, 0), 0)
    detector.note_resume(GAP_GIVE_UP_S - 1)
    assert detector.advance(GAP_GIVE_UP_S)[0] == []
    heard = detector.add_chunk(chunk(1), 2 * GAP_GIVE_UP_S - 1.5)
    assert detector.advance(2 * GAP_GIVE_UP_S)[0] == []
    heard += detector.add_chunk(chunk(2), GAP_GIVE_UP_AT_LAST_S - 1)
    assert heard == [chunk(1).audio, chunk(2).audio]
    assert detector.advance(GAP_GIVE_UP_AT_LAST_S - 0.5)[0] == []
    assert detector.advance(GAP_GIVE_UP_AT_LAST_S)[0] == [chunk(4).audio], "not for ever"
    assert detector.over


def test_chunks_that_nobody_waits_for_do_not_make_it_wait_for_longer() -> None:
    detector = EndpointDetector(8, 0)
    detector.add_chunk(chunk(1), 0)
    detector.add_chunk(chunk(3), 0)
    detector.note_end(EndEntry(3, 0), 0)
    detector.add_chunk(chunk(4), GAP_GIVE_UP_S - 1)  # beyond what was announced
    detector.add_chunk(chunk(3), GAP_GIVE_UP_S - 0.5)  # again
    detector.advance(GAP_GIVE_UP_S)
    assert detector.over


def talk(
    detector: EndpointDetector, chunks: range, from_s: float
) -> tuple[list[bytes], list[list[int]]]:
    """Chunks every half second; what was handed on and which chunks were asked for."""
    heard: list[bytes] = []
    asked: list[list[int]] = []
    for n, seq in enumerate(chunks):
        heard += detector.add_chunk(chunk(seq), from_s + n / 2)
        audio, errors = detector.advance(from_s + n / 2)
        heard += audio
        asked += [error.missing or [] for error in errors]
    return heard, asked


def test_a_gap_that_stays_while_the_user_talks_is_given_up_after_it_was_asked_for() -> None:
    detector = EndpointDetector(8, 0)
    assert talk(detector, range(1, 3), 0)[0] == [chunk(1).audio, chunk(2).audio]
    late = range(4, 4 + 2 * int(GAP_WHILE_TALKING_GIVE_UP_S))
    assert talk(detector, late, 1) == ([], [[3], [3], [3]]), "it may still come"
    heard, _ = talk(detector, range(late.stop, late.stop + 2), 1 + len(late) / 2)
    assert heard == [chunk(seq).audio for seq in range(4, late.stop + 2)]
    assert not detector.over
    assert detector.add_chunk(chunk(3), 7) == [], "too late"
    assert len(detector.add_chunk(chunk(late.stop + 2), 7)) == 1


def test_a_gap_is_not_given_up_while_the_client_is_away() -> None:
    detector = EndpointDetector(100, 0)
    talk(detector, range(1, 2), 0)
    talk(detector, range(3, 5), 0.5)
    for now_s in range(2, 60):
        assert detector.advance(now_s)[0] == []
    assert talk(detector, range(5, 7), 60)[0] == []
    assert len(detector.add_chunk(chunk(2), 61)) == 5


def test_a_gap_that_closes_bit_by_bit_is_not_given_up() -> None:
    detector = EndpointDetector(100, 0)
    steady = range(5, 5 + 2 * 16)
    for n, seq in enumerate(steady):
        detector.add_chunk(chunk(seq), n / 2)
        assert detector.advance(n / 2)[0] == []
        if n in (8, 16, 24):  # one of four comes every four seconds
            assert len(detector.add_chunk(chunk(n // 8), n / 2)) == 1
    assert len(detector.add_chunk(chunk(4), 16)) == 1 + len(steady)


def test_gaps_that_stay_do_not_add_up() -> None:
    detector = EndpointDetector(100, 0)
    came = [seq for seq in range(1, 200) if seq % 5]  # two of ten seconds are lost
    heard = []
    for n, seq in enumerate(came):
        heard += detector.add_chunk(chunk(seq), n / 2)
        heard += detector.advance(n / 2)[0]
        behind_s = (n + 1 - len(heard)) / 2
        assert behind_s <= GAP_WHILE_TALKING_GIVE_UP_S + 0.5
    assert heard == [chunk(seq).audio for seq in came[: len(heard)]]


def test_what_has_come_behind_a_gap_that_was_asked_for_is_read_rarely() -> None:
    detector = EndpointDetector(100, 0)
    for seq in (1, 3, 4):
        detector.add_chunk(chunk(seq), 0)
    detector.advance(0)
    assert [detector.first_seq_to_read(at) for at in (0.0, 0.025, 0.05)] == [2, 2, 2], "on its way"
    detector.advance(GAP_WHILE_TALKING_S)
    reads = [detector.first_seq_to_read(1 + n * 0.025) for n in range(40)]
    assert reads.count(2) == 1 / GAP_LOOK_S
    assert set(reads) == {2, 5}


def test_what_has_come_behind_a_gap_is_not_read_again_when_it_is_over() -> None:
    detector = EndpointDetector(8, 0)
    for seq in (1, 3):
        detector.add_chunk(chunk(seq), 0)
    detector.note_end(EndEntry(3, 0), 0)
    detector.advance(GAP_GIVE_UP_S)
    assert detector.over
    assert detector.first_seq_to_read(GAP_GIVE_UP_S + 9) == 4
    detector.add_chunk(chunk(9), GAP_GIVE_UP_S + 9)
    assert detector.first_seq_to_read(GAP_GIVE_UP_S + 9) == 10


def test_more_chunks_than_announced_are_left_out_and_told_once() -> None:
    detector = EndpointDetector(8, 0)
    detector.add_chunk(chunk(1), 0)
    detector.note_end(EndEntry(1, 0), 0)
    assert detector.advance(0) == ([], [])
    assert detector.add_chunk(chunk(2), 0) == []
    _, (error,) = detector.advance(0)
    assert (error.code, error.field) == ("bad_request", "audio_chunk.seq")
    detector.add_chunk(chunk(3), 0)
    assert detector.advance(0) == ([], [])


def test_chunks_that_were_taken_before_a_shorter_end_are_too_many() -> None:
    detector = EndpointDetector(8, 0)
    for seq in (1, 2, 3):
        detector.add_chunk(chunk(seq), 0)
    detector.note_end(EndEntry(2, 0), 0)
    _, (error,) = detector.advance(0)
    assert "announced 2 chunks, but chunk 3" in error.message
    assert detector.over


def test_silence_ends_an_utterance_whose_end_never_comes() -> None:
    detector = EndpointDetector(8, 0)
    detector.add_chunk(chunk(1), 5)
    detector.add_chunk(chunk(3), 6)
    assert detector.advance(13.9)[0] == []
    assert not detector.over, "what came behind a gap was said too"
    assert detector.advance(14)[0] == [chunk(3).audio]
    assert detector.over


def test_what_comes_after_the_transcriber_heard_the_end_is_not_used() -> None:
    detector = EndpointDetector(8, 0)
    detector.add_chunk(chunk(1), 0)
    detector.end_utterance()
    assert detector.add_chunk(chunk(2), 1) == []
    assert detector.advance(100) == ([], [])
