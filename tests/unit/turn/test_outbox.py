"""What leaves is numbered without a gap, in order, and all of it."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.audio.heard import EstimatedWord
from parley.audio.pcm import MAX_PACKET_BYTES, PACKET_MS, AudioPacker
from parley.errors import ParleyError
from parley.protocol.messages import (
    Audio,
    Error,
    Metrics,
    ReplyText,
    Transcript,
    TurnEnd,
    Word,
    encode,
)
from parley.turn.output.outbox import (
    AHEAD_HOLD_S,
    AUDIO_HOLD_S,
    PARTIAL_INTERVAL_S,
    TEXT_INTERVAL_S,
    Numbered,
    Outbox,
)

RATE = 24_000


def drained(outbox: Outbox, now_s: float) -> list[Numbered]:
    events: list[Numbered] = []
    while (event := outbox.take_next(now_s, everything=True)) is not None:
        events.append(event)
    return events


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("text"), st.text(min_size=1, max_size=5)),
            st.tuples(st.just("audio"), st.integers(1, 30_000)),
            st.tuples(st.just("next"), st.floats(0, 0.1)),
        ),
        max_size=40,
    )
)
def test_everything_leaves_once_in_order(steps: list[tuple[str, object]]) -> None:
    outbox = Outbox("t", "pcm_24000")
    maker = random.Random(1)
    now, text, audio, left = 0.0, "", b"", []
    for kind, value in steps:
        if kind == "text":
            text += str(value)
            outbox.add_text(str(value), now)
        elif kind == "audio":
            pcm = maker.randbytes(int(str(value)))
            audio += pcm
            outbox.add_audio(pcm, [], now)
        else:
            now += float(str(value))
            while (event := outbox.take_next(now)) is not None:
                left.append(event)
    if len(audio) % 2:
        outbox.add_audio(b"\0", [], now)
        audio += b"\0"
    outbox.close_audio()
    left += drained(outbox, now)
    assert [event.seq for event in left] == list(range(1, len(left) + 1))
    assert "".join(e.delta for e in left if isinstance(e, ReplyText)) == text
    assert b"".join(e.audio for e in left if isinstance(e, Audio)) == audio
    position = 0
    for event in left:
        if isinstance(event, Audio):
            assert event.start_ms == position
            position += event.duration_ms
            assert len(encode(event)) < 32_768
    assert outbox.is_empty()


def test_the_first_packet_is_small_and_later_ones_grow() -> None:
    outbox = Outbox("t", "pcm_24000")
    outbox.add_audio(bytes(RATE * 2 * 2), [], 0)
    sizes = [e.duration_ms for e in drained(outbox, 0) if isinstance(e, Audio)]
    assert sizes[:4] == list(PACKET_MS[:4])
    assert set(sizes[4:-1]) <= {458, 459}, "as much as fits"


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_a_packet_is_never_too_large_for_a_unit_of_metering(rate: int) -> None:
    packer = AudioPacker(rate)
    packer.add(bytes(rate * 4))
    while packet := packer.take_packet():
        assert len(packet) <= MAX_PACKET_BYTES
        assert len(packet) % 2 == 0


def test_text_gathers_after_its_first_bit() -> None:
    outbox = Outbox("t", "pcm_24000")
    outbox.add_text("a", 0)
    assert isinstance(outbox.take_next(0), ReplyText)
    outbox.add_text("b", 0.01)
    outbox.add_text("c", 0.02)
    assert outbox.take_next(0.03) is None
    assert outbox.due_in_s(0.03) == pytest.approx(TEXT_INTERVAL_S - 0.03)
    event = outbox.take_next(TEXT_INTERVAL_S)
    assert isinstance(event, ReplyText)
    assert event.delta == "bc"


def test_a_packet_that_is_not_full_waits_a_little_for_more() -> None:
    outbox = Outbox("t", "pcm_24000")
    outbox.add_audio(bytes(2400), [], 0)
    assert isinstance(outbox.take_next(0), Audio), "the first sound never waits"
    outbox.add_audio(bytes(100), [], 1)
    assert outbox.take_next(1) is None
    assert isinstance(outbox.take_next(1 + AUDIO_HOLD_S), Audio)


def test_a_packet_waits_longer_while_the_client_has_enough_to_play() -> None:
    outbox = Outbox("t", "pcm_24000")
    outbox.add_audio(bytes(RATE * 2 * 2 + 100), [], 0)
    while outbox.take_next(0) is not None:
        pass
    assert outbox.due_in_s(0) == pytest.approx(AHEAD_HOLD_S), "the rest of the last packet"
    assert isinstance(outbox.take_next(AHEAD_HOLD_S), Audio)
    outbox.add_audio(bytes(100), [], 0.9)
    assert outbox.due_in_s(0.9) == pytest.approx(AHEAD_HOLD_S)
    assert isinstance(outbox.take_next(0.9 + AHEAD_HOLD_S), Audio)
    outbox.add_audio(bytes(100), [], 1.2)
    assert outbox.due_in_s(1.2) == pytest.approx(AUDIO_HOLD_S), "less than a second is left"
    outbox.close_audio()
    assert outbox.due_in_s(1.2) == 0


def test_every_word_goes_with_the_audio_it_begins_in() -> None:
    outbox = Outbox("t", "pcm_24000")
    words = [Word("a", 0, 40), Word("b", 60, 90), Word("c", 120, 400), Word("late", 990, 1200)]
    outbox.add_audio(bytes(RATE * 2), words, 0)
    outbox.close_audio()
    audio = [event for event in drained(outbox, 0) if isinstance(event, Audio)]
    assert [word for event in audio for word in event.words] == words
    for event in audio[:-1]:
        assert all(word.start_ms < event.start_ms + event.duration_ms for word in event.words)


def test_an_interruption_drops_what_has_not_left_and_leaves_no_gap() -> None:
    outbox = Outbox("t", "pcm_24000")
    outbox.add_text("heard", 0)
    outbox.add_audio(bytes(9600), [], 0)
    first = outbox.take_next(0)
    outbox.drop_unsent()
    assert outbox.is_empty()
    outbox.add_end("interrupted", "heard", Metrics())
    end = outbox.take_next(0)
    assert isinstance(first, ReplyText)
    assert isinstance(end, TurnEnd)
    assert (first.seq, end.seq) == (1, 2)


def test_partial_transcripts_leave_now_and_then() -> None:
    outbox = Outbox("t", "pcm_24000")
    left: list[tuple[float, str]] = []
    words, now, step = 0, 0.0, 0.05
    for words in range(1, 41):
        outbox.add_transcript("w" * words, final=False)
        now = words * step
        while (event := outbox.take_next(now)) is not None:
            assert isinstance(event, Transcript)
            left.append((now, event.text))
    times = [at for at, _ in left]
    assert times[0] == step, "the first one leaves at once"
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) >= PARTIAL_INTERVAL_S - 1e-9
    assert max(gaps) <= PARTIAL_INTERVAL_S + step
    outbox.add_transcript("w" * 42, final=False)
    due_in_s = outbox.due_in_s(now)
    assert due_in_s is not None
    assert 0 < due_in_s <= PARTIAL_INTERVAL_S
    assert outbox.take_next(now) is None
    assert not outbox.is_empty()
    event = outbox.take_next(now + due_in_s)
    assert isinstance(event, Transcript)
    assert event.text == "w" * 42, "the newest one is shown"


def test_a_partial_transcript_that_says_nothing_new_stays() -> None:
    outbox = Outbox("t", "pcm_24000")
    for at_s in (0.0, 1.0, 2.0):
        outbox.add_transcript("what time", final=False)
        assert (outbox.take_next(at_s) is None) == (at_s > 0)
    assert outbox.is_empty()
    outbox.add_transcript("what time", final=True)
    event = outbox.take_next(2.0)
    assert isinstance(event, Transcript)
    assert event.final, "the final one waits for nothing"


@pytest.mark.parametrize("ends", [True, False])
def test_a_partial_transcript_that_waits_is_of_no_use_to_a_turn_that_ends(ends: bool) -> None:
    outbox = Outbox("t", "pcm_24000")
    outbox.add_transcript("what", final=False)
    outbox.take_next(0.0)
    outbox.add_transcript("what time", final=False)
    if ends:
        outbox.add_end("failed", "", Metrics())
    else:
        outbox.drop_unsent()
    assert [type(event) for event in drained(outbox, 0.0)] == ([TurnEnd] if ends else [])


def test_a_newer_partial_transcript_takes_the_place_of_one_that_has_not_left() -> None:
    outbox = Outbox("t", "pcm_24000")
    outbox.add_transcript("what", final=False)
    outbox.add_transcript("what time", final=False)
    outbox.add_transcript("What time is it?", final=True)
    outbox.add_transcript("no more", final=False)
    events = [event for event in drained(outbox, 0) if isinstance(event, Transcript)]
    assert [event.text for event in events] == ["What time is it?", "no more"]


def test_errors_of_a_turn_are_numbered() -> None:
    outbox = Outbox("t", "pcm_24000")
    outbox.add_error(ParleyError("speech_failed", "No.", retryable=True))
    (event,) = drained(outbox, 0)
    assert isinstance(event, Error)
    assert (event.turn_id, event.seq, event.code) == ("t", 1, "speech_failed")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["audio", "next", "text", "drop"]),
            st.integers(1, 60),
            st.floats(0, 0.1),
        ),
        max_size=40,
    )
)
def test_words_leave_once_in_order_and_never_before_their_audio(
    steps: list[tuple[str, int, float]],
) -> None:
    """Audio comes in frames of some 10 ms words, as a synthesizer sends it."""
    outbox = Outbox("t", "pcm_24000")
    now, sounded_ms, count = 0.0, 0, 0
    left: list[Numbered] = []
    expected: list[str] = []
    for kind, size, wait_s in steps:
        now += wait_s
        if kind == "audio":
            words = [
                Word(str(count + n), sounded_ms + 10 * n, sounded_ms + 10 * n + 8)
                for n in range(size)
            ]
            count += size
            sounded_ms += 10 * size
            expected += [word.text for word in words]
            outbox.add_audio(bytes(480 * size), words, now)
        elif kind == "text":
            outbox.add_text("x", now)
        elif kind == "next":
            while (event := outbox.take_next(now)) is not None:
                left.append(event)
        elif not expected:
            outbox.drop_unsent()  # dropping is the end of a reply: only before its audio here
    outbox.close_audio()
    left += drained(outbox, now)
    audio = [event for event in left if isinstance(event, Audio)]
    assert [word.text for event in audio for word in event.words] == expected
    for event in audio:
        assert all(word.start_ms < event.start_ms + event.duration_ms for word in event.words)
    assert [getattr(event, "seq", 0) for event in left] == list(range(1, len(left) + 1))


@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=12), st.integers(0, 12))
def test_after_an_interruption_nothing_is_left_and_numbers_go_on(
    sizes: list[int], posted: int
) -> None:
    outbox = Outbox("t", "pcm_24000")
    for size in sizes:
        outbox.add_audio(bytes(size), [Word("w", 0, 1)], 0)
        outbox.add_text("w ", 0)
        outbox.add_transcript("w", final=False)
    left = [event for _ in range(posted) if (event := outbox.take_next(1)) is not None]
    outbox.drop_unsent()
    assert outbox.is_empty()
    assert outbox.take_next(9, everything=True) is None
    assert outbox.due_in_s(9) is None
    outbox.add_end("interrupted", "", Metrics())
    end = outbox.take_next(9)
    assert isinstance(end, TurnEnd)
    assert end.seq == len(left) + 1
    assert outbox.is_empty()


@given(st.binary(max_size=60_000), st.integers(1, 5_000), st.sampled_from([8_000, 44_100]))
def test_packets_joined_are_the_audio_that_went_in(pcm: bytes, size: int, rate: int) -> None:
    packer = AudioPacker(rate)
    packets: list[bytes] = []
    for at in range(0, len(pcm), size):
        packer.add(pcm[at : at + size])
        while packer.is_full():
            packets.append(packer.take_packet())
    while packet := packer.take_packet():
        packets.append(packet)
    assert b"".join(packets) == pcm[: len(pcm) // 2 * 2]
    assert all(len(packet) % 2 == 0 for packet in packets)
    assert packer.pending_bytes == len(pcm) % 2
    assert packer.taken_bytes + packer.pending_bytes == len(pcm)


def test_an_odd_byte_at_the_end_keeps_nothing_waiting() -> None:
    outbox = Outbox("t", "pcm_24000")
    outbox.add_audio(bytes(4801), [], 0)
    outbox.close_audio()
    drained(outbox, 0)
    assert outbox.is_empty()
    assert outbox.due_in_s(0) is None


def test_words_that_become_known_after_all_audio_has_left_still_leave() -> None:
    outbox = Outbox("t", "pcm_16000")
    outbox.add_audio(bytes(1600), [], 0.0)
    assert outbox.take_next(0.0) is not None
    outbox.add_audio(b"", [Word("late", 10, 40)], 0.0)
    outbox.close_audio()
    assert not outbox.is_empty()
    event = outbox.take_next(0.0)
    assert isinstance(event, Audio)
    assert (event.audio, event.words) == (b"", [Word("late", 10, 40)])
    assert outbox.is_empty()


def test_the_end_leaves_after_everything_else_and_holds_nothing_back() -> None:
    outbox = Outbox("t", "pcm_24000", attempt=2)
    outbox.add_audio(bytes(4_800), [], 0)
    assert isinstance(outbox.take_next(0), Audio)
    outbox.add_end("completed", "x", Metrics())
    outbox.add_audio(bytes(100), [], 0)
    outbox.add_text("x", 0)
    left = drained(outbox, 0)
    assert [type(event).__name__ for event in left][-1] == "TurnEnd"
    assert [event.seq for event in left] == [2, 3, 4]
    assert {event.attempt for event in left} == {2}


def test_what_has_left_is_kept_until_it_is_acknowledged() -> None:
    outbox = Outbox("t", "pcm_24000")
    for n in range(4):
        outbox.add_transcript(str(n), final=True)
    left = drained(outbox, 0)
    assert outbox.unacknowledged(0) == left
    assert outbox.unacknowledged(2) == left[2:]
    outbox.acknowledge(3)
    assert outbox.unacknowledged(0) == left[3:]
    outbox.acknowledge(1)
    assert outbox.unacknowledged(0) == left[3:]


def test_after_an_interruption_audio_is_not_sent_again_but_its_number_is() -> None:
    outbox = Outbox("t", "pcm_24000")
    outbox.add_audio(bytes(9_600), [Word("w", 0, 1)], 0)
    outbox.close_audio()
    left = drained(outbox, 0)
    assert any(event.audio for event in left if isinstance(event, Audio))
    outbox.drop_unsent()
    again = outbox.unacknowledged(0)
    assert [event.seq for event in again] == [event.seq for event in left]
    assert all(event.audio == b"" for event in again if isinstance(event, Audio))


def test_words_that_become_known_after_their_sound_has_left_leave_at_once() -> None:
    outbox = Outbox("t", "pcm_24000")
    outbox.add_audio(bytes(48_000), [], 0.0)  # a second
    while outbox.take_next(0.0, everything=True):
        pass
    assert outbox.is_empty()
    outbox.add_audio(b"", [EstimatedWord("One", 0, 400), EstimatedWord("two", 400, 1_000)], 1.0)
    late = outbox.take_next(2.0)
    assert isinstance(late, Audio)
    assert (late.audio, late.start_ms, late.duration_ms) == (b"", 1_000, 0)
    assert ([word.text for word in late.words], late.estimated) == (["One", "two"], True)


def test_an_event_is_estimated_if_one_of_its_words_is() -> None:
    outbox = Outbox("t", "pcm_24000")
    outbox.add_audio(bytes(960), [Word("One", 0, 10)], 0.0)
    exact = outbox.take_next(0.0)
    outbox.add_audio(bytes(960), [Word("two", 20, 30), EstimatedWord("three", 30, 40)], 0.0)
    mixed = outbox.take_next(0.0, everything=True)
    assert isinstance(exact, Audio)
    assert isinstance(mixed, Audio)
    assert (exact.estimated, mixed.estimated) == (False, True)


def test_an_interruption_leaves_the_words_of_what_has_left() -> None:
    outbox = Outbox("t", "pcm_24000")
    outbox.add_audio(bytes(9_600), [], 0.0)
    first = outbox.take_next(0.0)
    assert isinstance(first, Audio)
    outbox.add_audio(b"", [EstimatedWord("One", 0, 100), EstimatedWord("two", 100, 200)], 0.0)
    outbox.drop_unsent()
    left = round(first.duration_ms)
    assert [word.text for word in outbox.words] == ["One", "two"][: 1 + (left > 100)]


# --- what was held back -------------------------------------------------------------------


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("text"), st.text(min_size=1, max_size=5), st.booleans()),
            st.tuples(st.just("audio"), st.integers(1, 30_000), st.booleans()),
        ),
        max_size=20,
    ),
    st.integers(0, 20),
)
def test_what_was_held_back_leaves_as_if_it_had_not_been(
    steps: list[tuple[str, object, bool]], held: int
) -> None:
    whole, turn, draft = (Outbox("t", "pcm_24000") for _ in range(3))
    turn.add_transcript("What?", final=True)
    whole.add_transcript("What?", final=True)
    maker, now = random.Random(1), 0.0

    def put(outbox: Outbox, kind: str, value: object, flag: bool, pcm: bytes) -> None:
        if kind == "text":
            outbox.add_text(str(value), now, filler=flag)
        else:
            start_ms = round(outbox.audio_ms)
            outbox.add_audio(pcm, [Word("w", start_ms, start_ms + 1)] if flag else [], now)

    outbox = draft
    for number, (kind, value, flag) in enumerate(steps):
        if number == held:
            turn.take_over(draft, now)
            outbox = turn
        pcm = maker.randbytes(int(str(value))) if kind == "audio" else b""
        put(whole, kind, value, flag, pcm)
        put(outbox, kind, value, flag, pcm)
    outbox.close_audio()
    whole.close_audio()
    if outbox is draft:
        turn.take_over(draft, now)
    assert turn.audio_ms == whole.audio_ms
    assert turn.words == whole.words
    assert said(drained(turn, now)) == said(drained(whole, now))
    assert drained(draft, now) == []


def said(events: list[Numbered]) -> list[object]:
    """What is seen and heard, in its order, however it is cut."""
    found: list[object] = []
    for event in events:
        if isinstance(event, ReplyText):
            found.append(("text", event.delta, event.filler))
        elif isinstance(event, Audio):
            found.append(("audio", event.audio, event.start_ms, event.words))
        else:
            found.append(type(event))
    return found
