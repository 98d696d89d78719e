"""Functions of an Agent for Amazon Bedrock as tools: Powertools' resolver itself runs them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from aws_lambda_powertools.event_handler import (
    BedrockAgentFunctionResolver,
    BedrockFunctionResponse,
)

from parley.tools.call_context import call_context, outside_key
from parley.tools.kinds.bedrock_agent import make_event, read_answer
from parley.tools.tool import ToolFailed, ToolSpec
from tests.unit.tool_calls import KEY, invocation, tool_spec

SCHEMA = {
    "type": "object",
    "properties": {
        "order": {"type": "string"},
        "people": {"type": "integer"},
        "price": {"type": "number"},
        "outside": {"type": "boolean"},
        "dishes": {"type": "array"},
    },
}
SPEC: ToolSpec = tool_spec("lambda", "book", schema=SCHEMA)


@pytest.fixture
def app() -> Iterator[BedrockAgentFunctionResolver]:
    """A resolver without functions; what it logs of an error is expected."""
    logging.getLogger("aws_lambda_powertools").setLevel(logging.CRITICAL)
    yield BedrockAgentFunctionResolver()
    logging.getLogger("aws_lambda_powertools").setLevel(logging.NOTSET)


def call(app: BedrockAgentFunctionResolver, **arguments: Any) -> Any:
    """Return the result of a call, over JSON as Lambda has it."""
    asked = invocation(**arguments)
    event = json.loads(json.dumps(make_event(SPEC, asked, call_context("book", asked))))
    return read_answer(json.loads(json.dumps(app.resolve(event, None))))


def test_a_function_gets_its_arguments_by_type(app: BedrockAgentFunctionResolver) -> None:
    @app.tool(name="book")
    def book(order: str, people: int, price: float, outside: bool, dishes: str) -> Any:
        return {"got": repr([order, people, price, outside, dishes])}

    assert call(app, order="7", people=2, price=1, outside=False, dishes=["a"]) == {
        "got": repr(["7", 2, 1.0, False, '["a"]'])
    }


def test_a_function_finds_the_key_among_its_session_attributes(
    app: BedrockAgentFunctionResolver,
) -> None:
    @app.tool(name="book")
    def book() -> Any:
        assert app.current_event is not None
        return app.current_event.session_attributes["key"]

    assert call(app) == outside_key(KEY)


@pytest.mark.parametrize("result", ["It's booked.", "", "7", {"n": 1}, [1], True, "Errors: none"])
def test_a_result_comes_back_as_it_was(result: Any, app: BedrockAgentFunctionResolver) -> None:
    @app.tool(name="book")
    def book() -> Any:
        return result

    assert call(app) == result


def test_what_powertools_makes_of_an_exception_is_a_failure_without_its_text(
    app: BedrockAgentFunctionResolver,
) -> None:
    @app.tool(name="book")
    def book() -> Any:
        raise ConnectionError("postgres://user:secret@db")

    with pytest.raises(ToolFailed) as failed:
        call(app)
    assert (failed.value.reason, failed.value.acted, failed.value.told) == ("unavailable", True, "")
    assert failed.value.log_fields == {"cause": "function_error", "error_type": "ConnectionError"}


def test_a_function_that_is_not_there_is_a_failure_too(app: BedrockAgentFunctionResolver) -> None:
    with pytest.raises(ToolFailed) as failed:
        call(app)
    assert failed.value.log_fields == {"cause": "function_error", "error_type": "KeyError"}


@pytest.mark.parametrize(
    ("state", "acted", "told"),
    [("FAILURE", True, ""), ("REPROMPT", False, "For how many?")],
)
def test_a_function_may_say_that_it_failed_or_needs_more(
    state: Any, acted: bool, told: str, app: BedrockAgentFunctionResolver
) -> None:
    @app.tool(name="book")
    def book() -> Any:
        return BedrockFunctionResponse(body="For how many?", response_state=state)

    with pytest.raises(ToolFailed) as failed:
        call(app)
    assert (failed.value.acted, failed.value.told) == (acted, told)


def test_a_function_without_powertools_answers_in_plain_text() -> None:
    body = {"responseBody": {"TEXT": {"body": "It's booked."}}}
    assert read_answer({"response": {"functionResponse": body}}) == "It's booked."


@pytest.mark.parametrize("value", [None, {}, "x", {"response": {"functionResponse": {}}}])
def test_another_answer_is_no_result(value: Any) -> None:
    with pytest.raises(ToolFailed) as failed:
        read_answer(value)
    assert failed.value.log_fields == {"cause": "unreadable_answer"}
