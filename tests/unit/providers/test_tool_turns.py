"""The prompt with tools: whatever a session has been through, strict endpoints take it."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from parley.protocol.messages import Message, Span
from parley.protocol.tool_rounds import CallResult, ToolRound
from parley.providers.anthropic.prompt import build_request
from parley.providers.llm import Prompt, Speaker
from parley.providers.openai_chat.dialect import Dialect
from parley.providers.openai_chat.prompt import build_messages, build_tools
from parley.providers.replies.turns import (
    INTERRUPTED_MARK,
    NO_RESULT,
    NOTHING_MORE_MARK,
    UNASKED_MARK,
)
from tests.unit.tool_prompts import (
    MODEL,
    OFFERS,
    PROMPTS,
    a_round,
    chat_refusal,
    claude_refusal,
    texts,
)

USER = Message("user", "Where is it?", "t1")


def chat_body(prompt: Prompt, dialect: Dialect | None = None) -> dict[str, Any]:
    written = dialect or Dialect()
    messages = build_messages(prompt, written, MODEL)
    return {"messages": messages, **build_tools(prompt, written)}


def told(prompt: Prompt) -> list[tuple[str, Any]]:
    """The messages after the system's, of a request that strict endpoints take."""
    body = chat_body(prompt)
    assert chat_refusal(body) is None
    assert claude_refusal(build_request(prompt, MODEL, {})) is None
    return texts(body["messages"][1:])


def after(*history: Message, rounds: list[ToolRound] | None = None) -> Prompt:
    past = {"t1": rounds} if rounds else {}
    return Prompt("Be brief.", history, "now", tools=OFFERS, past_rounds=past)


@settings(max_examples=50, deadline=None)
@given(PROMPTS)
def test_a_strict_endpoint_takes_whatever_a_session_has_been_through(prompt: Prompt) -> None:
    assert chat_refusal(chat_body(prompt)) is None
    assert claude_refusal(build_request(prompt, MODEL, {})) is None


def test_calls_and_results_follow_what_the_user_said_and_the_reply_follows_them() -> None:
    found = a_round("order_status", "time")
    reply = Message("assistant", "It is on its way.", "t1")
    body = chat_body(after(USER, reply, rounds=[found]))
    _, user, asked, first, second, answer, now = body["messages"]
    assert [user["content"], answer["content"], now["content"]] == [
        "Where is it?",
        "It is on its way.",
        "now",
    ]
    assert asked["content"] is None
    assert [call["id"] for call in asked["tool_calls"]] == ["call00", "call01"]
    assert first == {"role": "tool", "tool_call_id": "call00", "content": "order_status is done"}
    assert second["tool_call_id"] == "call01"


def test_the_rounds_of_this_turn_come_last() -> None:
    rounds = (a_round("time"), a_round("order_status", text="One moment.", index=1))
    prompt = Prompt("Be brief.", [], "now", tools=OFFERS, rounds=rounds)
    assert told(prompt) == [
        ("user", "now"),
        ("assistant", None),
        ("tool", "time is done"),
        ("assistant", "One moment."),
        ("tool", "order_status is done"),
    ]


def test_what_was_said_before_a_call_is_not_told_twice() -> None:
    reply = Message("assistant", "Let me look. It is on its way.", "t1")
    assert told(after(USER, reply, rounds=[a_round("time", text="Let me look.")])) == [
        ("user", "Where is it?"),
        ("assistant", "Let me look."),
        ("tool", "time is done"),
        ("assistant", "It is on its way."),
        ("user", "now"),
    ]


def test_what_an_attempt_before_said_is_with_its_call() -> None:
    reply = Message("assistant", "It is on its way.", "t1")
    found = told(after(USER, reply, rounds=[a_round("time", text="Let me look.")]))
    assert found[1] == ("assistant", "Let me look.")
    assert found[3] == ("assistant", "It is on its way.")


