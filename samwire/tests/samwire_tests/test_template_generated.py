"""Templates that nobody wrote: each is served or refused, with logical ids and a sentence.

The generator knows the types that are served, their properties, and the intrinsic functions;
what it puts where is often right, and as often anything else. `GENERATED_TEMPLATES=5000 pytest`
of this file tries that many new ones.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from samwire.template.intrinsics import TemplateError
from samwire.template.problems import problems_of
from samwire.template.reader import UNREADABLE, read_stack
from samwire.template.rules import schemas
from samwire.template.rules.schemas import HOME_REGION

NAMED = re.compile(r"[A-Za-z0-9]+: |The parameters? [A-Za-z0-9]|The template has no ")
MORE = int(os.environ.get("GENERATED_TEMPLATES", "0"))
IDS = ("Api", "Fn", "Other", "Table", "Role", "Thing")
NAMES = (*IDS, "Param", "Names", "Cond", "Map", "Nosuch", "AWS::Region", "AWS::NoValue", "")
SAM_PROPERTIES = {
    "AWS::Serverless::Function": (
        *("CodeUri", "Handler", "Runtime", "InlineCode", "Events", "Policies", "Environment"),
        *("Layers", "MemorySize", "Timeout", "AutoPublishAlias", "EventInvokeConfig", "Role"),
        *("PackageType", "Architectures", "ReservedConcurrentExecutions", "FunctionName", "Tags"),
        *("DeadLetterQueue", "EphemeralStorage", "LoggingConfig", "SnapStart", "VpcConfig"),
    ),
    "AWS::Serverless::WebSocketApi": (
        *("StageName", "RouteSelectionExpression", "Routes", "Auth", "StageVariables"),
        *("DefaultRouteSettings", "RouteSettings", "Domain", "Name", "IpAddressType"),
    ),
    "AWS::Serverless::HttpApi": (
        *("StageName", "Auth", "CorsConfiguration", "DefinitionBody", "DefaultRouteSettings"),
        *("StageVariables", "Domain", "FailOnWarnings", "Name"),
    ),
    "AWS::Serverless::SimpleTable": ("PrimaryKey", "TableName", "SSESpecification"),
    "AWS::Serverless::LayerVersion": ("ContentUri", "LayerName", "CompatibleRuntimes"),
    "AWS::Serverless::Application": ("Location", "Parameters"),
    "AWS::Serverless::StateMachine": ("Definition", "Role", "Events"),
}
CLOUDFORMATION = (
    *("AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Route", "AWS::ApiGatewayV2::Integration"),
    *("AWS::ApiGatewayV2::Stage", "AWS::ApiGatewayV2::Deployment", "AWS::ApiGatewayV2::Model"),
    *("AWS::ApiGatewayV2::Authorizer", "AWS::ApiGatewayV2::RouteResponse"),
    *("AWS::ApiGatewayV2::IntegrationResponse", "AWS::Lambda::Function", "AWS::Lambda::Version"),
    *("AWS::Lambda::Alias", "AWS::Lambda::LayerVersion", "AWS::Lambda::EventInvokeConfig"),
    *("AWS::Lambda::Permission", "AWS::DynamoDB::Table", "AWS::IAM::Role", "AWS::IAM::Policy"),
    *("AWS::IAM::ManagedPolicy", "AWS::S3::Bucket", "AWS::SecretsManager::Secret"),
    *("AWS::SNS::Subscription", "AWS::SNS::Topic", "AWS::SQS::Queue", "AWS::SSM::Parameter"),
    *("AWS::Logs::LogGroup", "AWS::CloudFormation::Stack", "Custom::Thing", "Nonsense"),
)
TEXTS = st.sampled_from(
    [
        *("", "x", "go", "$default", "$connect", "python3.13", "app.handler", "code", "WEBSOCKET"),
        *("HTTP", "AWS_PROXY", "true", "-1", "1e9", "${", "${Fn}", "${Fn.Arn}", "${AWS::Region}"),
        *("${Nosuch.X}", "{{resolve:ssm:/x}}", "arn:aws:lambda:us-east-1:123456789012:function:f"),
        *("{", '{"a": 1}', "[]", "*", "GET /", "s3://b/k", "integrations/x", "é\u2028\x07"),
        "\ud83d",
        *("$request.body.action", "lambda:InvokeFunction", "apigateway.amazonaws.com", "REQUEST"),
    ]
)  # fmt: skip
SCALARS = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(-10, 10_000_000_000),
    st.floats(allow_nan=True, allow_infinity=True),
)


def functions(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Intrinsic functions, rightly and wrongly called."""
    name = st.sampled_from(NAMES)
    fn = "Fn::{}".format
    right = st.one_of(
        st.builds(lambda n: {"Ref": n}, name),
        st.builds(lambda n, a: {"Fn::GetAtt": [n, a]}, name, st.sampled_from(["Arn", "X", "A.B"])),
        st.builds(lambda n: {"Fn::Sub": f"a-${{{n}}}"}, name),
        st.builds(lambda a, b: {"Fn::If": ["Cond", a, b]}, inner, inner),
        st.builds(lambda a: {"Fn::Join": [",", [a, "x"]]}, inner),
        st.builds(lambda a: {"Fn::Select": [0, {"Fn::Split": [",", a]}]}, inner),
        st.builds(lambda k: {"Fn::FindInMap": ["Map", k, "b"]}, st.sampled_from(["a", "z"])),
    )
    known = [
        *("GetAtt", "Sub", "Join", "Split", "Select", "If", "Equals", "Not", "And", "FindInMap"),
        *("Base64", "Cidr", "ImportValue", "Length", "ToJsonString", "GetAZs", "Nosuch"),
    ]
    wrong = st.builds(lambda n, a: {fn(n): a}, st.sampled_from(known), inner)
    return st.one_of(right, right, wrong, st.builds(lambda a: {"Ref": a}, inner))


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                TEXTS,
                st.sampled_from(["Type", "Properties", "FunctionArn", "Variables", "Statement"]),
            ),
            inner,
            max_size=3,
        ),
        functions(inner),
    ),
    max_leaves=6,
)


