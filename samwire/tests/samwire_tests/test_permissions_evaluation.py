"""Decisions about requests, against what the IAM user guide says about policies."""

from __future__ import annotations

from typing import Any

import pytest

from samwire.permissions.evaluation import Evaluator, Verdict
from samwire.permissions.policies import PolicyError, parsed_policy

TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/music"


def statement(
    effect: str = "Allow", *, action: object = "*", resource: object = "*", **other: object
) -> dict[str, object]:
    return {"Effect": effect, "Action": action, "Resource": resource, **other}


def evaluator(*statements: dict[str, object], version: str = "2012-10-17") -> Evaluator:
    return Evaluator([parsed_policy({"Version": version, "Statement": list(statements)})])


def decide(
    found: Evaluator,
    action: str = "dynamodb:PutItem",
    resource: str = TABLE,
    **keys: tuple[str, ...] | str,
) -> Verdict:
    context = {
        name.replace("__", ":").lower(): (value,) if isinstance(value, str) else value
        for name, value in keys.items()
    }
    return found.decide(action, resource, lambda: context)


ALLOW, DENY = statement(), statement("Deny")


@pytest.mark.parametrize(
    ("statements", "verdict"),
    [
        ([], Verdict.NOT_ALLOWED),
        ([ALLOW], Verdict.ALLOWED),
        ([DENY], Verdict.DENIED),
        ([ALLOW, DENY], Verdict.DENIED),
        ([DENY, ALLOW], Verdict.DENIED),
        ([statement(action="s3:*"), statement("Deny", action="s3:*")], Verdict.NOT_ALLOWED),
    ],
    ids=["nothing", "allow", "deny", "allow then deny", "deny then allow", "about others"],
)
def test_a_deny_beats_every_allow_and_nothing_is_allowed_by_default(
    statements: list[dict[str, object]], verdict: Verdict
) -> None:
    found = Evaluator([parsed_policy({"Statement": each}) for each in statements])
    assert decide(found) is verdict


@pytest.mark.parametrize(
    ("pattern", "action", "matches"),
    [
        ("dynamodb:PutItem", "dynamodb:PutItem", True),
        ("DynamoDB:putitem", "dynamodb:PutItem", True),
        ("dynamodb:*", "dynamodb:PutItem", True),
        ("*", "dynamodb:PutItem", True),
        ("dynamodb:*Item", "dynamodb:PutItem", True),
        ("dynamodb:*Item", "dynamodb:Query", False),
        ("dynamodb:?utItem", "dynamodb:PutItem", True),
        ("dynamodb:?tItem", "dynamodb:PutItem", False),
        ("dynamodb:Put", "dynamodb:PutItem", False),
        ("dynamodb:Put.tem", "dynamodb:PutItem", False),
        (["s3:GetObject", "dynamodb:Query"], "dynamodb:Query", True),
    ],
)
def test_actions_match_whatever_their_case(pattern: object, action: str, matches: bool) -> None:
    found = evaluator(statement(action=pattern))
    assert (decide(found, action) is Verdict.ALLOWED) == matches


@pytest.mark.parametrize(
    ("pattern", "resource", "matches"),
    [
        (TABLE, TABLE, True),
        (TABLE.replace("music", "mus*"), TABLE, True),
        (TABLE.replace("music", "mus?c"), TABLE, True),
        (TABLE.replace("music", "Music"), TABLE, False),
        (TABLE, f"{TABLE}/index/by-year", False),
        (f"{TABLE}/index/*", f"{TABLE}/index/by-year", True),
        ("arn:aws:dynamodb:*:*:table/music", TABLE, True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/a/b:c", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b", False),
        ("arn:aws:s3:::b*", "arn:aws:s3:::bucket/key", True),
        # A wildcard within a part ends at the colon; at the end of one it goes on.
        ("arn:aws:sqs:us-*-1:123456789012:q", "arn:aws:sqs:us-east-1:123456789012:q", True),
        ("arn:aws:lambda:u*a:f", "arn:aws:lambda:us-east-1:123456789012:function:a:f", False),
        ("arn:aws:lambda:*:f", "arn:aws:lambda:us-east-1:123456789012:function:a:f", True),
        ("*", TABLE, True),
    ],
)
def test_resources_match_by_their_wildcards(pattern: str, resource: str, matches: bool) -> None:
    found = evaluator(statement(resource=pattern))
    assert (decide(found, resource=resource) is Verdict.ALLOWED) == matches


