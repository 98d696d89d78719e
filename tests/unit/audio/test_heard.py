"""What was heard: one rule for the server and the clients, kept to by the same cases.

`client/js/test/heard.test.js` reads them too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parley_client
from parley.audio.heard import heard_text, split_heard
from parley.protocol.messages import Word

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "heard.json").read_text(encoding="utf-8")
)["cases"]


def by_the_server(text: str, words: list[Word], played_ms: float) -> str:
    return heard_text(split_heard(text, words), played_ms)


def by_the_client(text: str, words: list[Word], played_ms: float) -> str:
    theirs = [parley_client.Word(word.text, word.start_ms, word.end_ms) for word in words]
    return parley_client.heard_text(text, theirs, played_ms)


@pytest.mark.parametrize("side", [by_the_server, by_the_client])
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_every_side_keeps_to_the_cases(side: Any, case: dict[str, Any]) -> None:
    words = [Word(*word) for word in case["words"]]
    assert side(case["text"], words, case["played_ms"]) == case["heard"]


WORDS = st.lists(
    st.tuples(st.text("abא你กำ.*", min_size=1, max_size=6), st.integers(0, 300)), max_size=12
)


@given(WORDS, st.text("ab \n你.", max_size=60), st.floats(-1, 3_000))
def test_both_sides_say_the_same_whatever_comes(
    drawn: list[tuple[str, int]], text: str, played_ms: float
) -> None:
    words = [Word(word, n * 200, n * 200 + ms) for n, (word, ms) in enumerate(drawn)]
    assert by_the_server(text, words, played_ms) == by_the_client(text, words, played_ms)
    assert text.startswith(by_the_server(text, words, played_ms))
