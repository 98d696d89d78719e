"""Which tools the stand-ins for language models call, and what they say of the results."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from parley_standins.chatbot import Message
from parley_standins.tool_rules import decide
from parley_standins.tool_talk import Call, CallAnswer, Choice, Decision, Offer
from standins_tests.tool_offers import BOOKED, NOT_CONFIRMED, OFFERS, UNKNOWN

NOW = datetime(2026, 12, 1, 12, 0)
TABLE = Call("book_table", {"people": 2, "time": "20:00"}, "1")
ORDER = Call("order_status", {"order": "A-123"}, "2")


def decided(*messages: Message, choice: Choice = Choice()) -> Decision:  # noqa: B008 - frozen
    return decide(messages, OFFERS, choice, NOW)


def user(text: str) -> Message:
    return Message("user", text)


def called(text: str, **choice: Any) -> list[tuple[str, dict[str, Any]]]:
    decision = decided(user(text), choice=Choice(**choice))
    return [(call.name, dict(call.arguments)) for call in decision.calls]


def round_of(*answers: tuple[Call, str]) -> list[Message]:
    told = tuple(CallAnswer(call, text) for call, text in answers)
    return [
        Message("assistant", "", calls=tuple(call for call, _ in answers)),
        Message("tool", "", answers=told),
    ]


@pytest.mark.parametrize(
    ("said", "order"),
    [
        ("Where is order A-123?", "A-123"),
        ("What about my order number 4711, please", "4711"),
        ("where is order a one two three", "A-123"),
        ("where is order a one to three", "A-123"),
        ("Order B7.", "B7"),
    ],
)
def test_an_order_is_looked_up_by_the_id_in_the_words(said: str, order: str) -> None:
    assert called(said) == [("order_status", {"order": order})]


def test_the_verb_decides_between_tools_of_the_same_arguments() -> None:
    assert called("Please cancel order A-123") == [("cancel_order", {"order": "A-123"})]


def test_two_orders_in_a_sentence_are_two_calls() -> None:
    assert called("Where are order A-123 and order B-7, nonce n-12?") == [
        ("order_status", {"order": "A-123"}),
        ("order_status", {"order": "B-7"}),
    ]


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("Book a table for two at eight.", {"people": 2, "time": "20:00"}),
        ("book a table for 4 people at 7:30", {"people": 4, "time": "19:30"}),
        ("Book a table at half past seven for three", {"people": 3, "time": "19:30"}),
        ("book a table for two at quarter to nine", {"people": 2, "time": "20:45"}),
        ("book a table for five at seven thirty", {"people": 5, "time": "19:30"}),
        ("book a table for two at nine am", {"people": 2, "time": "09:00"}),
        ("book a table for two at 18:15", {"people": 2, "time": "18:15"}),
        (
            "book a table for two at eight under the name Miller, nonce n-12",
            {"people": 2, "time": "20:00", "name": "Miller", "nonce": "n-12"},
        ),
    ],
)
def test_people_and_time_are_found_in_words_and_digits(
    said: str, arguments: dict[str, Any]
) -> None:
    assert called(said) == [("book_table", arguments)]


def test_what_a_call_lacks_is_asked_for_and_then_used() -> None:
    asked = decided(user("Book a table, please."))
    assert asked == Decision("I need to know the people and the time.")
    answered = decided(
        user("Book a table, please."), Message("assistant", asked.text), user("For two, at eight.")
    )
    assert answered.calls == (Call("book_table", {"people": 2, "time": "20:00"}),)


def test_what_is_lacking_may_be_told_bit_by_bit() -> None:
    people = decided(
        user("Book a table, please."),
        Message("assistant", "I need to know the people and the time."),
        user("For two."),
    )
    assert people == Decision("I need to know the time.")
    time = decided(
        user("Book a table, please."),
        Message("assistant", "I need to know the people and the time."),
        user("For two."),
        Message("assistant", people.text),
        user("At eight."),
    )
    assert time.calls == (Call("book_table", {"people": 2, "time": "20:00"}),)


@pytest.mark.parametrize(
    ("said", "does"),
    [
        ("Where is order A-123?", Decision(calls=(Call("order_status", {"order": "A-123"}),))),
        ("What is two plus three?", Decision("Two plus three is five.")),
    ],
)
def test_who_was_asked_for_something_may_speak_of_something_else(said: str, does: Decision) -> None:
    asked = Message("assistant", "I need to know the people and the time.")
    assert decided(user("Book a table, please."), asked, user(said)) == does


@pytest.mark.parametrize(
    "said",
    [
        "Show me a note that says The kitchen closes at ten.",
        "Show me a note saying The kitchen closes at ten.",
        "Show me a note: The kitchen closes at ten.",
    ],
)
def test_a_note_says_what_comes_at_the_end(said: str) -> None:
    text = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    offers = [Offer("show_note", "Shows a note.", text)]
    (call,) = decide([user(said)], offers, Choice(), NOW).calls
    assert call.arguments == {"text": "The kitchen closes at ten."}


@pytest.mark.parametrize(
    ("said", "call"),
    [
        ("Goodbye!", ("end_session", {})),
        ("Hang up, please.", ("end_session", {})),
        ("Please speak German.", ("set_language", {"language": "de"})),
        ("Hold on.", ("skip_turn", {})),
        ("Wait a moment, please.", ("skip_turn", {})),
    ],
)
def test_the_built_in_tools_are_called_by_what_is_said(
    said: str, call: tuple[str, dict[str, Any]]
) -> None:
    assert called(said) == [call]


@pytest.mark.parametrize(
    "said",
    ["Tell me a story about the table.", "What is two plus two?", "Call me Bob.", "Say: order!"],
)
def test_other_words_call_nothing(said: str) -> None:
    decision = decided(user(said))
    assert not decision.calls
    assert decision.text


def test_a_tool_of_an_mcp_server_is_named_without_the_server() -> None:
    offers = [Offer("shop_book_table", "Book a table.", OFFERS[2].parameters)]
    found = decide([user("Book a table for two at eight.")], offers, Choice(), NOW)
    (call,) = found.calls
    assert call.name == "shop_book_table"
    said = decide([user("…"), *round_of((call, BOOKED))], offers, Choice(), NOW)
    assert said.text == "Your table for two at eight is booked. The number is 4711."


def test_silence_is_not_taken_for_what_was_said_before() -> None:
    silent = decided(user("Hello."), Message("assistant", "Hello."), user(""))
    assert silent.text == "Sorry, I didn't catch that."


def test_any_offered_tool_is_called_by_its_name() -> None:
    said = 'call cancel_order with {"order": "{a} b"} and call skip_turn and call unknown with {}'
    assert called(said) == [("cancel_order", {"order": "{a} b"}), ("skip_turn", {})]


def test_then_makes_rounds_of_calls() -> None:
    said = user('call order_status with {"order": "A-123"}, then call skip_turn')
    first = decided(said)
    assert [call.name for call in first.calls] == ["order_status"]
    one = round_of((ORDER, '{"status": "packed"}'))
    assert [call.name for call in decided(said, *one).calls] == ["skip_turn"]
    two = round_of((Call("skip_turn", {}, "3"), "Nothing is said."))
    assert not decided(said, *one, *two).calls


def test_only_the_last_line_is_acted_on() -> None:
    """Earlier lines were said in turns that failed; their calls may have had their effect."""
    assert called("Book a table for two at eight.\nHold on.") == [("skip_turn", {})]


def test_a_choice_forbids_or_forces_a_call() -> None:
    assert called("Where is order A-123?", mode="none") == []
    assert called("Hello there.", mode="required", tool="cancel_order") == [
        ("cancel_order", {"order": ""})
    ]
    assert called("Where is order A-123?", mode="required") == [("order_status", ORDER.arguments)]


@pytest.mark.parametrize(
    ("call", "result", "words"),
    [
        (TABLE, BOOKED, "Your table for two at eight is booked. The number is 4711."),
        (ORDER, '{"status": "on its way"}', "Order A-123 is on its way."),
        (
            ORDER,
            '{"order": "A-123", "status": "packed", "boxes": 3}',
            "Order A-123 is packed. The boxes is three.",
        ),
        (ORDER, "It left on Monday", "It left on Monday."),
        (ORDER, "(no result)", "That is done."),
        (TABLE, UNKNOWN, "I don't know whether the booking went through."),
        (TABLE, NOT_CONFIRMED, "Shall I book a table for two at eight?"),
        (
            TABLE,
            "This call was refused: the service does not permit it. It says: No table is free.",
            "I'm sorry, the booking didn't work. No table is free.",
        ),
        (
            ORDER,
            "The user interrupted before this call began. It did not run.",
            "You interrupted me, so I did not get to the order status.",
        ),
        (
            ORDER,
            "This call still runs. Its result is not known yet.",
            "I'm still waiting for the order status. I don't know yet how it ends.",
        ),
        (Call("end_session", {}), "…", "Goodbye. It was nice talking to you."),
        (Call("set_language", {"language": "de"}), "…", "All right, I speak German now."),
    ],
)
def test_results_are_said_in_words(call: Call, result: str, words: str) -> None:
    assert decided(user("…"), *round_of((call, result))).text == words


def test_all_results_of_a_round_are_said() -> None:
    both = round_of((ORDER, '{"status": "packed"}'), (TABLE, BOOKED))
    assert decided(user("…"), *both).text == (
        "Order A-123 is packed. Your table for two at eight is booked. The number is 4711."
    )


def test_a_yes_repeats_the_call_that_waits_for_it() -> None:
    asked = [user("Book a table for two at eight."), *round_of((TABLE, NOT_CONFIRMED))]
    shall = Message("assistant", decided(*asked).text)
    agreed = decided(*asked, shall, user("Yes, please."))
    assert agreed.calls == (Call("book_table", TABLE.arguments),)
    assert decided(*asked, shall, user("No.")) == Decision("All right, I won't.")


def test_a_call_that_needs_consent_ends_the_rounds_of_its_turn() -> None:
    said = user('call book_table with {"people": 2, "time": "20:00"}, then call skip_turn')
    decision = decided(said, *round_of((TABLE, NOT_CONFIRMED)))
    assert decision == Decision("Shall I book a table for two at eight?")


def test_a_value_of_an_enumeration_hands_the_user_over() -> None:
    schema = {"type": "object", "properties": {"agent": {"type": "string", "enum": ["billing"]}}}
    offers = [Offer("transfer_to_agent", "Hand over.", schema)]
    found = decide([user("Let me talk to billing.")], offers, Choice(), NOW)
    assert found.calls == (Call("transfer_to_agent", {"agent": "billing"}),)
