"""A conversation as data, Markdown and WebVTT; the lines that its words are kept in."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
import webvtt
from webvtt import WebVTT

from parley.audio.captions import LINE_CHARS, Cue, Sound, split_cues
from parley.http.transcripts import render_markdown, render_webvtt, summarize_session, view_session
from parley.principal import ANONYMOUS
from parley.protocol.messages import Message, Settings, Word
from parley.storage.item_codec import Session
from parley.storage.session_reader import Conversation, Head, Record
from parley.text.scripts import unit_ends

BEGAN_S = 1_700_000_000
BEGAN_MS = BEGAN_S * 1000
SAID = "Once there was a fox. It slept."
CUES = [Cue(100, 1_500, 21), Cue(1_600, 2_400, 31)]


def conversation(*records: Record, status: str = "active", expires_at: int = 0) -> Conversation:
    session = Session(
        ANONYMOUS.session("s"), "", "c", Settings(), status, "t", expires_at=expires_at
    )
    return Conversation(Head(session, BEGAN_S, BEGAN_MS + 500), list(records))


def asked(text: str = "A story?", at_ms: int = 1_000) -> Record:
    return Record(Message("user", text, "t"), Sound(BEGAN_MS + at_ms))


def replied(
    text: str = SAID, heard: str | None = None, cues: list[Cue] = CUES, duration_ms: int = 2_500
) -> Record:
    message = Message("assistant", text, "t", heard)
    return Record(message, Sound(BEGAN_MS + 2_000, duration_ms, cues))


def parsed(*records: Record) -> list[tuple[float, float, str, str]]:
    """The captions, as a WebVTT parser reads them: start, end, who, text with its tags."""
    found: WebVTT = webvtt.from_string(render_webvtt(conversation(*records)))
    return [
        (
            each.start_time.in_milliseconds() / 1000,
            each.end_time.in_milliseconds() / 1000,
            each.voice or "",
            each.raw_text,
        )
        for each in found.captions
    ]


def test_captions_are_timed_from_the_session_s_start() -> None:
    document = render_webvtt(conversation(asked(), replied()))
    assert "00:00:01.000 --> 00:00:02.000\n<v User>A story?</v>" in document
    assert "00:00:02.100 --> 00:00:03.500\n<v Assistant>Once there was a fox.</v>" in document
    assert "00:00:03.600 --> 00:00:04.400\n<v Assistant>It slept.</v>" in document
    assert [who for _, _, who, _ in parsed(asked(), replied())] == ["User", *["Assistant"] * 2]


def test_a_message_whose_language_is_known_has_a_language_span() -> None:
    german = replace(asked("Wie heißt <du>?"), message=Message("user", "Wie?", "t", language="de"))
    reply = replied(heard="Once there")
    english = replace(reply, message=msgspec.structs.replace(reply.message, language="en"))
    document = render_webvtt(conversation(german, english, asked("Typed.", 9_000)))
    assert "<v User><lang de>Wie?</lang></v>" in document
    assert (
        "<v Assistant><lang en>Once there <c.unheard>was a fox. It slept.</c></lang></v>"
    ) in document
    assert "<v User>Typed.</v>" in document
    assert webvtt.from_string(document).captions[0].text == "Wie?"
    view = view_session(conversation(german, english, asked("Typed.")), BEGAN_S, {})
    assert [message.language for message in view.messages] == ["de", "en", None]
    assert "language" not in msgspec.json.decode(msgspec.json.encode(view.messages[2]))


@pytest.mark.parametrize(
    ("heard", "lines"),
    [
        ("Once there", ["Once there <c.unheard>was a fox. It slept.</c>"]),
        ("", ["<c.unheard>Once there was a fox. It slept.</c>"]),
        ("Once there was a fox.", ["Once there was a fox. <c.unheard>It slept.</c>"]),
        ("Once there was a fox. It", ["Once there was a fox.", "It <c.unheard>slept.</c>"]),
        ("Once there was a fox. It slept.", ["Once there was a fox.", "It slept."]),
    ],
)
def test_what_was_not_heard_is_marked_in_the_last_caption(heard: str, lines: list[str]) -> None:
    document = render_webvtt(conversation(replied(heard=heard)))
    shown = [block.split("\n", 1)[1] for block in document.split("\n\n")[2:]]
    assert [text.strip() for text in shown] == [f"<v Assistant>{line}</v>" for line in lines]


@pytest.mark.parametrize(
    "text",
    ["a --> b", "<b>bold</b> & more", "two\n\nparagraphs\r\nof it", "WEBVTT", "NOTE x", "\0"],
)
def test_no_text_breaks_the_captions(text: str) -> None:
    (caption,) = parsed(asked(text))
    assert caption[0] == 1.0
    document = render_webvtt(conversation(asked(text)))
    assert document.count("-->") == 1
    assert document.count("\n\n") == 2


def test_a_reply_without_sound_is_shown_for_as_long_as_reading_takes() -> None:
    ((start_s, end_s, _, _),) = parsed(replied(cues=[], duration_ms=0))
    assert end_s - start_s == pytest.approx(len(SAID) * 0.06)


def test_text_that_made_no_sound_stays_with_the_last_that_did() -> None:
    captions = parsed(replied(cues=CUES[:1]))
    assert len(captions) == 1
    assert captions[0][3].count("It slept.") == 1


def test_markdown_shows_no_marks_of_its_own_and_strikes_out_what_was_not_heard() -> None:
    text = render_markdown(conversation(asked("*Hi*\n# <b>"), replied(heard="Once there")))
    assert text.splitlines() == [
        "# Conversation of 2023-11-14 22:13 UTC",
        "",
        r"**User** (22:13:21): \*Hi\* \# \<b\>",
        "",
        "**Assistant** (22:13:22): Once there ~~was a fox. It slept.~~",
    ]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("&lt;b&gt; is a tag", r"\&lt;b\&gt; is a tag"),
        ("&#60;b&#x3E; &copy; &frac12;", r"\&\#60;b\&\#x3E; \&copy; \&frac12;"),
        ("R&D at AT&T & Co; yes", "R&D at AT&T & Co; yes"),
    ],
)
def test_markdown_shows_an_entity_as_it_was_written(said: str, shown: str) -> None:
    text = render_markdown(conversation(replied(said, cues=[])))
    assert text.splitlines()[-1].endswith(f": {shown}")


HAN = "今天天气很好。我们去公园，好吗？"


@pytest.mark.parametrize(
    ("said", "heard", "shown"),
    [
        (HAN, "今天天气", "今天天气~~很好。我们去公园，好吗？~~"),
        (HAN, "今天天气很好。", "今天天气很好。~~我们去公园，好吗？~~"),
        (HAN, "今天天气很好。我们去公园", "今天天气很好。我们去公园<del>，好吗？</del>"),
        (HAN, "", f"~~{HAN}~~"),
        (HAN, HAN, HAN),
        ("สวัสดีครับ", "สวัสดี", "สวัสดี~~ครับ~~"),
        ("One  two\n\nthree.", "One  two", "One two ~~three.~~"),
        ("One\n\ntwo.", "One two.", "One two."),  # as versions before kept it
    ],
)
def test_markdown_adds_no_space_where_the_text_has_none(said: str, heard: str, shown: str) -> None:
    text = render_markdown(conversation(replied(said, heard=heard, cues=[])))
    assert text.splitlines()[-1].endswith(f": {shown}")


@pytest.mark.parametrize(
    ("said", "heard", "lines"),
    [
        (HAN, "今天天", ["今天天<c.unheard>气很好。我们去公园，好吗？</c>"]),
        (HAN, "今天天气很好。我们", ["今天天气很好。", "我们<c.unheard>去公园，好吗？</c>"]),
        ("Once. Then", "Once.", ["Once. <c.unheard>Then</c>"]),
    ],
)
def test_captions_add_no_space_where_the_text_has_none(
    said: str, heard: str, lines: list[str]
) -> None:
    found = [Word(char, n * 100, n * 100 + 100) for n, char in enumerate("".join(said.split()))]
    cues = split_cues(said, found)
    document = render_webvtt(conversation(replied(said, heard=heard, cues=cues)))
    shown = [block.split("\n", 1)[1] for block in document.split("\n\n")[2:]]
    assert [text.strip() for text in shown] == [f"<v Assistant>{line}</v>" for line in lines]


@pytest.mark.parametrize(
    "said", ["今天天气很好。“我们走吧！”她说。好。", "नमस्ते। आप कैसे हैं। ठीक।", "آپ کیسے ہیں؟ ٹھیک۔"]
)
def test_a_line_ends_with_its_sentence_in_every_script(said: str) -> None:
    found = [
        Word(said[a:b].strip(), a * 10, b * 10)
        for a, b in itertools.pairwise([0, *unit_ends(said)])
    ]
    cues = split_cues(said, found)
    ends = [end.end_char for end in cues]
    assert [said[a:b].strip() for a, b in itertools.pairwise([0, *ends])] == [
        each.strip() for each in re.findall(r"[^。！।؟۔]+[。！।؟۔]+”?", said)
    ]


def test_lines_of_wide_characters_are_half_as_long() -> None:
    said = "今" * 200
    found = [Word(char, n * 10, n * 10 + 10) for n, char in enumerate(said)]
    assert (
        max(b - a for a, b in itertools.pairwise([c.end_char for c in split_cues(said, found)]))
        == 42
    )


@pytest.mark.parametrize(
    ("status", "expires_at", "shown"),
    [
        ("active", BEGAN_S + 100, "active"),
        ("active", BEGAN_S + 5, "expired"),
        ("ended", BEGAN_S + 5, "ended"),
    ],
)
def test_a_summary_says_how_a_session_is(status: str, expires_at: int, shown: str) -> None:
    found = summarize_session(conversation(status=status, expires_at=expires_at).head, BEGAN_S + 10)
    assert msgspec.to_builtins(found) == {
        "id": "s",
        "created_at": "2023-11-14T22:13:20Z",
        "last_turn_at": "2023-11-14T22:13:20.500000Z",
        "status": shown,
    }


def test_a_session_lasts_from_its_first_message_to_the_end_of_its_last() -> None:
    found = view_session(conversation(asked(), replied()), BEGAN_S, {})
    assert (found.turns, found.duration_ms) == (1, 3_500)


def test_what_was_heard_by_estimate_is_marked() -> None:
    message = Message("assistant", SAID, "t", "Once", heard_estimated=True)
    record = replied()
    estimate = msgspec.to_builtins(
        view_session(conversation(replace(record, message=message)), BEGAN_S, {})
    )
    exact = msgspec.to_builtins(view_session(conversation(replied(heard="Once")), BEGAN_S, {}))
    assert estimate["messages"][0]["heard_estimated"] is True
    assert "heard_estimated" not in exact["messages"][0]


def test_a_session_without_turns_has_no_length_and_says_so() -> None:
    found = msgspec.to_builtins(view_session(conversation(), BEGAN_S, {}))
    assert (found["turns"], found["duration_ms"]) == (0, 0)


def test_recordings_are_linked_from_the_messages_whose_sound_they_are() -> None:
    links = {("t", "assistant"): "https://a"}
    found = view_session(conversation(asked(), replied()), BEGAN_S, links)  # type: ignore[arg-type]  # a key is narrower
    assert [each.recording for each in found.messages] == [None, "https://a"]
    assert found.messages[0].at == datetime.fromtimestamp(BEGAN_S + 1, UTC)


# --- lines --------------------------------------------------------------------------


def words(text: str, ms: int = 100) -> list[Word]:
    return [Word(each, n * ms, (n + 1) * ms) for n, each in enumerate(text.split())]


def test_a_line_ends_with_its_sentence() -> None:
    assert split_cues(SAID, words(SAID)) == [Cue(0, 500, 21), Cue(500, 700, 31)]


def test_long_sentences_are_several_lines() -> None:
    said = "word " * 60
    cues = split_cues(said, words(said))
    assert len(cues) > 2
    lengths = [end.end_char - begin.end_char for begin, end in itertools.pairwise(cues)]
    assert max(lengths) <= LINE_CHARS + 5


def test_words_that_were_spoken_in_other_words_keep_the_others_in_place() -> None:
    said = "Dr. Who has 3 cats."
    cues = split_cues(said, words("Doctor Who has three cats."))
    assert cues == [Cue(0, 500, len(said))]


def test_text_beyond_the_last_word_belongs_to_no_line() -> None:
    assert split_cues(SAID, words("Once there")) == [Cue(0, 200, 10)]