@pytest.mark.parametrize(
    ("element", "action", "resource", "verdict"),
    [
        ({"NotAction": "dynamodb:Delete*"}, "dynamodb:PutItem", TABLE, Verdict.ALLOWED),
        ({"NotAction": "dynamodb:Delete*"}, "dynamodb:DeleteItem", TABLE, Verdict.NOT_ALLOWED),
        ({"NotResource": TABLE}, "dynamodb:PutItem", TABLE, Verdict.NOT_ALLOWED),
        ({"NotResource": TABLE}, "dynamodb:PutItem", f"{TABLE}2", Verdict.ALLOWED),
    ],
)
def test_not_action_and_not_resource_are_about_all_others(
    element: dict[str, str], action: str, resource: str, verdict: Verdict
) -> None:
    made = statement(**element)
    for name in element:
        del made[name.removeprefix("Not")]
    assert decide(evaluator(made), action, resource) is verdict


@pytest.mark.parametrize(
    ("condition", "keys", "holds"),
    [
        ({"StringEquals": {"a:k": "x"}}, {"a__k": "x"}, True),
        ({"StringEquals": {"A:K": "x"}}, {"a__k": "x"}, True),
        ({"StringEquals": {"a:k": "x"}}, {"a__k": "X"}, False),
        ({"StringEquals": {"a:k": "x*"}}, {"a__k": "xy"}, False),
        ({"StringEquals": {"a:k": ["x", "y"]}}, {"a__k": "y"}, True),
        ({"StringEquals": {"a:k": "x"}}, {}, False),
        ({"StringEqualsIfExists": {"a:k": "x"}}, {}, True),
        ({"StringEqualsIfExists": {"a:k": "x"}}, {"a__k": "y"}, False),
        ({"StringEquals": {"a:k": "x", "a:l": "y"}}, {"a__k": "x"}, False),
        ({"StringEquals": {"a:k": "x"}, "StringLike": {"a:l": "*"}}, {"a__k": "x"}, False),
        ({"StringNotEquals": {"a:k": "x"}}, {"a__k": "y"}, True),
        ({"StringNotEquals": {"a:k": ["x", "y"]}}, {"a__k": "y"}, False),
        ({"StringNotEquals": {"a:k": "x"}}, {}, True),
        ({"StringEqualsIgnoreCase": {"a:k": "x"}}, {"a__k": "X"}, True),
        ({"StringNotEqualsIgnoreCase": {"a:k": "x"}}, {"a__k": "X"}, False),
        ({"StringLike": {"a:k": "x/*/?"}}, {"a__k": "x/y:z/1"}, True),
        ({"StringLike": {"a:k": "x/*"}}, {"a__k": "y/x/"}, False),
        ({"StringNotLike": {"a:k": "x*"}}, {"a__k": "xy"}, False),
        ({"NumericLessThanEquals": {"a:k": "10"}}, {"a__k": "10.0"}, True),
        ({"NumericLessThan": {"a:k": 10}}, {"a__k": "10"}, False),
        ({"NumericGreaterThan": {"a:k": "9"}}, {"a__k": "10"}, True),
        ({"NumericGreaterThanEquals": {"a:k": "9"}}, {"a__k": "8"}, False),
        ({"NumericEquals": {"a:k": "9"}}, {"a__k": "nine"}, False),
        ({"NumericNotEquals": {"a:k": "9"}}, {"a__k": "8"}, True),
        ({"DateLessThan": {"a:k": "2030-01-01T00:00:00Z"}}, {"a__k": "2029-06-01T00:00:00Z"}, True),
        ({"DateGreaterThan": {"a:k": "2030-01-01T00:00:00Z"}}, {"a__k": "1000"}, False),
        ({"DateEquals": {"a:k": "1970-01-01"}}, {"a__k": "0"}, True),
        ({"DateNotEquals": {"a:k": "1970-01-01"}}, {"a__k": "0"}, False),
        ({"DateLessThanEquals": {"a:k": "1970-01-01"}}, {"a__k": "0"}, True),
        ({"DateGreaterThanEquals": {"a:k": "1970-01-02"}}, {"a__k": "0"}, False),
        ({"Bool": {"a:k": "true"}}, {"a__k": "true"}, True),
        ({"Bool": {"a:k": True}}, {"a__k": "true"}, True),
        ({"Bool": {"a:k": "false"}}, {"a__k": "true"}, False),
        ({"BoolIfExists": {"a:k": "false"}}, {}, True),
        ({"BinaryEquals": {"a:k": "QQ=="}}, {"a__k": "QQ=="}, True),
        ({"IpAddress": {"a:k": "10.0.0.0/8"}}, {"a__k": "10.1.2.3"}, True),
        ({"IpAddress": {"a:k": "10.0.0.0/8"}}, {"a__k": "11.1.2.3"}, False),
        ({"IpAddress": {"a:k": "2001:db8::/32"}}, {"a__k": "10.1.2.3"}, False),
        ({"NotIpAddress": {"a:k": ["10.0.0.0/8", "::1"]}}, {"a__k": "::1"}, False),
        ({"ArnLike": {"a:k": "arn:aws:sns:*:*:t*"}}, {"a__k": "arn:aws:sns:r:1:topic"}, True),
        ({"ArnLike": {"a:k": "arn:aws:sns:*:t*"}}, {"a__k": "arn:aws:sns:r:1:topic"}, False),
        ({"ArnEquals": {"a:k": "arn:aws:sns:r:1:t?"}}, {"a__k": "arn:aws:sns:r:1:t1"}, True),
        ({"ArnNotLike": {"a:k": "arn:aws:sns:r:1:*"}}, {"a__k": "arn:aws:sns:r:1:t"}, False),
        ({"ArnNotEquals": {"a:k": "arn:aws:sns:r:1:t"}}, {"a__k": "nothing"}, True),
        ({"Null": {"a:k": "true"}}, {}, True),
        ({"Null": {"a:k": "true"}}, {"a__k": "x"}, False),
        ({"Null": {"a:k": "false"}}, {"a__k": "x"}, True),
        ({"Null": {"a:k": False}}, {}, False),
        ({"ForAllValues:StringEquals": {"a:k": ["x", "y"]}}, {"a__k": ("x", "y")}, True),
        ({"ForAllValues:StringEquals": {"a:k": ["x"]}}, {"a__k": ("x", "y")}, False),
        ({"ForAllValues:StringEquals": {"a:k": ["x"]}}, {}, True),
        ({"ForAllValues:StringNotEquals": {"a:k": ["x"]}}, {"a__k": ("x", "y")}, False),
        ({"ForAllValues:StringNotEquals": {"a:k": ["x"]}}, {"a__k": ("y", "z")}, True),
        ({"ForAnyValue:StringEquals": {"a:k": ["x"]}}, {"a__k": ("x", "y")}, True),
        ({"ForAnyValue:StringEquals": {"a:k": ["z"]}}, {"a__k": ("x", "y")}, False),
        ({"ForAnyValue:StringEquals": {"a:k": ["x"]}}, {}, False),
        ({"ForAnyValue:StringLike": {"a:k": "x*"}}, {"a__k": ("y", "xy")}, True),
        ({"ForAnyValue:StringNotEquals": {"a:k": ["x"]}}, {"a__k": ("x", "y")}, True),
        ({"ForAnyValue:StringNotEquals": {"a:k": ["x"]}}, {"a__k": ("x",)}, False),
    ],
    ids=str,
)
def test_a_statement_applies_when_all_its_conditions_hold(
    condition: dict[str, Any], keys: dict[str, Any], holds: bool
) -> None:
    found = evaluator(statement(Condition=condition))
    assert (decide(found, **keys) is Verdict.ALLOWED) == holds


