"""Templates: parameters, conditions, intrinsic functions and what becomes of resources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from samwire.template.intrinsics import NO_VALUE, Resolver, TemplateError
from samwire.template.reader import read_stack
from samwire_tests.conftest import CHAT


def resolver() -> Resolver:
    return Resolver(
        {"AWS::Region": "eu-west-1", "Name": "x", "Empty": ""},
        {"Yes": {"Fn::Equals": ["a", "a"]}, "No": {"Fn::Not": [{"Condition": "Yes"}]}},
        {"Sizes": {"eu-west-1": {"small": 3}}},
        lambda name: f"ref-{name}",
        lambda name, attribute: f"{name}.{attribute}",
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Name"}, "x"),
        ({"Ref": "Thing"}, "ref-Thing"),
        ({"Fn::GetAtt": ["Thing", "Arn"]}, "Thing.Arn"),
        ({"Fn::GetAtt": "Thing.A.B"}, "Thing.A.B"),
        ({"Fn::Sub": "${Name}-${Thing}-${Thing.Arn}-${!Name}"}, "x-ref-Thing-Thing.Arn-${Name}"),
        ({"Fn::Sub": ["${a}/${AWS::Region}", {"a": {"Ref": "Name"}}]}, "x/eu-west-1"),
        ({"Fn::Join": ["/", ["a", {"Ref": "Name"}, 3]]}, "a/x/3"),
        ({"Fn::Select": [1, {"Fn::Split": [",", "a,b,c"]}]}, "b"),
        ({"Fn::If": ["Yes", 1, 2]}, 1),
        ({"Fn::If": ["No", 1, {"Ref": "Name"}]}, "x"),
        ({"Fn::And": [{"Condition": "Yes"}, {"Fn::Equals": [1, 2]}]}, False),
        ({"Fn::Or": [{"Condition": "No"}, {"Condition": "Yes"}]}, True),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "AWS::Region"}, "small"]}, 3),
        ({"Fn::Base64": "hi"}, "aGk="),
        ({"a": [{"Ref": "AWS::NoValue"}, 1], "b": {"Ref": "AWS::NoValue"}}, {"a": [1]}),
    ],
    ids=str,
)
def test_intrinsic_functions(value: Any, expected: Any) -> None:
    assert resolver().resolve(value) == expected


def test_no_value_by_itself_is_no_value() -> None:
    assert resolver().resolve({"Ref": "AWS::NoValue"}) is NO_VALUE


@pytest.mark.parametrize(
    "value",
    [{"Fn::Transform": {}}, {"Condition": "Nosuch"}, {"Fn::FindInMap": ["Sizes", "a", "b"]}],
)
def test_what_cannot_be_resolved_is_named(value: Any) -> None:
    with pytest.raises(TemplateError):
        resolver().resolve(value)


def test_a_template_becomes_what_is_served() -> None:
    stack = read_stack(CHAT, {"Secret": "s"}, "us-east-1", "localhost:1")
    (api,) = stack.apis
    assert api.stage == "prod"
    assert set(api.routes) == {"$connect", "$disconnect", "$default", "ask"}
    assert [key for key, route in api.routes.items() if route.two_way] == ["ask"]
    functions = {function.logical_id: function for function in stack.functions}
    assert functions["Worker"].event_invokes["$LATEST"].retries == 2
    assert functions["Once"].event_invokes["live"].retries == 0
    assert functions["Once"].aliases == {"live"}
    assert functions["Chat"].environment["GREETING"] == "hello"
    assert functions["Chat"].code == CHAT.parent
    assert [secret.value for secret in stack.secrets] == ["s"]


def test_a_condition_decides_over_a_value() -> None:
    stack = read_stack(CHAT, {"Secret": "s", "Greeting": ""}, "us-east-1", "localhost:1")
    assert all("GREETING" not in function.environment for function in stack.functions)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Resources: [", "not valid YAML"),
        ("a: 1", "has no Resources"),
        (
            "Transform: AWS::Serverless-2016-10-31\nResources:\n  F:\n"
            "    Type: AWS::Serverless::Function\n    Properties: {Handler: a.b}",
            "F",
        ),
    ],
)
def test_a_template_that_is_wrong_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(text)
    with pytest.raises(TemplateError, match=sentence):
        read_stack(path, {}, "us-east-1", "localhost:1")
