"""Which transcripts say the same."""

from __future__ import annotations

import pytest

from parley.text.same_words import bare_words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What time is it", "What time is it?"),
        ("what  time is it", "What time, is it…"),
        ("Don't", "dont"),
        ("STRASSE", "Straße"),
        ("caf\u00e9", "cafe\u0301"),
        ("今日は、晴れ。", "今日は晴れ"),
        ("", " … "),
    ],
)
def test_case_marks_and_spaces_make_no_difference(one: str, other: str) -> None:
    assert bare_words(one) == bare_words(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3.5", "35"),
        ("It is -5", "It is 5"),
        ("What time", "What time is it"),
        ("C", "C+"),
        ("कि", "क"),
        ("no", "now"),
        ("Take 5", "Take 5%"),
        ("Take 5", "Take 5 ％"),
        ("In C", "In C#"),
        ("R D", "R&D"),
        ("Write to ben", "Write to @ben"),
    ],
)
def test_other_words_and_numbers_do(one: str, other: str) -> None:
    assert bare_words(one) != bare_words(other)