@pytest.mark.parametrize(
    ("resource", "asked", "allowed"),
    [
        ("arn:aws:s3:::b/${aws:userid}/*", "arn:aws:s3:::b/me/x", True),
        ("arn:aws:s3:::b/${aws:userid}/*", "arn:aws:s3:::b/you/x", False),
        ("arn:aws:s3:::b/${AWS:UserId}", "arn:aws:s3:::b/me", True),
        ("arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::b/me", False),
        ("arn:aws:s3:::b/${aws:username, 'all'}", "arn:aws:s3:::b/all", True),
        ("arn:aws:s3:::b/${*}", "arn:aws:s3:::b/*", True),
        ("arn:aws:s3:::b/${*}", "arn:aws:s3:::b/x", False),
        ("arn:aws:s3:::b/${$}{x}", "arn:aws:s3:::b/${x}", True),
        ("arn:aws:s3:::b/${a:wild}", "arn:aws:s3:::b/x", False),
        ("arn:aws:s3:::b/${a:wild}", "arn:aws:s3:::b/*", True),
    ],
)
def test_variables_stand_for_values_of_the_request(
    resource: str, asked: str, allowed: bool
) -> None:
    found = evaluator(statement(resource=resource))
    verdict = decide(found, "s3:GetObject", asked, aws__userid="me", a__wild="*")
    assert (verdict is Verdict.ALLOWED) == allowed


