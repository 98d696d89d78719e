"""Call syntax is never spoken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.providers.replies.leak_guard import HELD_CHARS, LeakGuard

NAMES = ["order_status", "time"]
LEAKS = [
    '{"name": "time", "arguments": {}}',
    "{'name': 'time'}",
    '[{"name": "time"}]',
    '```json\n{"name": "time"}\n```',
    "```tool_code\ntime()```",
    "<tool_call>{}</tool_call>",
    "<function=time></function>",
    "<|tool_calls_section_begin|>",
    "[TOOL_CALLS]time{}",
    "order_status(order='A-1')",
    "[time()]",
    "functions.time({})",
    '\n {\n  "city": "Paris"}',
]
SPEECH = [
    "Time flies.",
    "time is money",
    "order_status is what it is called",
    "{laughs} Hello.",
    "[laughs] Hello.",
    "<3 from me",
    "`x` is a letter",
    "tim",
    "{",
    "{" + " " * 80,
    " " * 80 + '{"a": 1}',
    "Hello.",
]


def spoken(text: str, size: int) -> tuple[str, bool]:
    guard = LeakGuard(NAMES)
    pieces = [guard.feed(text[at : at + size]) for at in range(0, len(text), size)]
    return "".join(pieces) + guard.flush(), guard.leaked


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("leak", LEAKS)
def test_a_call_as_text_is_left_out(leak: str, size: int) -> None:
    assert spoken(leak, size) == ("", True)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("text", SPEECH)
def test_what_is_no_call_is_spoken_to_its_last_letter(text: str, size: int) -> None:
    assert spoken(text, size) == (text, False)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "leak", ["<tool_call>{}", "<function=time>", "[TOOL_CALLS]time", "<|tool_"]
)
def test_a_call_after_words_is_left_out(leak: str, size: int) -> None:
    assert spoken(f"Let me look < 3 s [so]. {leak} more", size) == (
        "Let me look < 3 s [so]. ",
        True,
    )


def test_what_begins_like_no_call_is_not_held_back() -> None:
    assert LeakGuard(NAMES).feed("H") == "H"


@given(st.text(alphabet=" {[<`\"'otime_rdsau(|", max_size=90))
def test_no_more_than_the_beginning_is_ever_held_back(text: str) -> None:
    guard = LeakGuard(NAMES)
    said = "".join(map(guard.feed, text))
    assert guard.leaked or len(text) - len(said) < HELD_CHARS


def test_nothing_is_spoken_after_calls_have_come() -> None:
    guard = LeakGuard(NAMES)
    assert guard.feed("<to") == ""
    guard.mute()
    assert guard.feed("ol_call>") + guard.flush() == ""
    assert not guard.leaked
