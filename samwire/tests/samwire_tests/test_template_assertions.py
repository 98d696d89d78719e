"""A template's Rules: what it asserts of its parameters is held against them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from samwire.template.assertions import rule_problems
from samwire.template.intrinsics import TemplateError
from samwire.template.reader import read_stack

VALUES = {"Mode": "oidc", "Zones": ["a", "b"], "More": ["c"], "Empty": "", "AWS::Region": "eu-1"}
KINDS = {"Mode": "String", "Zones": "CommaDelimitedList", "More": "CommaDelimitedList"}


def problems(assertion: Any, condition: Any = None) -> tuple[list[str], list[str]]:
    """What is refused, and what is only named."""
    rule: dict[str, Any] = {"Assertions": [{"Assert": assertion, "AssertDescription": "said so"}]}
    if condition is not None:
        rule["RuleCondition"] = condition
    notices: list[str] = []
    found = rule_problems({"Rule": rule}, VALUES, KINDS, notices.append)
    return [problem.sentence for problem in found], notices


HOLDS: list[Any] = [
    {"Fn::Equals": [{"Ref": "Mode"}, "oidc"]},
    {"Fn::Not": [{"Fn::Equals": [{"Ref": "Mode"}, ""]}]},
    {"Fn::Contains": [["secret", "oidc"], {"Ref": "Mode"}]},
    {"Fn::Contains": [{"Ref": "Zones"}, "b"]},
    {"Fn::EachMemberIn": [{"Ref": "Zones"}, ["a", "b", "c"]]},
    {"Fn::EachMemberEquals": [["a", "a"], "a"]},
    {"Fn::EachMemberIn": [{"Fn::RefAll": "CommaDelimitedList"}, ["a", "b", "c"]]},
    {"Fn::Or": [{"Fn::Equals": ["1", "2"]}, {"Fn::Equals": [1, "1"]}]},
    {"Fn::And": [{"Fn::Equals": ["1", "1"]}, {"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-1"]}]},
]
DOES_NOT: list[Any] = [
    {"Fn::Equals": [{"Ref": "Empty"}, "oidc"]},
    {"Fn::Not": [{"Fn::Equals": [{"Ref": "Mode"}, "oidc"]}]},
    {"Fn::Contains": [["secret"], {"Ref": "Mode"}]},
    {"Fn::EachMemberIn": [{"Ref": "Zones"}, ["a"]]},
    {"Fn::EachMemberEquals": [{"Ref": "Zones"}, "a"]},
    {"Fn::EachMemberIn": [{"Fn::RefAll": "CommaDelimitedList"}, ["a", "b"]]},
    {"Fn::Or": [{"Fn::Equals": ["1", "2"]}, {"Fn::Equals": ["1", "3"]}]},
    {"Fn::And": [{"Fn::Equals": ["1", "1"]}, {"Fn::Equals": ["1", "2"]}]},
]
CANNOT_BE: list[Any] = [
    {"Fn::Equals": [{"Ref": "Nobody"}, ""]},
    {"Fn::Equals": ["one"]},
    {"Fn::Not": {"Fn::Equals": ["1", "1"]}},
    {"Fn::And": [{"Fn::Equals": ["1", "1"]}]},
    {"Fn::Join": ["", ["a"]]},
    {"Ref": "Mode"},
    {"Ref": ["Mode"]},
    "true",
    None,
]


@pytest.mark.parametrize("assertion", HOLDS, ids=str)
def test_an_assertion_that_holds_is_nothing_to_tell(assertion: Any) -> None:
    assert problems(assertion) == ([], [])


@pytest.mark.parametrize("assertion", DOES_NOT, ids=str)
def test_an_assertion_that_does_not_hold_is_told_in_its_own_words(assertion: Any) -> None:
    assert problems(assertion) == (["said so"], [])
    assert problems(assertion, condition={"Fn::Equals": ["a", "b"]}) == ([], [])
    assert problems(assertion, condition={"Fn::Equals": ["a", "a"]}) == (["said so"], [])


@pytest.mark.parametrize("assertion", CANNOT_BE, ids=str)
def test_what_is_no_assertion_is_a_sentence(assertion: Any) -> None:
    (sentence,), notices = problems(assertion)
    assert sentence.startswith("the rule cannot be evaluated")
    assert notices == []


@pytest.mark.parametrize(
    "rules", ["text", {"Rule": None}, {"Rule": {}}, {"Rule": {"Assertions": 1}}]
)
def test_what_is_no_rule_is_a_problem(rules: Any) -> None:
    assert list(rule_problems(rules, VALUES, KINDS, lambda _sentence: None))


def test_what_asks_for_an_account_is_named() -> None:
    asks = {"Fn::EachMemberIn": [{"Fn::ValueOfAll": ["AWS::EC2::Subnet::Id", "VpcId"]}, ["a"]]}
    found, notices = problems(asks)
    assert found == []
    assert notices == ["The rule Rule is not checked: Fn::ValueOfAll asks what an account has."]


def test_a_templates_rules_are_held_against_what_is_given(tmp_path: Path) -> None:
    template = {
        "Parameters": {name: {"Type": "String", "Default": ""} for name in ("Mode", "Audience")},
        "Rules": {
            "NeedsAnAudience": {
                "RuleCondition": {"Fn::Equals": [{"Ref": "Mode"}, "oidc"]},
                "Assertions": [
                    {
                        "Assert": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Audience"}, ""]}]},
                        "AssertDescription": "Mode oidc needs Audience",
                    }
                ],
            }
        },
        "Resources": {"Done": {"Type": "AWS::CloudFormation::WaitConditionHandle"}},
    }
    path = tmp_path / "template.json"
    path.write_text(json.dumps(template))
    with pytest.raises(TemplateError, match=r"^NeedsAnAudience: Mode oidc needs Audience"):
        read_stack(path, {"Mode": "oidc"}, "us-east-1", "localhost:1")
    read_stack(path, {"Mode": "oidc", "Audience": "a"}, "us-east-1", "localhost:1")
    read_stack(path, {}, "us-east-1", "localhost:1")
