"""Where in a text the words are that hibari says."""

from __future__ import annotations

import pytest

from parley_standins.natural.hibari_words import SpokenWord, place_words
from parley_standins.speech_engines import is_latin


def placed(text: str, *said: str) -> list[tuple[str, float, float]]:
    """Words that take a unit of time for each of their letters, and one between two."""
    words: list[SpokenWord] = []
    at = 0
    for word in said:
        words.append(SpokenWord(word, at, at + len(word)))
        at += len(word) + 1
    times = [float(time) for time in range(at + 1)]
    return [
        (text[word.position : word.position + word.length], word.start, word.end)
        for word in place_words(text, words, times)
    ]


@pytest.mark.parametrize(
    ("text", "said", "expected"),
    [
        ("What time?", ["What", "time?"], [("What", 0, 4), ("time", 5, 10)]),
        ("At 8:05, sir", ["At", "eight", "oh", "five,", "sir"],
         [("At", 0, 2), ("8:05", 3, 17), ("sir", 18, 21)]),
        ("“Yes” 🙂 no", ["“Yes”", "no"], [("Yes", 0, 5), ("no", 6, 8)]),
        ("you & me", ["you", "and", "me"], [("you", 0, 3), ("&", 4, 7), ("me", 8, 10)]),
        ("It is $3 now", ["It", "is", "three", "dollars", "now"],
         [("It", 0, 2), ("is", 3, 5), ("3", 6, 19), ("now", 20, 23)]),
        ("Dr. Ng at 8", ["Doctor", "Ng", "at", "eight"],
         [("Dr", 0, 6), ("Ng", 7, 9), ("at", 10, 12), ("8", 13, 18)]),
        ("…", [], []),
    ],
)  # fmt: skip
def test_words_are_found_again_and_what_is_written_out_counts_for_its_sign(
    text: str, said: list[str], expected: list[tuple[str, float, float]]
) -> None:
    assert placed(text, *said) == expected


@pytest.mark.parametrize(
    ("text", "known"),
    [("Café at 8?", True), ("42", True), ("Привет", False), ("say 你好", False), ("🙂", False)],
)
def test_hibari_is_asked_for_latin_letters_only(text: str, known: bool) -> None:
    assert is_latin(text) is known