@pytest.mark.parametrize(
    ("heard", "before", "last"),
    [
        ("Let me look. It is", "Let me look.", "It is" + INTERRUPTED_MARK),
        ("Let me", "Let me", INTERRUPTED_MARK),
        ("", None, INTERRUPTED_MARK),
    ],
)
def test_of_an_interrupted_reply_the_model_is_told_what_was_heard(
    heard: str, before: str | None, last: str
) -> None:
    reply = Message("assistant", "Let me look. It is on its way.", "t1", heard)
    found = told(after(USER, reply, rounds=[a_round("time", text="Let me look.")]))
    assert found[1] == ("assistant", before)
    assert found[3] == ("assistant", last)


def test_a_turn_that_called_tools_and_broke_off_has_a_mark_before_the_next_user() -> None:
    assert told(after(USER, rounds=[a_round("time")]))[2:] == [
        ("tool", "time is done"),
        ("assistant", NOTHING_MORE_MARK),
        ("user", "now"),
    ]


def test_rounds_whose_user_message_is_not_in_the_window_are_left_out() -> None:
    reply = Message("assistant", "It is on its way.", "t1")
    assert told(after(reply, rounds=[a_round("time")])) == [("user", "now")]


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        (None, "Sure. It is here."),
        ("Sure. One mo", "Sure." + INTERRUPTED_MARK),
        ("Sure. One moment. It is", "Sure. It is" + INTERRUPTED_MARK),
    ],
)
def test_what_only_filled_a_silence_is_not_told(heard: str | None, expected: str) -> None:
    text = "Sure. One moment. It is here."
    reply = Message("assistant", text, "t1", heard, fillers=[Span(5, 17)])
    assert told(after(USER, reply))[1] == ("assistant", expected)


def test_a_fact_that_was_told_comes_with_what_the_user_says_next() -> None:
    fact = Message("context", "The page shows order A-1.", "c1")
    note = "[Not said by the user: The page shows order A-1.]"
    assert told(after(fact)) == [("user", f"{note}\nnow")]
    between = after(USER, fact, Message("assistant", "Here.", "t1"), rounds=[a_round("time")])
    assert told(between)[1:] == [
        ("assistant", None),
        ("tool", "time is done"),
        ("assistant", "Here."),
        ("user", f"{note}\nnow"),
    ]


def test_what_the_agent_said_unasked_stays() -> None:
    greeting = Message("assistant", "Hello, I am Ada.", "g", agent=True)
    assert told(after(greeting)) == [
        ("user", UNASKED_MARK),
        ("assistant", "Hello, I am Ada."),
        ("user", "now"),
    ]
    answer = Message("assistant", "Who was asked is gone.", "g")
    assert told(after(answer)) == [("user", "now")]


def test_another_model_is_sent_neither_thoughts_nor_ids() -> None:
    other = a_round("time", model="another", reasoning_content="Hm.")
    call = msgspec.structs.replace(
        other.request.calls[0], id="functions.time:0", extra={"extra_content": {"a": 1}}
    )
    request = msgspec.structs.replace(other.request, calls=(call,))
    prompt = after(USER, rounds=[msgspec.structs.replace(other, request=request)])
    (asked,) = [each for each in chat_body(prompt)["messages"] if "tool_calls" in each]
    (sent,) = asked["tool_calls"]
    assert "reasoning_content" not in asked
    assert set(sent) == {"id", "type", "function"}
    assert len(sent["id"]) == 9
    assert sent["id"].isalnum()
    assert chat_body(prompt) == chat_body(prompt), "a request is the same each time"


def test_an_id_is_the_same_while_a_turn_runs_and_when_it_is_over() -> None:
    found = a_round("time", model="another")
    now = Prompt(
        "Be brief.", [], USER.text, tools=OFFERS, rounds=(found,), speaker=Speaker(turn_id="t1")
    )
    later = after(USER, rounds=[found])
    assert chat_body(now)["messages"] == chat_body(later)["messages"][:4]


def test_what_the_own_model_wants_back_goes_back() -> None:
    found = a_round("time", reasoning_content="Hm.")
    signature = {"extra_content": {"google": {"thought_signature": "sig"}}}
    call = msgspec.structs.replace(found.request.calls[0], id="functions.time:0", extra=signature)
    request = msgspec.structs.replace(found.request, calls=(call,))
    prompt = after(USER, rounds=[msgspec.structs.replace(found, request=request)])
    asked = chat_body(prompt)["messages"][2]
    assert asked["reasoning_content"] == "Hm."
    assert asked["tool_calls"][0]["id"] == "functions.time:0"
    assert asked["tool_calls"][0]["extra_content"] == signature["extra_content"]