def properties_of(kind: str) -> tuple[str, ...]:
    """Names of the properties of a type."""
    if kind in SAM_PROPERTIES:
        return SAM_PROPERTIES[kind]
    place = schemas.kinds(HOME_REGION).get(kind)
    return tuple(schemas.schema(place)["properties"]) if place else ("A", "B")


GOOD: dict[str, Any] = {
    "AWS::Serverless::Function": {
        "CodeUri": "code",
        "Handler": "app.handler",
        "Runtime": "python3.13",
    },
    "AWS::Serverless::WebSocketApi": {
        "StageName": "dev",
        "RouteSelectionExpression": "$request.body.action",
        "Routes": {"go": {"FunctionArn": {"Fn::GetAtt": ["Fn", "Arn"]}}},
    },
    "AWS::ApiGatewayV2::Api": {"ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "x"},
    "AWS::ApiGatewayV2::Route": {"ApiId": {"Ref": "Api"}, "RouteKey": "go"},
    "AWS::ApiGatewayV2::Stage": {"ApiId": {"Ref": "Api"}, "StageName": "s", "AutoDeploy": True},
    "AWS::ApiGatewayV2::Integration": {
        "ApiId": {"Ref": "Api"},
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": {"Fn::GetAtt": ["Fn", "Arn"]},
    },
    "AWS::Lambda::Function": {
        "Code": {"ZipFile": "x"},
        "Handler": "index.handler",
        "Runtime": "python3.13",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
    },
    "AWS::Lambda::Permission": {
        "Action": "lambda:InvokeFunction",
        "FunctionName": {"Ref": "Fn"},
        "Principal": "apigateway.amazonaws.com",
    },
    "AWS::DynamoDB::Table": {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
    },
    "AWS::IAM::Role": {"AssumeRolePolicyDocument": {"Statement": []}},
}


def rarely(often: int) -> st.SearchStrategy[bool]:
    """True once in a while; `integers` would like its ends too much."""
    return st.sampled_from([*[False] * often, True])


LOOPS = ("Fn::ForEach", "Fn::ForEach::Loop", "Fn::Transform")


@st.composite
def resources(draw: st.DrawFn) -> Any:
    """A resource: a good one with a few properties changed, or something odd."""
    kind = draw(st.sampled_from([*SAM_PROPERTIES, *CLOUDFORMATION]))
    names = st.sampled_from(properties_of(kind) or ("A",))
    keys = st.one_of(*[names] * 9, TEXTS)
    changed = draw(st.dictionaries(keys, VALUES, max_size=2))
    found: dict[str, Any] = {"Type": kind, "Properties": {**GOOD.get(kind, {}), **changed}}
    attributes = ["Condition", "DependsOn", "Metadata", "DeletionPolicy", "Type", "Properties"]
    if draw(rarely(9)):
        found[draw(st.sampled_from(attributes))] = draw(VALUES)
    if draw(rarely(30)) and isinstance(found["Properties"], dict):
        found["Properties"]["X"] = {draw(st.sampled_from(LOOPS)): draw(VALUES)}
    return draw(VALUES) if draw(rarely(60)) else found


def sections(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A section of a template, now and then something else."""
    return st.one_of(st.dictionaries(st.sampled_from(NAMES), values, max_size=2), VALUES)


@st.composite
def templates(draw: st.DrawFn) -> dict[str, Any]:
    """A template."""
    found: dict[str, Any] = {
        "Transform": ["AWS::LanguageExtensions", "AWS::Serverless-2016-10-31"],
        "Parameters": {
            "Param": {"Type": "String", "Default": draw(TEXTS)},
            "Names": {"Type": "CommaDelimitedList", "Default": "One,Two"},
        },
        "Mappings": {"Map": {"a": {"b": "c"}}},
        "Conditions": {"Cond": {"Fn::Equals": [{"Ref": "Param"}, ""]}},
        "Resources": draw(st.dictionaries(st.sampled_from(IDS), resources(), max_size=4)),
    }
    odd = {
        "Outputs": sections(st.builds(lambda v: {"Value": v}, VALUES)),
        "Conditions": sections(VALUES),
        "Parameters": sections(
            st.dictionaries(
                st.sampled_from(["Type", "Default", "AllowedPattern", "AllowedValues", "MinValue"]),
                VALUES,
                max_size=3,
            )
        ),
        "Globals": st.builds(lambda v: {"Function": v}, VALUES),
        "Mappings": sections(VALUES),
        "Transform": VALUES,
        "Resources": VALUES,
        "Nonsense": VALUES,
    }
    if draw(rarely(3)):
        name = draw(st.sampled_from(sorted(odd)))
        found[name] = draw(odd[name])
    if draw(rarely(5)) and isinstance(found["Resources"], dict):
        body = draw(st.one_of(VALUES, st.builds(lambda r: {"L${N}": r}, resources())))
        collection = draw(st.one_of(st.just(["One", "Two"]), st.just({"Ref": "Names"}), VALUES))
        found["Resources"]["Fn::ForEach::L"] = ["N", collection, body]
    return found


@settings(
    max_examples=MORE or 150,
    derandomize=not MORE,
    deadline=None,
    phases=[Phase.generate] if MORE else [Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(templates())
@pytest.mark.timeout(60 + MORE)
def test_a_template_is_served_or_refused_with_logical_ids_and_sentences(
    template: dict[str, Any],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "code").mkdir()
        path = Path(folder) / "template.yaml"
        path.write_text(json.dumps(template))
        try:
            read_stack(path, {}, HOME_REGION, "localhost:1")
        except TemplateError as error:
            for problem in problems_of(error):
                said = str(problem)
                assert said.strip()
                assert "Traceback" not in said
                assert UNREADABLE not in said
                assert problem.logical_id or NAMED.match(said) or path.name in said, said
