"""The rule-based chatbot: what it answers, from the whole conversation."""

from __future__ import annotations

from datetime import datetime

import pytest

from parley_standins.chatbot import Message, reply_to
from parley_standins.spoken_numbers import in_words, parse, sum_in

NOW = datetime(2026, 3, 14, 15, 9)


def conversation(*said: str) -> str:
    """The last reply of a conversation in which everything was answered."""
    messages: list[Message] = []
    for text in said:
        messages.append(Message("user", text))
        messages.append(Message("assistant", reply_to(messages, NOW)))
    return messages[-1].content


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["My name is Alice.", "What is my name?"], "Alice"),
        (["my name is alice", "tell me a joke", "what is my name"], "Alice"),
        (["Hello, I am Bob.", "who am i"], "Bob"),
        (["I am tired", "what is my name"], "haven't told me"),
        (["What is my name?"], "haven't told me"),
        (["my name is alice", "no my name is bob", "what is my name"], "Bob"),
        (["my favorite color is green", "what is my favorite color"], "green"),
        (["I live in London.", "Where do I live?"], "London"),
        (["My name is Alice and my dog is called Rex.", "What is my dog?"], "called rex"),
        (["What is two plus three?"], "five"),
        (["what is 12 times 12"], "one hundred forty-four"),
        (["What is ten divided by four?"], "2.5"),
        (["what is one divided by zero"], "no answer"),
        (["What time is it?"], "3:09 PM"),
        (["what day is it today"], "Saturday, March 14"),
        (["Count to five."], "one, two, three, four, five."),
        (["count from ten to seven"], "ten, nine, eight, seven."),
        (["how many days are in a week"], "seven days in a week"),
        (["The weather was awful.", "What did I say?"], "The weather was awful."),
        (["Repeat after me: the sea is calm."], "The sea is calm."),
        (["repeat after me the sky is blue"], "The sky is blue."),
        (["good morning"], "Good morning."),
        (["my name is alice", "thank you very much"], "You're welcome, Alice."),
        (["I bought a new bike"], "you bought a new bike"),
        (["why do cats purr"], "why do cats purr"),
    ],
)
def test_answers(said: list[str], expected: str) -> None:
    assert expected in conversation(*said)


def test_a_story_is_about_its_topic_in_several_sentences() -> None:
    reply = conversation("tell me a story about the sea")
    assert "the sea" in reply
    assert reply.count(". ") >= 4
    assert len(reply.split(".")[0]) < 40, "the first clause is short"


def test_another_story_is_another_one() -> None:
    first = conversation("tell me a story about the sea")
    assert conversation("tell me a story about the sea", "tell me another story") != first


def test_a_long_story_is_longer() -> None:
    assert len(conversation("tell me a long story")) > 1.5 * len(conversation("tell me a story"))


def test_what_was_cut_off_goes_on_where_it_was() -> None:
    asked = Message("user", "tell me a story about the sea")
    whole = reply_to([asked], NOW)
    heard = whole[: whole.index("about the sea")].strip()
    cut = Message("assistant", f"{heard}… [the user interrupted here and heard no more]")
    reply = reply_to([asked, cut, Message("user", "Go on.")], NOW)
    assert reply.lower().startswith("of course. about the sea")
    assert reply.endswith(whole[-40:])


def test_facts_come_from_the_user_alone() -> None:
    messages = [
        Message("system", "my name is Parrot"),
        Message("assistant", "my name is Polly"),
        Message("user", "what is my name"),
    ]
    assert "haven't told me" in reply_to(messages, NOW)


@pytest.mark.parametrize("said", ["", "  ", "…"])
def test_nothing_said_is_nothing_understood(said: str) -> None:
    assert "catch" in reply_to([Message("user", said)], NOW)


@pytest.mark.parametrize("number", [0, 7, 13, 20, 42, 100, 305, 999, 1000, 12_345, 999_999])
def test_numbers_come_back_from_their_words(number: int) -> None:
    assert parse(in_words(number).replace("-", " ").split()) == number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("what is two plus three times four", "is fourteen."),
        ("3 - 5", "is minus two."),
        ("one hundred and twenty three plus seven", "is one hundred thirty."),
        ("add two and three", "is five."),
        ("ten divided by three", "is about 3.33."),
    ],
)
def test_sums(text: str, expected: str) -> None:
    assert str(sum_in(text)).endswith(expected)


@pytest.mark.parametrize("text", ["two dogs and a cat", "i have 2", "plus", "my number is five"])
def test_what_is_no_sum(text: str) -> None:
    assert sum_in(text) is None
