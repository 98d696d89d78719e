"""Where a streamed reply is cut for speaking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.clauses import ClauseSplitter


def cut(text: str, size: int = 4) -> list[str]:
    splitter = ClauseSplitter()
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
    splitter = ClauseSplitter()
    assert splitter.feed("Sure") == []
    assert splitter.feed(",") == ["Sure,"]


def test_a_digit_before_a_full_stop_waits_for_what_follows() -> None:
    splitter = ClauseSplitter()
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
