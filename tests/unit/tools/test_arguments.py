"""Arguments as models write them, and the sentence that a model gets for wrong ones."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.providers.llm import ToolOffer
from parley.tools.arguments import BadArguments, canonical, read_arguments, schema_problem
from parley.tools.tool import ToolSpec

SCHEMA = {
    "type": "object",
    "properties": {
        "order": {"type": "string", "pattern": "^[A-Z]-", "maxLength": 8},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "size": {"enum": ["S", "M", 3]},
        "price": {"type": ["number", "null"], "exclusiveMinimum": 0, "multipleOf": 0.5},
        "day": {"type": "string", "format": "date"},
        "id": {"type": "boolean"},
        "guests": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}},
                "required": ["name"],
            },
        },
    },
    "required": ["order"],
    "additionalProperties": False,
}
WHOLE = {"order": "A-123"}


def spec(schema: dict[str, Any]) -> ToolSpec:
    return ToolSpec(ToolOffer("order_status", "Where an order is.", schema), "lambda")


def read(arguments: object) -> dict[str, Any]:
    return read_arguments(spec(SCHEMA), json.dumps(arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        WHOLE,
        {**WHOLE, "count": 2, "size": 3, "price": None, "day": "2026-12-01", "id": True},
        {**WHOLE, "guests": [{"name": "Ada", "age": 36}]},
    ],
)
def test_arguments_that_keep_to_the_schema_are_taken_as_they_are(arguments: dict[str, Any]) -> None:
    assert read(arguments) == arguments


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"order": None}, "order: expected text."),
        ({"order": "123"}, "order: expected text that matches ^[A-Z]-."),
        ({"order": "A-1234567"}, "order: expected at most 8 characters."),
        ({"count": "2"}, "count: expected an integer."),
        ({"count": 2.5}, "count: expected an integer."),
        ({"count": 0}, "count: expected at least 1."),
        ({"count": 10}, "count: expected at most 9."),
        ({"size": "L"}, 'size: expected one of "S", "M", 3.'),
        ({"price": "2"}, "price: expected a number or null."),
        ({"price": 0}, "price: expected more than 0."),
        ({"price": 0.3}, "price: expected a multiple of 0.5."),
        ({"day": "tomorrow"}, "day: expected text in the format date."),
        ({"id": 1}, "id: expected true or false."),
        ({"guests": {}}, "guests: expected a list."),
        ({"guests": []}, "guests: expected at least 1 entries."),
        ({"guests": [{"name": "Ada"}, {}]}, "guests[1].name: required."),
        ({"guests": [{"name": 1}]}, "guests[0].name: expected text."),
        (
            {"colour": "red"},
            "arguments: there is an unknown name; known are: count, day, guests, id, order, price, "
            "size.",
        ),
    ],
)
def test_a_wrong_argument_is_named_in_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadArguments) as refused:
        read({**WHOLE, **changes})
    assert str(refused.value) == sentence


def test_an_argument_that_is_missing_is_named() -> None:
    with pytest.raises(BadArguments, match=r"^order: required\.$"):
        read({"count": 1})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"order": "A-1', "They are not a whole JSON object."),
        ('{"order": NaN}', "They are not a whole JSON object."),
        ("[" * 100_000, "They are not a whole JSON object."),
        ('["A-123"]', "They are not a JSON object."),
        ("null", "They are not a JSON object."),
        ('"\\"A-123\\""', "They are not a JSON object."),
        ("", "They are not a whole JSON object."),
    ],
)
def test_arguments_that_are_cut_off_or_no_object_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(BadArguments) as refused:
        read_arguments(spec(SCHEMA), text)
    assert str(refused.value) == sentence


@pytest.mark.parametrize("text", ["", " \n", "{}", '"{}"'])
def test_no_text_stands_for_no_arguments_where_none_is_needed(text: str) -> None:
    assert read_arguments(spec({"type": "object", "properties": {}}), text) == {}
    optional = {**SCHEMA, "required": []}
    assert read_arguments(spec(optional), text) == {}


def test_arguments_that_are_encoded_twice_are_read_twice() -> None:
    assert read(json.dumps(WHOLE)) == WHOLE
    with pytest.raises(BadArguments):
        read(json.dumps(json.dumps(WHOLE)))


def test_a_refusal_never_repeats_a_value() -> None:
    secret = "4111-1111-1111-1111"
    for name in ("count", "size", "price", "day", "id", "guests", "order", secret):
        with pytest.raises(BadArguments) as refused:
            read({**WHOLE, name: secret})
        assert "4111" not in str(refused.value)


def test_a_schema_that_refers_to_itself_is_compiled() -> None:
    schema = {
        "type": "object",
        "properties": {"next": {"$ref": "#"}},
        "additionalProperties": False,
    }
    assert schema_problem(schema) == ""
    assert read_arguments(spec(schema), '{"next": {"next": {}}}') == {"next": {"next": {}}}
    with pytest.raises(BadArguments):
        read_arguments(spec(schema), '{"next": {"next": {"last": 1}}}')


def test_a_schema_reads_no_file_and_no_url(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"type": "string"}')
    for elsewhere in (
        f"file://{tmp_path}/other.json",
        "https://localhost:9/x",
        "data:,x",
        "x.json",
    ):
        problem = schema_problem({"type": "object", "properties": {"a": {"$ref": elsewhere}}})
        assert problem.startswith("$ref: expected a place in the schema itself"), elsewhere


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"type": "object", "properties": []},
        {"type": "object", "required": "a"},
        {"type": "object", "properties": {"a": {"pattern": "("}}},
        {"type": "object", "properties": {"a": {"minimum": "1"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}},
    ],
)
def test_a_schema_that_makes_no_sense_has_a_problem_and_checks_nothing(
    schema: dict[str, Any],
) -> None:
    assert schema_problem(schema) != ""
    assert read_arguments(spec({**schema, "required": []}), '{"a": 1}') == {"a": 1}


TEXT = st.text("AZ-19é\n", max_size=10)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([0.5, 2.0]) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=3,
)
NAMES = ["order", "count", "size", "price", "day", "id", "guests", "x"]


def taken(arguments: Any) -> Any:
    """The arguments as they are taken; None if they are refused."""
    with contextlib.suppress(BadArguments):
        return read(arguments)
    return None


def refusal(arguments: Any) -> str:
    """The sentence with which they are refused."""
    with pytest.raises(BadArguments) as refused:
        read(arguments)
    return str(refused.value)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), ANY_JSON, max_size=4))
def test_whatever_a_model_writes_is_taken_or_refused_with_a_sentence(arguments: Any) -> None:
    assert taken(arguments) == arguments or refusal(arguments).endswith(".")


def test_the_order_of_names_makes_no_difference_to_the_canonical_text() -> None:
    assert canonical({"b": 1, "a": [2]}) == canonical({"a": [2], "b": 1}) == '{"a":[2],"b":1}'
