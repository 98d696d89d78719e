"""What a tool is told of a call besides its arguments."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace

import pytest

from parley.tools.answers import MAX_EVENTS, answer_of
from parley.tools.call_context import (
    call_context,
    encode_arguments,
    encode_within,
    outside_key,
)
from parley.tools.tool import CustomEvent, ToolFailed
from tests.unit.tool_calls import KEY, invocation


def test_the_key_that_others_are_told_has_no_full_stop_and_no_session() -> None:
    key = outside_key(KEY)
    assert re.fullmatch("call_[a-z0-9]{32}", key)
    assert key == outside_key(KEY) != outside_key(f"{KEY}0")


def test_a_context_is_text_throughout_and_leaves_out_what_is_not_known() -> None:
    context = call_context("book", replace(invocation(), language=""))
    assert "language" not in context
    assert json.loads(context["metadata"]) == {"customer": "Zoë"}
    assert {type(value) for value in context.values()} == {str}


def test_metadata_that_does_not_fit_is_left_out_and_nothing_else() -> None:
    context = call_context("book", replace(invocation(), metadata={"notes": 3_000 * "x"}))
    sent = json.loads(base64.b64decode(encode_within(3_583, context, under="custom")))
    assert sent == {"custom": {name: context[name] for name in context if name != "metadata"}}


def test_a_number_that_json_does_not_have_is_told_before_anything_is_sent() -> None:
    with pytest.raises(ToolFailed) as failed:
        encode_arguments({"people": float("nan")})
    assert (failed.value.reason, failed.value.acted) == ("refused", False)


def test_events_are_taken_out_of_a_result_before_the_model_has_it() -> None:
    answer = answer_of({"n": 1, "parley_events": [{"name": "map", "data": [1]}, {"name": "x"}]})
    assert answer.value == {"n": 1}
    assert answer.events == [CustomEvent("map", [1]), CustomEvent("x", None)]


@pytest.mark.parametrize("events", [None, "x", [1, {"name": 1}, {"name": ""}, {"data": 1}, []]])
def test_what_is_no_event_is_left_out(events: object) -> None:
    answer = answer_of({"n": 1, "parley_events": events})
    assert (answer.value, list(answer.events)) == ({"n": 1}, [])


def test_no_tool_floods_the_page_with_events() -> None:
    assert len(answer_of({"parley_events": 99 * [{"name": "x"}]}).events) == MAX_EVENTS
