"""Loops, includes, macros and the other things that a template may hold besides resources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from samwire.template.intrinsics import TemplateError
from samwire.template.model import Stack
from samwire.template.problems import problems_of
from samwire.template.reader import read_stack

SAM = "AWS::Serverless-2016-10-31"
LANGUAGE = "AWS::LanguageExtensions"
FUNCTION: dict[str, Any] = {
    "Type": "AWS::Serverless::Function",
    "Properties": {"Runtime": "python3.13", "Handler": "app.handler", "CodeUri": "code"},
}


def stack_of(
    folder: Path,
    template: dict[str, Any],
    overrides: dict[str, str] | None = None,
    stored: dict[str, str] | None = None,
) -> Stack:
    """A template, read; `code` is there."""
    (folder / "code").mkdir(exist_ok=True)
    path = folder / "template.yaml"
    path.write_text(yaml.safe_dump({"Transform": [LANGUAGE, SAM], **template}, sort_keys=False))
    return read_stack(path, overrides or {}, "eu-west-1", "localhost:1", stored=stored)


def function(**variables: Any) -> dict[str, Any]:
    """A function with variables."""
    properties = {**FUNCTION["Properties"], "Environment": {"Variables": variables}}
    return {**FUNCTION, "Properties": properties}


def variables_of(stack: Stack) -> dict[str, dict[str, str]]:
    """Variables by logical id of the function."""
    return {each.logical_id: each.environment for each in stack.functions}


def loop(name: str, identifier: str, collection: Any, body: dict[str, Any]) -> dict[str, Any]:
    """A loop, as an entry of a section."""
    return {f"Fn::ForEach::{name}": [identifier, collection, body]}


# --- loops ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("collection", "more"),
    [
        (["One", "Two"], {}),
        (
            {"Ref": "Names"},
            {"Parameters": {"Names": {"Type": "CommaDelimitedList", "Default": "One,Two"}}},
        ),
        (
            [{"Ref": "First"}, "Two"],
            {"Parameters": {"First": {"Type": "String", "Default": "One"}}},
        ),
        (
            {"Fn::FindInMap": ["Lists", {"Ref": "AWS::Region"}, "names"]},
            {"Mappings": {"Lists": {"eu-west-1": {"names": ["One", "Two"]}}}},
        ),
        ({"Fn::Split": [",", "One,Two"]}, {}),
        (
            {"Fn::If": ["Both", ["One", "Two"], ["One"]]},
            {"Conditions": {"Both": {"Fn::Equals": ["a", "a"]}}},
        ),
    ],
    ids=["list", "parameter", "parameter within", "mapping", "split", "condition"],
)
def test_a_loop_makes_a_resource_of_each(
    tmp_path: Path, collection: Any, more: dict[str, Any]
) -> None:
    body = {"${Name}Fn": function(LOOP={"Ref": "Name"}, TEXT={"Fn::Sub": "<${Name}>"})}
    stack = stack_of(tmp_path, {"Resources": loop("Handlers", "Name", collection, body), **more})
    assert variables_of(stack) == {
        "OneFn": {"LOOP": "One", "TEXT": "<One>"},
        "TwoFn": {"LOOP": "Two", "TEXT": "<Two>"},
    }


def test_loops_within_loops_in_every_section_and_in_properties(tmp_path: Path) -> None:
    inner = loop("Ends", "End", ["A", "B"], {"${Name}${End}": function(BOTH="${Name}-${End}")})
    variables = loop("Names", "Key", ["KEY1", "KEY2"], {"${Key}": {"Fn::Sub": "value of ${Key}"}})
    resources = {
        **loop("Handlers", "Name", ["One", "Two"], inner),
        "Plain": function(**variables),
    }
    outputs = loop(
        "Out", "Name", ["OneA", "TwoB"], {"${Name}Arn": {"Value": {"Fn::GetAtt": "${Name}.Arn"}}}
    )
    conditions = loop("When", "Name", ["a", "b"], {"Is${Name}": {"Fn::Equals": ["${Name}", "a"]}})
    stack = stack_of(
        tmp_path,
        {
            "Conditions": conditions,
            "Resources": {**resources, "Never": {**function(), "Condition": "Isb"}},
            "Outputs": outputs,
        },
    )
    assert set(variables_of(stack)) == {"OneA", "OneB", "TwoA", "TwoB", "Plain"}
    assert variables_of(stack)["TwoB"] == {"BOTH": "Two-B"}
    assert variables_of(stack)["Plain"] == {"KEY1": "value of KEY1", "KEY2": "value of KEY2"}
    assert stack.outputs["TwoBArn"].endswith(":function:local-TwoB")


def test_an_ampersand_leaves_letters_and_digits_for_a_logical_id(tmp_path: Path) -> None:
    body = {"Fn&{Host}": function(HOST="${Host}")}
    stack = stack_of(tmp_path, {"Resources": loop("Hosts", "Host", ["a.b-1", "c.d"], body)})
    assert variables_of(stack) == {"Fnab1": {"HOST": "a.b-1"}, "Fncd": {"HOST": "c.d"}}


def test_the_other_functions_of_the_extensions_are_resolved(tmp_path: Path) -> None:
    stack = stack_of(
        tmp_path,
        {
            "Mappings": {"M": {"a": {"b": "found"}}},
            "Resources": {
                "F": {
                    **function(
                        LENGTH={"Fn::Length": ["a", "b", "c"]},
                        JSON={"Fn::ToJsonString": {"region": {"Ref": "AWS::Region"}}},
                        MAPPED={"Fn::FindInMap": ["M", "x", "b", {"DefaultValue": "default"}]},
                        NAMED={"Ref": {"Fn::Sub": "AWS::${Which}"}},
                        CIDR={"Fn::Select": [1, {"Fn::Cidr": ["10.0.0.0/16", 2, 8]}]},
                    ),
                    "DeletionPolicy": {"Fn::If": ["Keep", "Retain", "Delete"]},
                }
            },
            "Parameters": {"Which": {"Type": "String", "Default": "Region"}},
            "Conditions": {"Keep": {"Fn::Equals": ["a", "b"]}},
        },
    )
    assert variables_of(stack)["F"] == {
        "LENGTH": "3",
        "JSON": '{"region": "eu-west-1"}',
        "MAPPED": "default",
        "NAMED": "eu-west-1",
        "CIDR": "10.0.1.0/24",
    }


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (loop("L", "N", ["a"], {"Same": FUNCTION, "${N}": FUNCTION}) | {"Same": FUNCTION}, "twice"),
        (loop("L", "N", ["a", "b"], {"Same": FUNCTION}), "it makes Same twice"),
        (loop("L", "N", ["a"], {"X": FUNCTION}) | {"Fn::ForEach": 1}, "must be called Fn::ForEach"),
        (loop("L-1", "N", ["a"], {"${N}": FUNCTION}), "letters or digits"),
        ({"Fn::ForEach::L": ["N", ["a"]]}, "a list of identifier, collection and a map"),
        ({"Fn::ForEach::L": "text"}, "a list of identifier, collection and a map"),
        (loop("L", "a b", ["a"], {"${N}": FUNCTION}), "its identifier must be"),
        (loop("L", "Taken", ["a"], {"${Taken}": FUNCTION}), "Taken is taken already"),
        (loop("L", "N", "a", {"${N}": FUNCTION}), "must be a list of texts"),
        (loop("L", "N", [["a"]], {"${N}": FUNCTION}), "must be a list of texts"),
        (loop("L", "N", {"Ref": "Table"}, {"${N}": FUNCTION}), "cannot be resolved before"),
        (loop("L", "N", [str(n) for n in range(5001)], {"F${N}": FUNCTION}), "more than 5,000"),
        (loop("L", "N", [str(n) for n in range(501)], {"F${N}": FUNCTION}), "at most 500"),
        (loop("L", "N", ["a-b"], {"${N}": FUNCTION}), "letters and digits, and nothing else"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_loop_that_cannot_be_is_refused(
    tmp_path: Path, entry: dict[str, Any], sentence: str
) -> None:
    parameters = {"Taken": {"Type": "String", "Default": "x"}}
    with pytest.raises(TemplateError, match=sentence) as refused:
        stack_of(tmp_path, {"Parameters": parameters, "Resources": entry})
    assert all(problem.logical_id for problem in problems_of(refused.value))


def test_a_loop_needs_its_transform(tmp_path: Path) -> None:
    resources = loop("L", "N", ["a"], {"${N}": FUNCTION})
    with pytest.raises(TemplateError, match=r"Fn::ForEach::L: it needs the transform AWS::Lang"):
        stack_of(tmp_path, {"Transform": SAM, "Resources": resources})


# --- includes and macros --------------------------------------------------------------------


def include(location: Any) -> dict[str, Any]:
    """What `AWS::Include` is written as."""
    return {"Name": "AWS::Include", "Parameters": {"Location": location}}


def test_a_local_file_is_included_wherever_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "variables.yaml").write_text("NAME: !Ref AWS::Region\nOWN: no\n")
    (tmp_path / "more.json").write_text(json.dumps({"G": function(FROM="more.json")}))
    (tmp_path / "outputs.yaml").write_text("Outputs: {Where: {Value: !GetAtt F.Arn}}\n")
    variables = {"Fn::Transform": include({"Ref": "File"}), "OWN": "yes"}
    stack = stack_of(
        tmp_path,
        {
            "Transform": [SAM, include("outputs.yaml")],
            "Parameters": {"File": {"Type": "String", "Default": "variables.yaml"}},
            "Resources": {"F": function(**variables), "Fn::Transform": include("more.json")},
        },
    )
    assert variables_of(stack) == {
        "F": {"NAME": "eu-west-1", "OWN": "yes"},
        "G": {"FROM": "more.json"},
    }
    assert stack.outputs["Where"].endswith(":function:local-F")


@pytest.mark.parametrize(
    ("transform", "sentence"),
    [
        (include("s3://bucket/part.yaml"), "what lies in S3 is not read here"),
        (include("https://bucket.s3.amazonaws.com/part.yaml"), "what lies in S3 is not read"),
        (include("nosuch.yaml"), "there is no such file"),
        (include("code"), "is a folder"),
        (include("list.yaml"), "with a map in it"),
        (include({"Ref": "Nosuch"}), "Nosuch is no parameter"),
        (include(None), "needs a Location"),
        ({"Name": "AWS::Include"}, "needs a Location"),
        ({"Name": "MyMacro", "Parameters": {}}, "the macro MyMacro is run by CloudFormation"),
        ("MyMacro", "the macro MyMacro is run by CloudFormation"),
    ],
    ids=str,
)
def test_what_is_not_included_is_a_sentence(tmp_path: Path, transform: Any, sentence: str) -> None:
    (tmp_path / "list.yaml").write_text("[a, b]")
    with pytest.raises(TemplateError, match=sentence) as refused:
        stack_of(tmp_path, {"Resources": {"F": function(**{"Fn::Transform": transform})}})
    assert [problem.logical_id for problem in problems_of(refused.value)] == ["F"]


@pytest.mark.parametrize("transform", ["MyMacro", [SAM, "MyMacro"], {"Name": "MyMacro"}, [7]])
def test_a_macro_of_ones_own_is_refused(tmp_path: Path, transform: Any) -> None:
    with pytest.raises(TemplateError, match=r"^Transform: the macro .* is run by CloudFormation"):
        stack_of(tmp_path, {"Transform": transform, "Resources": {"F": FUNCTION}})


# --- parameters of the parameter store ------------------------------------------------------

STORED = "AWS::SSM::Parameter::Value<{}>"


@pytest.mark.parametrize(
    ("kind", "held", "value"),
    [
        ("String", "https://x", "https://x"),
        ("AWS::EC2::Image::Id", "ami-1", "ami-1"),
        ("List<String>", "a, b", "a+b"),
        ("CommaDelimitedList", "a,b", "a+b"),
        ("List<AWS::EC2::Subnet::Id>", "s-1,s-2", "s-1+s-2"),
    ],
)
def test_a_stored_parameter_gives_its_value(
    tmp_path: Path, kind: str, held: str, value: str
) -> None:
    ref = {"Ref": "P"}
    given = {"Fn::Join": ["+", ref]} if "List" in kind else ref
    template = {
        "Parameters": {"P": {"Type": STORED.format(kind), "Default": "/app/value"}},
        "Resources": {"F": function(VALUE=given)},
    }
    stack = stack_of(tmp_path, template, stored={"/app/value": held, "/other": "x"})
    assert variables_of(stack)["F"] == {"VALUE": value}
    assert [(p.name, p.value) for p in stack.stored.parameters] == [
        ("/app/value", held),
        ("/other", "x"),
    ]


def test_a_stored_parameters_name_may_be_given(tmp_path: Path) -> None:
    template = {
        "Parameters": {
            "P": {"Type": STORED.format("String"), "Default": "/a"},
            "N": {"Type": "AWS::SSM::Parameter::Name", "Default": "/a"},
        },
        "Resources": {"F": function(VALUE={"Ref": "P"}, NAME={"Ref": "N"})},
    }
    stack = stack_of(tmp_path, template, {"P": "/b"}, {"/a": "one", "/b": "two"})
    assert variables_of(stack)["F"] == {"VALUE": "two", "NAME": "/a"}


@pytest.mark.parametrize("kind", [STORED.format("String"), "AWS::SSM::Parameter::Name"])
def test_what_the_store_does_not_hold_is_refused(tmp_path: Path, kind: str) -> None:
    template = {
        "Parameters": {"P": {"Type": kind, "Default": "/app/value"}},
        "Resources": {"F": function()},
    }
    wanted = r"The parameter P names /app/value .* --ssm-parameters '\{\"/app/value\": \"…\"\}'"
    with pytest.raises(TemplateError, match=wanted):
        stack_of(tmp_path, template)


# --- code -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shared", "own", "folder"),
    [
        ({}, {}, "."),
        ({"CodeUri": "code"}, {}, "code"),
        ({"CodeUri": "nosuch"}, {"CodeUri": "code"}, "code"),
        ({}, {"CodeUri": "./code/"}, "code"),
    ],
)
def test_a_function_without_code_has_the_templates_folder(
    tmp_path: Path, shared: dict[str, Any], own: dict[str, Any], folder: str
) -> None:
    properties = {"Runtime": "python3.13", "Handler": "app.handler", **own}
    resources = {"F": {"Type": FUNCTION["Type"], "Properties": properties}}
    stack = stack_of(tmp_path, {"Globals": {"Function": shared}, "Resources": resources})
    assert [each.code for each in stack.functions] == [(tmp_path / folder).resolve()]


def test_a_function_in_an_image_has_no_folder(tmp_path: Path) -> None:
    image = {"PackageType": "Image", "ImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/a:1"}
    resources = {"F": {"Type": FUNCTION["Type"], "Properties": image}, "G": FUNCTION}
    stack = stack_of(tmp_path, {"Resources": resources})
    assert [each.logical_id for each in stack.functions] == ["G"]


def test_an_application_of_the_repository_is_not_asked_for(tmp_path: Path) -> None:
    location = {"ApplicationId": "arn:aws:serverlessrepo:::applications/a", "SemanticVersion": "1"}
    application = {"Type": "AWS::Serverless::Application", "Properties": {"Location": location}}
    stack = stack_of(tmp_path, {"Resources": {"App": application, "F": FUNCTION}})
    assert stack.notices[-1].startswith("App: applications of the Serverless Application Repo")