def test_variables_stand_for_values_in_conditions_too() -> None:
    found = evaluator(statement(Condition={"StringLike": {"s3:prefix": "${aws:userid}/*"}}))
    assert decide(found, s3__prefix="me/x", aws__userid="me") is Verdict.ALLOWED
    assert decide(found, s3__prefix="me/x", aws__userid="you") is Verdict.NOT_ALLOWED
    assert decide(found, s3__prefix="me/x") is Verdict.NOT_ALLOWED


def test_policies_of_the_old_version_know_no_variables() -> None:
    found = evaluator(statement(resource="arn:aws:s3:::${aws:userid}"), version="2008-10-17")
    assert decide(found, "s3:ListBucket", "arn:aws:s3:::me", aws__userid="me") != Verdict.ALLOWED
    literal = "arn:aws:s3:::${aws:userid}"
    assert decide(found, "s3:ListBucket", literal, aws__userid="me") is Verdict.ALLOWED


def test_a_decision_that_depends_on_the_request_is_made_anew() -> None:
    found = evaluator(statement(Condition={"StringEquals": {"a:k": "x"}}))
    assert decide(found, a__k="x") is Verdict.ALLOWED
    assert decide(found, a__k="y") is Verdict.NOT_ALLOWED
    assert decide(found, a__k="x") is Verdict.ALLOWED


@pytest.mark.parametrize(
    ("boundary", "verdict"),
    [
        (statement(action="dynamodb:*"), Verdict.ALLOWED),
        (statement(action="s3:*"), Verdict.NOT_ALLOWED_BY_BOUNDARY),
        (statement("Deny"), Verdict.DENIED_BY_BOUNDARY),
    ],
)
def test_a_boundary_must_allow_as_well(boundary: dict[str, object], verdict: Verdict) -> None:
    own = parsed_policy({"Statement": ALLOW})
    found = Evaluator([own], parsed_policy({"Statement": boundary}))
    assert decide(found) is verdict


def test_a_boundary_alone_allows_nothing() -> None:
    assert decide(Evaluator([], parsed_policy({"Statement": ALLOW}))) is Verdict.NOT_ALLOWED


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("x", "must be an object"),
        ({}, "must have a Statement"),
        ({"Statement": []}, "must have a Statement"),
        ({"Statement": ["x"]}, "Statement 1 must be an object"),
        ({"Statement": {**ALLOW, "Effect": "allow"}}, "Effect Allow or Deny, not 'allow'"),
        ({"Statement": {**ALLOW, "Principal": "*"}}, "the unknown element Principal"),
        ({"Statement": {**ALLOW, "NotAction": "*"}}, "either Action or NotAction"),
        ({"Statement": {"Effect": "Allow", "Action": "*"}}, "either Resource or NotResource"),
        ({"Statement": statement(action="PutItem")}, "'PutItem' must be service:Operation"),
        ({"Statement": statement(action=[])}, "its Action must be text"),
        ({"Statement": statement(Sid="Mine", resource=[{}])}, "Statement Mine: its Resource"),
        ({"Statement": statement(Condition={"StringIs": {"a:k": "x"}})}, "StringIs is no"),
        ({"Statement": statement(Condition={"ForSome:Bool": {"a:k": "x"}})}, "ForSome:Bool is"),
        ({"Statement": statement(Condition={"NullIfExists": {"a:k": "x"}})}, "NullIfExists is"),
        ({"Statement": statement(Condition={"Bool": "x"})}, "operators with keys"),
    ],
)
def test_what_is_no_policy_is_refused_with_a_reason(document: object, said: str) -> None:
    with pytest.raises(PolicyError, match=said.replace("(", r"\(")):
        parsed_policy(document)


@pytest.mark.parametrize(
    ("action", "named"), [("s3:GetObject", True), ("*", True), ("iam:PassRole", False)]
)
def test_a_condition_key_that_no_request_has_is_named_where_it_matters(
    action: str, named: bool
) -> None:
    condition = {"StringEquals": {"aws:PrincipalTag/team": "x"}}
    policy = parsed_policy({"Statement": statement(action=action, Sid="A", Condition=condition)})
    said = "Statement A: the condition key aws:PrincipalTag/team is not known here;"
    assert policy.notices == ((f"{said} no request has it.",) if named else ())