def test_arguments_that_are_no_object_are_sent_back_as_none() -> None:
    found = a_round("time")
    call = msgspec.structs.replace(found.request.calls[0], arguments='{"order": ')
    broken = msgspec.structs.replace(
        found, request=msgspec.structs.replace(found.request, calls=(call,))
    )
    asked = chat_body(after(USER, rounds=[broken]))["messages"][2]
    assert asked["tool_calls"][0]["function"]["arguments"] == "{}"


def test_a_result_that_shows_nothing_is_called_so() -> None:
    found = msgspec.structs.replace(a_round("time"), results=(CallResult("done", " "),))
    assert ("tool", NO_RESULT) in told(after(USER, rounds=[found]))


def test_without_tools_rounds_are_notes() -> None:
    reply = Message("assistant", "It is on its way.", "t1")
    prompt = after(USER, reply, rounds=[a_round("time")])
    for dialect in (Dialect(tools=False), None):
        asked = prompt if dialect else without_tools(prompt)
        body = chat_body(asked, dialect)
        assert "tools" not in body
        note = "[Not said by the user: time was called, and gave: time is done]"
        assert texts(body["messages"][1:]) == [
            ("user", f"Where is it?\n{note}"),
            ("assistant", "It is on its way."),
            ("user", "now"),
        ]


def without_tools(prompt: Prompt) -> Prompt:
    return Prompt(prompt.instructions, prompt.history, prompt.text, past_rounds=prompt.past_rounds)


def test_thoughts_of_claude_go_back_where_they_were() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "sig"}
    hidden = {"type": "redacted_thinking", "data": "xyz"}
    blocks = [thought, {"type": "text"}, hidden, {"type": "tool_use"}, {"type": "tool_use"}]
    found = a_round("time", "order_status", text="Let me look.", content=blocks)
    prompt = Prompt("Be brief.", [], "now", tools=OFFERS, rounds=(found,))
    _, asked, answered = build_request(prompt, MODEL, {})["messages"]
    kinds = [block["type"] for block in asked["content"]]
    assert kinds == ["thinking", "text", "redacted_thinking", "tool_use", "tool_use"]
    assert asked["content"][0] == thought
    assert asked["content"][2] == hidden
    assert [block["tool_use_id"] for block in answered["content"]] == ["call00", "call01"]


def test_claude_is_told_that_a_call_failed() -> None:
    found = msgspec.structs.replace(a_round("time"), results=(CallResult("failed", "No."),))
    prompt = Prompt("Be brief.", [], "now", tools=OFFERS, rounds=(found,))
    (result,) = build_request(prompt, MODEL, {})["messages"][-1]["content"]
    assert result["is_error"] is True


def test_half_a_character_in_an_old_call_breaks_no_later_request() -> None:
    found = a_round("look")
    call = msgspec.structs.replace(found.request.calls[0], arguments='{"order": "\\ud800"}')
    request = msgspec.structs.replace(found.request, calls=(call,))
    past = msgspec.structs.replace(found, request=request)
    prompt = Prompt("", [USER], "And now?", tools=OFFERS, past_rounds={"t1": [past]})
    for body in (chat_body(prompt), build_request(prompt, MODEL, {})):
        assert msgspec.json.encode(body)


@pytest.mark.parametrize("name", ["functions.look", "look at", "l\u043eok", "", "x" * 100, "a\n#"])
def test_a_name_that_a_model_made_up_breaks_no_later_request(name: str) -> None:
    past = {"t1": [a_round(name, "look")]}
    prompt = Prompt("", [USER], "And now?", tools=OFFERS, past_rounds=past)
    chat, claude = chat_body(prompt), build_request(prompt, MODEL, {})
    sent = [each["function"]["name"] for m in chat["messages"] for each in m.get("tool_calls", ())]
    sent += [
        block["name"]
        for message in claude["messages"]
        for block in message["content"]
        if isinstance(block, dict) and block["type"] == "tool_use"
    ]
    assert (len(sent), sent[1], sent[3]) == (4, "look", "look")
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", each) for each in sent)
