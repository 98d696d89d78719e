"""Transcripts out of answers of every form, and what of them somebody said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parley.providers.openai_audio.invention import spoken_text
from parley.providers.openai_audio.languages import code_of, whisper_code
from parley.providers.openai_audio.transcript import (
    MAX_ANSWER_BYTES,
    Segment,
    Transcript,
    TranscriptReader,
)
from parley.providers.replies.failures import BrokenOff, ErrorInAnswer, Nonsense

DONE = {"type": "transcript.text.done", "text": "Hello there."}


def event(content: object, kind: str = "") -> str:
    data = content if isinstance(content, str) else json.dumps(content)
    return (f"event: {kind}\n" if kind else "") + f"data: {data}\n\n"


def delta(text: str) -> str:
    return event({"type": "transcript.text.delta", "delta": text})


def chunk(text: str, finish: str | None = None) -> str:
    choice = {"delta": {"content": text}, "finish_reason": finish}
    return event({"object": "transcription.chunk", "choices": [choice]})


def read(
    *parts: str, content_type: str = "application/json", size: int = 7
) -> tuple[list[str], Transcript]:
    """The partial texts and the transcript of an answer, cut into pieces of so many bytes."""
    whole = "".join(parts).encode()
    reader = TranscriptReader(content_type)
    found = [reader.feed(whole[at : at + size]) for at in range(0, len(whole), size)]
    return [text for text in found if text], reader.close()


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_openais_events_are_a_stream_of_words(size: int) -> None:
    partial, found = read(delta("Hello"), delta(" there."), event(DONE), size=size)
    assert found.text == "Hello there."
    if size == 1:
        assert partial == ["Hello", "Hello there."]


def test_vllms_chunks_are_a_stream_of_words() -> None:
    partial, found = read(chunk("Hello"), chunk(" there."), chunk("", "stop"), event("[DONE]"))
    assert partial == ["Hello", "Hello there."]
    assert found == Transcript("Hello there.")


def test_segments_of_the_oldest_servers_are_joined() -> None:
    partial, found = read(event({"text": " Hello there."}), event(" And you?"))
    assert partial == ["Hello there.", "Hello there. And you?"]
    assert found.text == "Hello there. And you?"


def test_a_comment_and_a_name_before_the_events_are_a_stream_too() -> None:
    assert read(": hi\n\n", event(DONE, "transcript.text.done"))[1].text == "Hello there."


def test_an_unknown_event_is_passed_over() -> None:
    assert read(event({"type": "transcript.text.segment"}), event(DONE))[1].text == "Hello there."


def test_json_is_a_transcript_whatever_was_asked_for() -> None:
    answer = json.dumps({"text": " Hello there.\n", "usage": {}})
    assert read(answer, content_type="text/event-stream") == ([], Transcript("Hello there."))
    assert read('{"text": null}')[1] == Transcript("")
    assert read('\n "Hello there."')[1] == Transcript("Hello there.")


def test_verbose_json_says_more() -> None:
    segment = {"text": " Hello.", "no_speech_prob": 0.25, "avg_logprob": -0.5}
    answer = {"text": "Hello.", "language": "german", "segments": [segment, {"text": "x"}, None]}
    assert read(json.dumps(answer))[1] == Transcript(
        "Hello.", "de", (Segment("Hello.", 0.25, -0.5), Segment("x"))
    )


@pytest.mark.parametrize(
    ("languages", "code"), [([{"code": "fr"}, {"code": "en"}], "fr"), ([], ""), (["fr"], "fr")]
)
def test_gpt_transcribe_names_languages(languages: list[Any], code: str) -> None:
    assert read(json.dumps({"text": "Oui.", "languages": languages}))[1].language == code
    assert read(event({**DONE, "languages": languages}))[1].language == code


def test_plain_text_is_a_transcript_if_it_is_called_so() -> None:
    assert (
        read("Hello there.\n", content_type="text/plain; charset=utf-8")[1].text == "Hello there."
    )


@pytest.mark.parametrize(
    "answer",
    [
        *("", "Hello", "<html>", "[1]", "{", '{"text": 3}', '{"result": "x"}', "data: {\n\n"),
        *(": nothing\n\n", 'data: {"choices": [3]}\n\n', "dat", " " * (MAX_ANSWER_BYTES + 1)),
    ],
)
def test_nonsense_says_so(answer: str) -> None:
    with pytest.raises(Nonsense):
        read(answer, size=100_000)


def test_deltas_without_an_end_are_broken_off() -> None:
    with pytest.raises(BrokenOff):
        read(delta("Hello"))
    with pytest.raises(BrokenOff):
        read(chunk("Hello"))


@pytest.mark.parametrize(
    "answer",
    [
        '{"error": "failed to process audio"}',
        event({"error": {"code": "server_error"}}),
        delta("Hel") + event({"code": "server_error"}, "error"),
    ],
)
def test_an_error_in_the_answer_says_so(answer: str) -> None:
    with pytest.raises(ErrorInAnswer):
        read(answer)


# --- what somebody said ---------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["[BLANK_AUDIO]", " (wind blowing) ", "*coughs*", "♪♪♪", "♪ la la ♪", ".", "…", ""]
)
def test_sounds_are_no_speech(text: str) -> None:
    assert spoken_text(Transcript(text)) == ""


@pytest.mark.parametrize("text", ["Thank you.", "Yes (of course).", "谢谢", "5", "I paid [sic]."])
def test_words_are_speech_if_nothing_speaks_against_them(text: str) -> None:
    assert spoken_text(Transcript(text)) == text
    assert spoken_text(Transcript(text, "", (Segment(text),))) == text
    assert spoken_text(Transcript(text, "", (Segment(text, 0.02, -0.3),))) == text


@pytest.mark.parametrize("text", ["Thank you.", " Thanks for watching!", "you", "Vielen Dank."])
def test_words_for_silence_are_dropped_if_the_model_doubts_them(text: str) -> None:
    assert spoken_text(Transcript(text, "en", (Segment(text, 0.5, -0.4),))) == ""


def test_a_segment_that_is_silent_by_whispers_limits_is_dropped() -> None:
    heard, silent = Segment("Turn it off.", 0.1, -0.3), Segment("And then.", 0.7, -1.2)
    assert spoken_text(Transcript("Turn it off. And then.", "", (heard, silent))) == "Turn it off."
    doubtful = Segment("And then.", 0.7, -0.9)
    both = Transcript("Turn it off. And then.", "", (heard, doubtful))
    assert spoken_text(both) == "Turn it off. And then."


# --- languages ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("english", "en"),
        ("English", "en"),
        ("en", "en"),
        ("pt-BR", "pt"),
        ("tagalog", "fil"),
        ("tl", "fil"),
        ("cantonese", "yue"),
        ("klingon", ""),
        ("", ""),
        (None, ""),
        (3, ""),
    ],
)
def test_languages_have_codes(name: object, code: str) -> None:
    assert code_of(name) == code


def test_whisper_has_its_own_code_for_filipino() -> None:
    assert (whisper_code("fil"), whisper_code("de")) == ("tl", "de")
