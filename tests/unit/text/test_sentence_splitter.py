"""Where a streamed reply is cut for speaking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.text.sentence_splitter import SentenceSplitter


def cut(text: str, size: int = 4) -> list[str]:
    splitter = SentenceSplitter()
    pieces: list[str] = []
    for start in range(0, len(text), size):
        pieces += splitter.feed(text[start : start + size])
    return pieces + splitter.flush()


@pytest.mark.parametrize("size", [1, 3, 5, 400])
@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Sure, I can help with that. Anything else?",
         ["Sure,", "I can help with that.", "Anything else?"]),
        ("Dr. Smith paid $29.9 and 1,000 euros at 10:30. Good.",
         ["Dr. Smith paid $29.9 and 1,000 euros at 10:30.", "Good."]),
        ("Albert I. Douglas came at 5 p.m. today. And I. Did?",
         ["Albert I. Douglas came at 5 p.m. today.", "And I. Did?"]),
        ("The answer is no. Really!", ["The answer is no.", "Really!"]),
        ("Hello! How are you?", ["Hello!", "How are you?"]),
        ("One\nTwo\n", ["One", "Two"]),
        ("你好。你怎么样？", ["你好。", "你怎么样？"]),
        ("no end in sight", ["no end in sight"]),
        ("", []),
        (" ... ", []),
    ],
)  # fmt: skip
def test_pieces(text: str, pieces: list[str], size: int) -> None:
    assert cut(text, size) == pieces


def test_the_first_clause_is_given_at_its_comma_without_waiting() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("Sure") == []
    assert splitter.feed(",") == ["Sure,"]


def test_a_digit_before_a_full_stop_waits_for_what_follows() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("It is 3.") == []
    assert splitter.feed("14 or so. ") == ["It is 3.14 or so."]


def test_a_closing_quote_stays_with_its_sentence() -> None:
    assert cut('She said "yes." Then she left.', 400)[0] == 'She said "yes."'


def test_later_pieces_are_whole_sentences() -> None:
    start = "This is a first sentence that is long enough to keep a listener busy for a while. "
    assert cut(start + "Then comes this one, with a comma, and it stays whole.")[1:] == [
        "Then comes this one, with a comma, and it stays whole."
    ]


def test_a_long_first_clause_without_a_comma_is_cut_before_a_conjunction() -> None:
    text = "I would love to help you with the plans for your trip because it is nice there."
    assert cut(text) == [
        "I would love to help you with the plans for your trip",
        "because it is nice there.",
    ]


def test_a_piece_never_grows_without_bound() -> None:
    pieces = cut("word " * 400)
    assert max(map(len, pieces)) <= 240


@given(st.text(alphabet="ab AB.,;:!?…1\n\"'—-", max_size=300), st.integers(1, 12))
def test_nothing_speakable_is_lost_or_doubled(text: str, size: int) -> None:
    joined = "".join(cut(text, size))

    def speakable(value: str) -> str:
        return "".join(char for char in value if char.isalnum())

    assert speakable(joined) == speakable(text)


def without_space(text: str) -> str:
    return "".join(text.split())


@given(
    st.text(alphabet="ab AB.,;:!?…。，1\n\"'”)—- ", max_size=200),
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
)
def test_the_pieces_joined_are_the_text_whatever_the_tokens_are(
    text: str, sizes: list[int]
) -> None:
    splitter, pieces, at = SentenceSplitter(), [], 0
    for turn in range(len(text)):
        size = sizes[turn % len(sizes)]
        pieces += splitter.feed(text[at : at + size])
        at += size
    pieces += splitter.flush()
    joined, whole = without_space("".join(pieces)), without_space(text)
    assert whole.startswith(joined)
    rest = whole[len(joined) :]
    assert not any(char.isalnum() for char in rest), "only what cannot be spoken is left out"
    assert all(piece == piece.strip() and piece for piece in pieces)


@pytest.mark.parametrize(
    "whole",
    [
        "Mr. and Mrs. Jones live on St. James Rd near Mt. Hood.",
        "It costs $3.50, i.e. 4.5 times as much as at 9:30 a.m. today.",
        "J. R. R. Tolkien wrote it, e.g. in the U.S. edition.",
        "He weighs 70.5 kg vs. 68.",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_what_looks_like_an_end_is_none(whole: str, size: int) -> None:
    splitter = SentenceSplitter(eager_chars=0, long_clause_chars=1_000)
    pieces: list[str] = []
    for at in range(0, len(whole), size):
        pieces += splitter.feed(whole[at : at + size])
    assert pieces + splitter.flush() == [whole]


def test_a_host_name_is_not_cut_where_its_tokens_hold_together() -> None:
    splitter = SentenceSplitter()
    tokens = ["Go to example", ".com", "/faq", ".html and", " read on."]
    assert [p for token in tokens for p in splitter.feed(token)] == [
        "Go to example.com/faq.html and read on."
    ]


@pytest.mark.parametrize("text", ["...", "—", "🙂", "!?", "\n\n", '" "'])
def test_what_cannot_be_spoken_is_not_sent_to_be_spoken(text: str) -> None:
    assert cut(text) == []


@given(st.text(alphabet="a,. ", min_size=1, max_size=3_000), st.integers(1, 50))
def test_no_piece_is_too_long_for_the_synthesizer(text: str, size: int) -> None:
    assert max(map(len, cut(text, size)), default=0) <= 240 + size
