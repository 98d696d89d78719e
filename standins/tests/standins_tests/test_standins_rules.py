"""The stand-ins' rules that need no socket: buffering, alignment, formats, records."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_standins.alignment import TimedWord, align
from parley_standins.audio_formats import (
    HTTP_FORMATS,
    AudioFormat,
    StreamResampler,
    UnsupportedAudio,
    from_pcm,
    from_ulaw,
    from_wav,
    to_alaw,
    to_pcm,
    to_ulaw,
    wav,
)
from parley_standins.faults import ChatSettings, Controls, SpeechSettings
from parley_standins.language_model import arpa, everyday_sentences
from parley_standins.recognizer import written
from parley_standins.request_log import MAX_RECORDS, RequestLog
from parley_standins.text_buffer import BadSchedule, TextBuffer, checked_schedule
from parley_standins.vad import EnergyVad, VadSettings
from parley_standins.voices import MAX_SENTENCE_CHARACTERS, sentences

WORDS = st.lists(
    st.builds(
        TimedWord,
        st.integers(-5, 60),
        st.integers(0, 20),
        st.floats(-100, 5000),
        st.none() | st.floats(-100, 6000),
    ),
    max_size=12,
)


@given(text=st.text(max_size=50), words=WORDS, duration_ms=st.floats(0, 5000))
def test_every_character_has_a_time_in_order(
    text: str, words: list[TimedWord], duration_ms: float
) -> None:
    times = align(text, words, duration_ms)
    assert "".join(times.characters) == text
    assert list(times.starts_ms) == sorted(times.starts_ms)
    tolerance = 1e-6
    for start, end in zip(times.starts_ms, times.ends_ms, strict=True):
        assert -tolerance <= start <= end + tolerance
        assert end <= duration_ms + tolerance


def test_a_words_characters_begin_with_the_word() -> None:
    words = [TimedWord(0, 2, 0.0, 250.0), TimedWord(3, 3, 400.0)]
    times = align("Hi you.", words, 1000.0)
    assert times.starts_ms[3] == 400.0
    assert times.ends_ms[1:3] == (250.0, 400.0)


@given(st.text(max_size=600))
def test_sentences_joined_are_the_text(text: str) -> None:
    found = sentences(text)
    assert "".join(found) == text
    assert all(len(sentence) <= MAX_SENTENCE_CHARACTERS for sentence in found)


def test_a_text_is_cut_into_its_sentences() -> None:
    assert sentences("Hello there. How are you? Fine") == ["Hello there. ", "How are you? ", "Fine"]


def test_the_schedule_wants_more_each_time() -> None:
    buffer = TextBuffer([50, 100])
    assert buffer.add("a" * 49) is None
    assert buffer.add("b") == "a" * 49 + "b"
    assert buffer.add("c" * 99) is None
    assert buffer.add("d") is not None
    assert buffer.flush() is None


def test_a_flush_takes_what_there_is() -> None:
    buffer = TextBuffer()
    assert buffer.add("Hello ") is None
    assert buffer.add("", flush=True) == "Hello "


@pytest.mark.parametrize("given", [[], [49], [501], ["50"], 50, [True]])
def test_a_bad_schedule_is_refused(given: object) -> None:
    with pytest.raises(BadSchedule):
        checked_schedule(given)


def test_companded_audio_stays_close() -> None:
    samples = (8000 * np.sin(np.arange(8000) / 7)).astype(np.int16)
    assert len(to_ulaw(samples)) == len(to_alaw(samples)) == samples.size
    error = from_ulaw(to_ulaw(samples)).astype(int) - samples
    assert np.abs(error).max() < 400


@pytest.mark.parametrize(
    ("sample", "ulaw", "alaw"),
    # ITU-T G.711's corner values.
    [(0, 0xFF, 0xD5), (32767, 0x80, 0xAA), (-32768, 0x00, 0x2A)],
)
def test_companding_agrees_with_g711(sample: int, ulaw: int, alaw: int) -> None:
    samples = np.array([sample], np.int16)
    assert to_ulaw(samples)[0] == ulaw
    assert to_alaw(samples)[0] == alaw


def test_wav_files_come_back() -> None:
    samples = np.arange(-500, 500, dtype=np.int16)
    decoded, rate_hz = from_wav(wav(to_pcm(samples), 22_050))
    assert rate_hz == 22_050
    assert np.array_equal(decoded, samples)


def test_what_is_no_wav_file_is_refused() -> None:
    with pytest.raises(UnsupportedAudio):
        from_wav(b"ID3 not a wav file")


@pytest.mark.parametrize("name", ["opus_48000_64", "pcm_11025", "ulaw", ""])
def test_unknown_formats_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedAudio):
        AudioFormat.parse(name, HTTP_FORMATS)


def test_resampling_in_pieces_keeps_the_length() -> None:
    samples = (8000 * np.sin(np.arange(24_000) / 20)).astype(np.int16)
    stream = StreamResampler(24_000, 16_000)
    pieces = [stream.resample(samples[at : at + 2400]) for at in range(0, 24_000, 2400)]
    assert sum(piece.size for piece in pieces) == pytest.approx(16_000, abs=400)


def test_an_odd_last_byte_is_passed_over() -> None:
    assert from_pcm(b"\x01\x00\x02").tolist() == [1]


def test_voice_activity_ends_after_speech_and_silence() -> None:
    vad = EnergyVad(VadSettings(silence_s=0.5))
    speech = (6000 * np.sin(np.arange(8000) / 5)).astype("<i2").tobytes()
    assert not vad.hear(bytes(64_000)), "silence alone is no utterance"
    assert not vad.hear(speech)
    assert not vad.hear(bytes(12_800))
    assert vad.hear(bytes(6_400))
    assert not vad.hear(bytes(64_000)), "it ends once"


@pytest.mark.parametrize(
    ("spoken", "sentence"),
    [
        ("what time is it", "What time is it?"),
        ("i think i'm fine", "I think I'm fine."),
        ("", ""),
    ],
)
def test_words_are_written_as_a_sentence(spoken: str, sentence: str) -> None:
    assert written(spoken, complete=True) == sentence


def test_the_language_model_sums_to_one_after_any_context() -> None:
    text, words = arpa(
        ["a b", "a c", "b c a"], {"a": 0.2, "d": 0.1}, {("a", "d"): 0.3, ("d", "b"): 0.2}
    )
    assert words == {"a", "b", "c", "d"}
    probability: dict[tuple[str, ...], float] = {}
    backoff: dict[tuple[str, ...], float] = {}
    order = 0
    for line in text.splitlines():
        if line.endswith("-grams:"):
            order = int(line[1])
        elif order and line and not line.startswith("\\"):
            value, *gram = line.split(" ")
            probability[tuple(gram[:order])] = 10 ** float(value)
            backoff[tuple(gram[:order])] = 10 ** float(gram[order]) if gram[order:] else 1.0
    for context in ["a", "b", "c", "d", "<s>"]:
        total = sum(
            probability.get((context, word), backoff[context,] * probability[word,])
            for word in [*words, "</s>"]
        )
        assert math.isclose(total, 1.0, abs_tol=0.005)


def test_patterns_are_filled_from_their_lists() -> None:
    found = everyday_sentences("# talk\nCOLOR: red | blue\n\ni like {COLOR}\n")
    assert sorted(found) == ["i like blue", "i like red"]


def test_a_fault_lasts_as_often_as_it_says() -> None:
    controls = Controls(SpeechSettings())
    controls.change({"faults": {"tts": {"cut": 1, "times": 2}}})
    assert [controls.take_fault("tts") is None for _ in range(3)] == [False, False, True]


def test_a_change_keeps_what_it_does_not_name() -> None:
    controls = Controls(ChatSettings())
    controls.change({"delays": {"llm_token_ms": 5}})
    controls.change({"delays": {"llm_first_token_ms": 7}})
    assert controls.settings.delays.llm_token_ms == 5
    controls.reset()
    assert controls.settings == ChatSettings()


def test_the_oldest_records_go_first() -> None:
    recorder = RequestLog()
    for _ in range(MAX_RECORDS + 3):
        recorder.begin("http", "GET", "/", {}, {})
    ids = [record.id for record in recorder.all()]
    assert (len(ids), ids[0], ids) == (MAX_RECORDS, 4, sorted(ids))


def test_keys_are_not_kept() -> None:
    record = RequestLog().begin(
        "http",
        "GET",
        "/",
        {"token": ["s3cret"]},
        {"Xi-Api-Key": "s3cret", "Authorization": "s3cret"},
    )
    record.frame("in", {"xi_api_key": "s3cret", "text": "hi"})
    assert "s3cret" not in str(record.described())
