"""The prompt: whatever a session has been through, a strict endpoint takes it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.protocol.messages import Message
from parley.providers.llm import Prompt
from parley.providers.openai_chat.dialect import Dialect
from parley.providers.openai_chat.prompt import build_messages
from parley.providers.replies.turns import INTERRUPTED_MARK

BLANK = ["", " ", "\n\t", "\u00a0", "\u200b", "\ufeff \u2028", "\x00", "\u2060\u00ad"]


def refusal(messages: list[dict[str, str]]) -> str | None:
    """Why a strict endpoint would refuse these messages, as the templates of Mistral, Gemma and
    Phi do under vLLM and llama.cpp; None if it takes them."""
    roles = [message["role"] for message in messages]
    if roles[:1] != ["system"]:
        return "no system message first"
    if "system" in roles[1:]:
        return "a system message later on"
    turns = roles[1:]
    if turns != [("user", "assistant")[at % 2] for at in range(len(turns))]:
        return f"roles must alternate user/assistant/user/…: {turns}"
    if turns[-1:] != ["user"]:
        return "the user does not come last"
    if any(not message["content"].strip(" \n\t\u00a0\u200b\ufeff\u2028\x00\u2060\u00ad")
           for message in messages):  # fmt: skip
        return "an empty message"
    return None


def user(text: str) -> Message:
    return Message("user", text, "t")


def assistant(text: str, heard: str | None = None) -> Message:
    return Message("assistant", text, "t", heard)


def built(history: list[Message], text: str = "now") -> list[tuple[str, str]]:
    """The messages after the system's."""
    messages = build_messages(Prompt("Be brief.", history, text))
    assert refusal(messages) is None
    assert messages[0] == {"role": "system", "content": "Be brief."}
    return [(message["role"], message["content"]) for message in messages[1:]]


HISTORIES: list[tuple[str, list[Message], list[tuple[str, str]]]] = [
    ("nothing yet", [], [("user", "now")]),
    (
        "a conversation",
        [user("a"), assistant("b")],
        [("user", "a"), ("assistant", "b"), ("user", "now")],
    ),
    ("a turn without a reply", [user("a")], [("user", "a\nnow")]),
    ("several turns without one", [user("a"), user("b"), user("c")], [("user", "a\nb\nc\nnow")]),
    (
        "interrupted before a word was heard",
        [user("a"), assistant("Well, then.", heard="")],
        [("user", "a\nnow")],
    ),
    (
        "interrupted when white space had been heard",
        [user("a"), assistant(" Well.", heard=" ")],
        [("user", "a\nnow")],
    ),
    (
        "interrupted in between",
        [user("a"), assistant("One, two.", heard="One,")],
        [("user", "a"), ("assistant", "One," + INTERRUPTED_MARK), ("user", "now")],
    ),
    (
        "the window begins with a reply",
        [assistant("b"), user("c"), assistant("d")],
        [("user", "c"), ("assistant", "d"), ("user", "now")],
    ),
    ("a greeting and nothing else", [assistant("Hello!")], [("user", "now")]),
    (
        "a greeting of two messages",
        [assistant("Hello!"), assistant("I am Ada."), user("a"), assistant("b")],
        [("user", "a"), ("assistant", "b"), ("user", "now")],
    ),
    (
        "two replies in a row",
        [user("a"), assistant("b"), assistant("c")],
        [("user", "a"), ("assistant", "b\nc"), ("user", "now")],
    ),
    (
        "a reply of white space between two questions",
        [user("a"), assistant(" \n"), user("b")],
        [("user", "a\nb\nnow")],
    ),
    (
        "a question of white space between two replies",
        [user("a"), assistant("b"), user("\u200b"), assistant("c")],
        [("user", "a"), ("assistant", "b\nc"), ("user", "now")],
    ),
]


@pytest.mark.parametrize(
    ("history", "expected"), [case[1:] for case in HISTORIES], ids=[case[0] for case in HISTORIES]
)
def test_what_a_session_has_been_through_becomes_a_prompt(
    history: list[Message], expected: list[tuple[str, str]]
) -> None:
    assert built(history) == expected


@pytest.mark.parametrize("blank", BLANK, ids=ascii)
def test_what_shows_nothing_is_no_message(blank: str) -> None:
    history = [user(blank), assistant(blank), user("a"), assistant("b", heard=blank)]
    assert built(history) == [("user", "a\nnow")]


def test_instructions_that_show_nothing_are_left_out() -> None:
    assert build_messages(Prompt(" \n", [], "now")) == [{"role": "user", "content": "now"}]


def test_the_instructions_may_stand_before_what_the_user_said_first() -> None:
    prompt = Prompt("Be brief.", [assistant("gone"), user("a"), assistant("b")], "now")
    messages = build_messages(prompt, Dialect(system_role=False))
    assert [(message["role"], message["content"]) for message in messages] == [
        ("user", "Be brief.\n\na"),
        ("assistant", "b"),
        ("user", "now"),
    ]
    blank = Prompt(" \n", [], "now")
    assert build_messages(blank, Dialect(system_role=False)) == build_messages(blank)


def test_the_note_of_an_interruption_is_where_the_assistant_was_cut_off() -> None:
    history = [user("a"), assistant("One, two.", heard="One,"), assistant("Three.")]
    (_, _), (role, content), (_, _) = built(history)
    assert role == "assistant"
    assert content == f"One,{INTERRUPTED_MARK}\nThree."


TEXTS = st.sampled_from([*BLANK, "a", "b\n", "Hello.", "🫩", "no\u200bthing"])
MESSAGES = st.builds(user, TEXTS) | st.builds(assistant, TEXTS, st.none() | TEXTS)
WORDS: Any = st.sampled_from(["a", "b\n", "Hello.", "🫩"])


@given(st.lists(MESSAGES, max_size=12), st.integers(0, 12), WORDS)
def test_a_strict_endpoint_takes_every_history_wherever_the_window_cuts(
    history: list[Message], window: int, text: str
) -> None:
    shown = history[-window:] if window else []
    messages = build_messages(Prompt("Be brief.", shown, text))
    assert refusal(messages) is None
    assert messages[-1]["content"].endswith(text)
    kept = "\n".join(message["content"] for message in messages)
    for message in shown:
        if message.role == "user":
            assert message.text in kept or not message.text.strip("".join(BLANK))
    turns = messages[1:]
    (first, *rest) = build_messages(Prompt("Be brief.", shown, text), Dialect(system_role=False))
    assert first == {"role": "user", "content": f"Be brief.\n\n{turns[0]['content']}"}
    assert rest == turns[1:]
