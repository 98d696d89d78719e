"""What AWS takes is served, and told of where it is not as on AWS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from samwire.template.intrinsics import NO_VALUE, TemplateError
from samwire.template.lint import findings_of, lint
from samwire.template.loader import parse, read_text
from samwire.template.reader import read_stack
from samwire_tests.faulty import FOLDER, GOOD, changed, problems_with, written
from samwire_tests.test_template_details import function, read
from samwire_tests.test_template_roles import ALLOW, DOCUMENT, role

SOUND: dict[str, dict[str, Any]] = parse(FOLDER / "sound.yaml", read_text(FOLDER / "sound.yaml"))


@pytest.mark.parametrize("name", SOUND)
def test_what_aws_takes_is_served(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, changed(GOOD, SOUND[name]["change"]))
    stack = read_stack(path, {}, "us-east-1", "localhost:1")
    assert "<object" not in repr(stack)
    assert "NoValue" not in repr(stack)
    noticed = SOUND[name].get("notice")
    assert (noticed is None) == (stack.notices == []), stack.notices
    assert noticed is None or any(noticed in notice for notice in stack.notices)


def test_a_rule_of_cfn_lint_that_fails_is_a_notice() -> None:
    crash = {"rule": "E0002", "page": "", "message": "Unknown exception", "path": []}
    found = findings_of([crash])
    assert found.problems == []
    assert len(found.notices) == 1


async def test_whoever_waits_for_cfn_lint_is_told_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_text: str) -> list[dict[str, Any]]:
        return []

    monkeypatch.setattr("samwire.template.lint._asked", nothing)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said: list[str] = []
    for _ in range(2):
        await lint(FOLDER / "template.yaml", {}, "us-east-1", {}, said.append)
    assert said == ["looking at the changed template with cfn-lint …"]


def test_no_value_never_becomes_text() -> None:
    with pytest.raises(TypeError):
        str(NO_VALUE)


LONG = "x" * 300


@pytest.mark.parametrize(
    ("resources", "more", "at"),
    [
        ({"F": function(CodeUri=LONG)}, {}, "F"),
        ({"F": function(CodeUri="a\0b")}, {}, "F"),
        ({"F": function(), "L": {"Type": "AWS::Serverless::LayerVersion",
                                 "Properties": {"ContentUri": "a\0b"}}}, {}, "L"),
        ({"F": function(Environment={"Fn::Transform": {
            "Name": "AWS::Include", "Parameters": {"Location": LONG}}})}, {}, "F"),
        ({"F": function(Environment={"Fn::Transform": {
            "Name": "AWS::Include", "Parameters": {"Location": "a\0b"}}})}, {}, "F"),
        ({f"P{n}": {"Type": "AWS::SSM::Parameter", "Properties": {
            "Type": "String", "Value": {"Fn::GetAtt": [f"P{n + 1}", "Value"]} if n < 399 else "x"}}
          for n in range(400)}, {}, "Resources"),
        ({"F": function()}, {"Conditions": {
            f"C{n}": {"Fn::Not": [{"Condition": f"C{n + 1}"}]} if n < 399 else
            {"Fn::Equals": ["a", "a"]} for n in range(400)}}, "Resources"),
    ],
    ids=["long code", "NUL in code", "NUL in a layer", "long include", "NUL in an include",
         "400 names", "400 conditions"],
)  # fmt: skip
def test_what_is_too_long_or_too_deep_is_refused_with_a_sentence(
    tmp_path: Path, resources: dict[str, Any], more: dict[str, Any], at: str
) -> None:
    with pytest.raises(TemplateError) as refused:
        read(tmp_path, resources, **more)
    assert all(line.startswith(f"{at}: ") for line in str(refused.value).splitlines())


def test_half_a_character_is_no_name_of_a_folder(tmp_path: Path) -> None:
    template = changed(GOOD, {"Resources": {"Function": {"Properties": {"CodeUri": "a\ud83d"}}}})
    (problem,) = problems_with(written(tmp_path, template))
    assert problem.logical_id == "Function"


def test_what_sam_makes_counts_too(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="Resources: 502 are more than the 500 of a stack"):
        read(tmp_path, {f"F{n}": function() for n in range(251)})


def test_no_policy_of_a_role_is_lost(tmp_path: Path) -> None:
    deny = {"Version": "2012-10-17", "Statement": [{**ALLOW, "Effect": "Deny"}]}
    inline = [
        {"PolicyName": "Extra", "PolicyDocument": DOCUMENT},
        {"PolicyName": "Extra", "PolicyDocument": deny},
    ]
    attached = {"PolicyName": "other", "PolicyDocument": deny, "Roles": [{"Ref": "R"}]}
    stack = read(
        tmp_path,
        {
            "R": role(Policies=inline),
            "Extra": {"Type": "AWS::IAM::Policy", "Properties": attached},
        },
    )
    found = list(stack.roles["local-R"].policies.values())
    assert found == [DOCUMENT, deny, deny]
