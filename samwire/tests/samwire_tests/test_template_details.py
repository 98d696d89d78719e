"""Templates at the edges: parameters, generated secrets, layers, and what is not served."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from samwire.template.generated import generated_secret
from samwire.template.intrinsics import TemplateError
from samwire.template.model import Stack
from samwire.template.parameters import parameter_values
from samwire.template.reader import read_stack
from samwire_tests.probe_stack import PROBE


def read(
    folder: Path,
    resources: dict[str, Any],
    another: Callable[[], str] | None = None,
    **more: Any,
) -> Stack:
    """A template of some resources; `code/` is there."""
    (folder / "code").mkdir(exist_ok=True)
    path = folder / "template.yaml"
    path.write_text(
        yaml.safe_dump(
            {"Transform": "AWS::Serverless-2016-10-31", "Resources": resources, **more},
            sort_keys=False,
        )
    )
    return read_stack(path, {}, "eu-west-1", "localhost:7", another)


def function(**properties: Any) -> dict[str, Any]:
    """A function of a template."""
    own = {"CodeUri": "code", "Handler": "a.b", "Runtime": "python3.12", **properties}
    return {"Type": "AWS::Serverless::Function", "Properties": own}


def api(routes: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """A WebSocket API of a template."""
    own = {"StageName": "dev", "RouteSelectionExpression": "$request.body.x", "Routes": routes}
    return {"Type": "AWS::Serverless::WebSocketApi", "Properties": {**own, **properties}}


ROUTE = {"FunctionArn": {"Fn::GetAtt": ["F", "Arn"]}}


# --- parameters -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "value", "sentence"),
    [
        ({"Type": "Number"}, "x", "must be a number, not 'x'"),
        ({"Type": "Number", "MinValue": 2}, "1", "must be at least 2"),
        ({"Type": "Number", "MaxValue": 2}, "2.5", "must be at most 2"),
        ({"Type": "String", "MinLength": 2}, "a", "at least 2 characters"),
        ({"Type": "String", "MaxLength": 2}, "abc", "at most 2 characters"),
        ({"Type": "String", "AllowedValues": ["a", True]}, "b", "one of a, true"),
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, "ab1", "cannot be 'ab1'"),
        (
            {"Type": "String", "AllowedPattern": "a", "ConstraintDescription": "an a"},
            "b",
            "wanted: an a",
        ),
        ({"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]}, "a,c", "one of a, b"),
    ],
    ids=str,
)
def test_what_a_parameter_does_not_allow(
    definition: dict[str, Any], value: str, sentence: str
) -> None:
    with pytest.raises(TemplateError, match="The parameter P ") as refused:
        parameter_values({"P": definition}, {"P": value})
    assert sentence in str(refused.value)


def test_a_hidden_value_is_never_shown() -> None:
    definition = {"Type": "String", "NoEcho": True, "AllowedPattern": "[a-z]+"}
    with pytest.raises(TemplateError) as refused:
        parameter_values({"P": definition}, {"P": "s3cret"})
    assert "s3cret" not in str(refused.value)


def test_lists_are_lists_and_defaults_are_text() -> None:
    declared: dict[str, dict[str, Any]] = {
        "L": {"Type": "CommaDelimitedList", "Default": "a, b"},
        "E": {"Type": "CommaDelimitedList", "Default": ""},
        "N": {"Type": "Number", "Default": 3},
        "B": {"Type": "String", "Default": True},
    }
    assert parameter_values(declared, {}) == {"L": ["a", "b"], "E": [], "N": "3", "B": "true"}


def test_all_missing_parameters_are_named_at_once() -> None:
    with pytest.raises(TemplateError, match=r"A, B have no value.*A=… B=…"):
        parameter_values({"A": {}, "B": {}, "C": {"Default": 1}}, {})


# --- secrets --------------------------------------------------------------------------------


def test_a_generated_secret_has_each_kind_of_character() -> None:
    secret, _ = generated_secret({"PasswordLength": 8})
    assert len(secret) == 8
    for kind in (
        string.ascii_lowercase,
        string.ascii_uppercase,
        string.digits,
        string.punctuation,
    ):
        assert set(secret) & set(kind)


def test_a_generated_secret_leaves_out_what_it_is_told_to() -> None:
    settings = {
        "PasswordLength": 200,
        "ExcludePunctuation": True,
        "ExcludeUppercase": "true",
        "ExcludeCharacters": "abc123",
    }
    assert set(generated_secret(settings)[0]) <= set(string.ascii_lowercase + string.digits) - set(
        "abc123"
    )


def test_a_generated_secret_goes_into_its_template() -> None:
    settings = {"SecretStringTemplate": '{"user": "me"}', "GenerateStringKey": "password"}
    found = json.loads(generated_secret(settings)[0])
    assert found["user"] == "me"
    assert len(found["password"]) == 32


@pytest.mark.parametrize(
    "settings",
    [
        {"SecretStringTemplate": "no json", "GenerateStringKey": "k"},
        {"SecretStringTemplate": "{}"},
        {"ExcludeCharacters": string.ascii_letters + string.digits + string.punctuation},
    ],
)
def test_a_secret_that_cannot_be_generated_is_one_sentence(settings: dict[str, Any]) -> None:
    with pytest.raises(TemplateError):
        generated_secret(settings)


# --- functions ------------------------------------------------------------------------------


def test_layers_are_the_folders_they_name() -> None:
    functions = {f.logical_id: f for f in read_stack(PROBE, {}, "us-east-1", "x").functions}
    assert functions["Probe"].layers == (PROBE.parent / "lib",), "not LibOther, which begins alike"
    assert functions["Probe"].published
    assert functions["Probe"].snap_start
    assert functions["Inline"].inline.startswith("def handler")


def test_a_layer_from_elsewhere_is_named(tmp_path: Path) -> None:
    layer = "arn:aws:lambda:eu-west-1:017000801446:layer:Powertools:7"
    stack = read(tmp_path, {"F": function(Layers=[layer])})
    assert stack.functions[0].layers == ()
    assert stack.notices == [
        f"F: the layer {layer} is not a folder here; what it holds has to be installed in this "
        "Python."
    ]


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"Runtime": "nodejs22.x"}, "the runtime nodejs22.x is not served here"),
        ({"CodeUri": "s3://bucket/key"}, "its code is not a local folder"),
        ({"PackageType": "Image", "ImageUri": "x", "Runtime": None}, "container images"),
    ],
    ids=str,
)
def test_a_function_that_cannot_run_here_is_named(
    tmp_path: Path, properties: dict[str, Any], reason: str
) -> None:
    own = function(**properties)
    if properties.get("PackageType") == "Image":
        own["Properties"] = properties | {"Runtime": None}
        del own["Properties"]["Runtime"]
    stack = read(tmp_path, {"F": own, "G": function()})
    assert [f.logical_id for f in stack.functions] == ["G"]
    (notice,) = stack.notices
    assert notice.startswith("F: ")
    assert reason in notice


def test_parameters_make_numbers_of_what_must_be_one(tmp_path: Path) -> None:
    number = {"Ref": "N"}
    table = {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
            "ProvisionedThroughput": {"ReadCapacityUnits": number, "WriteCapacityUnits": number},
        },
    }
    resources = {
        "F": function(Timeout=number, MemorySize=number, ReservedConcurrentExecutions=number),
        "T": table,
    }
    stack = read(tmp_path, resources, Parameters={"N": {"Type": "Number", "Default": "200"}})
    (found,) = stack.functions
    assert (found.timeout_s, found.memory_mb, found.reserved_concurrency) == (200.0, 200, 200)
    assert stack.tables[0].definition["ProvisionedThroughput"] == {
        "ReadCapacityUnits": 200,
        "WriteCapacityUnits": 200,
    }


def test_aws_addresses_of_the_api_become_local_ones(tmp_path: Path) -> None:
    address = {"Fn::Sub": "wss://${A}.execute-api.${AWS::Region}.${AWS::URLSuffix}/dev"}
    stack = read(
        tmp_path,
        {
            "A": api({"go": ROUTE}),
            "F": function(),
            "G": function(Environment={"Variables": {"URL": address}}),
        },
        Outputs={"Url": {"Value": address}, "Other": {"Value": "x.execute-api.y.amazonaws.com"}},
    )
    assert stack.outputs["Url"] == "wss://localhost:7/dev"
    assert stack.outputs["Other"] == "x.execute-api.y.amazonaws.com"
    assert stack.functions[1].environment["URL"] == "wss://localhost:7/dev"


# --- what is not served ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        ({"ApiKeyRequired": True}, "API keys are not asked for"),
        ({"RouteResponseSelectionExpression": "$default"}, "alone sends no replies"),
        ({"RequestModels": {"$default": "Nosuch"}}, "there is no model Nosuch"),
        (
            {"RequestParameters": {"route.request.querystring.x": {"Required": True}}},
            "required RequestParameters are not checked",
        ),
    ],
    ids=str,
)
def test_what_a_route_asks_for_in_vain_is_named(
    tmp_path: Path, route: dict[str, Any], sentence: str
) -> None:
    stack = read(tmp_path, {"A": api({"$connect": {**ROUTE, **route}}), "F": function()})
    (notice,) = stack.notices
    assert notice.startswith("AConnectRoute: ")
    assert sentence in notice


def test_a_connection_that_must_be_signed_is_known(tmp_path: Path) -> None:
    auth = {"AuthType": "AWS_IAM"}
    stack = read(tmp_path, {"A": api({"$connect": ROUTE}, Auth=auth), "F": function()})
    assert stack.apis[0].routes["$connect"].iam


def test_routes_that_sam_takes_for_one_are_named(tmp_path: Path) -> None:
    routes = {"sendMessage": ROUTE, "sendmessage": ROUTE}
    stack = read(tmp_path, {"A": api(routes), "F": function()})
    assert stack.notices == [
        "A: SAM takes the routes sendMessage and sendmessage for one; only the last is there."
    ]


def test_an_api_without_a_stage_is_named_and_left_out(tmp_path: Path) -> None:
    http = {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"ProtocolType": "HTTP", "Name": "h"}}
    stack = read(tmp_path, {"A": api({"go": ROUTE}), "H": http, "F": function()})
    assert [found.logical_id for found in stack.apis] == ["A"]
    assert stack.http_apis == []
    assert stack.notices == ["H: the API has no stage, and so no address."]


def test_an_integration_of_another_kind_is_named_and_cannot_be_invoked(tmp_path: Path) -> None:
    stack = read(
        tmp_path,
        {
            "A": api({"go": ROUTE}),
            "I": {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {"ApiId": {"Ref": "A"}, "IntegrationType": "HTTP"},
            },
            "R": {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": {"Ref": "A"},
                    "RouteKey": "mock",
                    "Target": {"Fn::Join": ["/", ["integrations", {"Ref": "I"}]]},
                },
            },
            "F": function(),
        },
    )
    assert stack.apis[0].routes["mock"].integration.kind == ""
    assert [notice.split(":")[0] for notice in stack.notices] == ["I"]


def test_an_attribute_that_is_not_known_is_a_placeholder_and_named(tmp_path: Path) -> None:
    variables = {"STREAM": {"Fn::GetAtt": ["Q", "Arn"]}, "ROLE": {"Fn::GetAtt": ["FRole", "Arn"]}}
    stack = read(
        tmp_path,
        {
            "Q": {"Type": "AWS::Kinesis::Stream"},
            "F": function(Environment={"Variables": variables}),
        },
    )
    environment = stack.functions[0].environment
    assert environment["STREAM"] == "arn:aws:kinesis:eu-west-1:123456789012:local-Q"
    assert environment["ROLE"] == "arn:aws:iam::123456789012:role/local-FRole"
    assert stack.notices == [
        "Q: AWS::Kinesis::Stream is not served here.",
        "Q.Arn (AWS::Kinesis::Stream) is not known here; a placeholder stands for it.",
    ]


def test_what_comes_from_elsewhere_is_named(tmp_path: Path) -> None:
    variables = {
        "SUBNET": {"Fn::ImportValue": "network-subnet"},
        "KEY": "{{resolve:ssm:/prod/key}}",
    }
    stack = read(tmp_path, {"F": function(Environment={"Variables": variables})})
    assert stack.functions[0].environment["SUBNET"] == "network-subnet"
    assert stack.notices == [
        "F: KEY is a dynamic reference, which is not resolved here.",
        "Fn::ImportValue network-subnet is not known here; its name stands for it.",
    ]


def test_a_function_with_http_events_still_has_its_other_uses(tmp_path: Path) -> None:
    events = {
        "Get": {"Type": "HttpApi", "Properties": {"Path": "/", "Method": "get"}},
        "Tick": {"Type": "Schedule", "Properties": {"Schedule": "rate(1 minute)"}},
    }
    stack = read(tmp_path, {"A": api({"go": ROUTE}), "F": function(Events=events)})
    assert [f.logical_id for f in stack.functions] == ["F"]
    assert "FTick: AWS::Events::Rule is not served here." in stack.notices
    assert [found.logical_id for found in stack.http_apis] == ["ServerlessHttpApi"]


def test_a_resource_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="no resource or parameter Nosuch"):
        read(tmp_path, {"F": function(Environment={"Variables": {"X": {"Ref": "Nosuch"}}})})


def test_two_apis_with_the_same_stage_are_not_mixed_up(tmp_path: Path) -> None:
    resources = {"A": api({"go": ROUTE}), "B": api({"go": ROUTE}), "F": function()}
    resources["C"] = api({"go": ROUTE}, StageName="other")
    outputs = {name: {"Value": {"Fn::GetAtt": [name, "ApiEndpoint"]}} for name in "ABC"}
    more = iter(["localhost:8"])
    stack = read(tmp_path, resources, lambda: next(more), Outputs=outputs)
    assert {api.logical_id: api.domain_name for api in stack.apis} == {
        "A": "localhost:7",
        "B": "localhost:8",
        "C": "localhost:7",
    }
    assert stack.outputs["B"] == "wss://localhost:8"
    assert stack.notices == []


def test_functions_may_share_their_properties_by_a_yaml_anchor(tmp_path: Path) -> None:
    shared = function()
    stack = read(tmp_path, {"F": shared, "G": shared})  # dumped as an anchor and an alias
    assert "*id" in (tmp_path / "template.yaml").read_text()
    assert [found.code for found in stack.functions] == [tmp_path / "code"] * 2
