"""APIs of a template: what is read, what is named, and what is a mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from samwire.template.intrinsics import TemplateError
from samwire.template.model import Stack
from samwire_tests.test_template_details import ROUTE, api, function, read

LAMBDA = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/f/invocations"


def raw(kind: str, **properties: Any) -> dict[str, Any]:
    """A resource of API Gateway, of the API `A`."""
    own: dict[str, Any] = {"Name": "a"} if kind == "Api" else {"ApiId": {"Ref": "A"}}
    own |= {"AutoDeploy": True} if kind == "Stage" else {}
    return {"Type": f"AWS::ApiGatewayV2::{kind}", "Properties": {**own, **properties}}


def websocket(**more: dict[str, Any]) -> dict[str, Any]:
    """A WebSocket API `A` with one route, `go`, and other resources."""
    return {
        "A": raw("Api", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.x"),
        "S": raw("Stage", StageName="dev"),
        "R": raw("Route", RouteKey="go", Target={"Fn::Sub": "integrations/${I}"}),
        "I": raw("Integration", IntegrationType="AWS_PROXY", IntegrationUri=LAMBDA),
        **more,
    }


def test_an_api_may_be_spelt_out(tmp_path: Path) -> None:
    (found,) = read(tmp_path, websocket()).apis
    assert (found.stage, list(found.routes)) == ("dev", ["go"])
    integration = found.routes["go"].integration
    assert (integration.kind, integration.function, integration.timeout_s) == (
        "AWS_PROXY",
        "f",
        29.0,
    )


@pytest.mark.parametrize(
    "uri",
    [
        LAMBDA,
        "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/"
        "arn:aws:lambda:eu-west-1:123456789012:function:f:live/invocations",
        "arn:aws:lambda:eu-west-1:123456789012:function:f",
        {
            "Fn::Join": [
                "/",
                ["arn:aws:apigateway:x:lambda:path/2015-03-31/functions", "f", "invocations"],
            ]
        },
        {"Fn::Sub": ["arn:x/functions/${F}/invocations", {"F": "f"}]},
        "arn:x/functions/${stageVariables.name}/invocations",
    ],
    ids=str,
)
def test_a_uri_names_its_function(tmp_path: Path, uri: Any) -> None:
    resources = websocket(
        I=raw("Integration", IntegrationType="AWS_PROXY", IntegrationUri=uri),
        S=raw("Stage", StageName="dev", StageVariables={"name": "f"}),
    )
    stack = read(tmp_path, resources)
    assert stack.apis[0].routes["go"].integration.function.split("function:")[-1].startswith("f")
    assert all("there is no function" in notice for notice in stack.notices)


@pytest.mark.parametrize(
    ("resources", "notice"),
    [
        (
            {"I": raw("Integration", IntegrationType="HTTP", IntegrationUri="https://x")},
            "I: integrations of type HTTP are not served here",
        ),
        (
            {"I": raw("Integration", IntegrationType="AWS", IntegrationUri="arn:x:sqs:path")},
            "I: the integration names no Lambda function.",
        ),
        (
            {
                "A": raw(
                    "Api",
                    ProtocolType="WEBSOCKET",
                    RouteSelectionExpression="$request.body.x",
                    DisableExecuteApiEndpoint=True,
                )
            },
            "A: DisableExecuteApiEndpoint has no effect here.",
        ),
        (
            {"S": raw("Stage", StageName="dev", AccessLogSettings={"Format": "x"})},
            "S: access logs are not written here.",
        ),
        (
            {
                "N": raw(
                    "IntegrationResponse",
                    IntegrationId={"Ref": "I"},
                    IntegrationResponseKey="$default",
                    ResponseParameters={"a": "b"},
                )
            },
            "N: ResponseParameters have no effect here.",
        ),
        ({"R": raw("Route", RouteKey="go")}, "R: the route has no integration."),
        (
            {"D": {"Type": "AWS::ApiGatewayV2::DomainName", "Properties": {"DomainName": "x.y"}}},
            "D: AWS::ApiGatewayV2::DomainName is not served here.",
        ),
        (
            {"M": raw("ApiMapping", DomainName="x.y", Stage="dev")},
            "M: AWS::ApiGatewayV2::ApiMapping is not served here.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_served_is_named(
    tmp_path: Path, resources: dict[str, Any], notice: str
) -> None:
    stack = read(tmp_path, websocket(**resources))
    assert [found for found in stack.notices if found.startswith(notice)]


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        (
            {"R": raw("Route", RouteKey="go", AuthorizationType="CUSTOM", AuthorizerId="x")},
            "only $connect can have an authorizer, not go",
        ),
        (
            {"R": raw("Route", RouteKey="$connect", AuthorizationType="CUSTOM", AuthorizerId="x")},
            "AuthorizerId 'x' names no AWS::ApiGatewayV2::Authorizer",
        ),
        (
            {"R": raw("Route", RouteKey="$connect", AuthorizationType="JWT")},
            "R: AuthorizationType must be NONE, AWS_IAM or CUSTOM for a WebSocket API, not JWT.",
        ),
        (
            {"I": raw("Integration", IntegrationType="AWS_PROXY", TimeoutInMillis=30000)},
            "I: TimeoutInMillis must be between 50 and 29000, not 30000.",
        ),
        (
            {"I": raw("Integration", IntegrationType="AWS", PassthroughBehavior="SOMETIMES")},
            "I: PassthroughBehavior must be one of WHEN_NO_MATCH, WHEN_NO_TEMPLATES, NEVER",
        ),
        (
            {"I": raw("Integration", IntegrationType="AWS", ContentHandlingStrategy="X")},
            "I: ContentHandlingStrategy must be one of CONVERT_TO_TEXT, CONVERT_TO_BINARY",
        ),
        (
            {"S": raw("Stage", StageName="d", DefaultRouteSettings={"ThrottlingRateLimit": "x"})},
            "S: ThrottlingRateLimit must be a number, not 'x'.",
        ),
        ({"S": raw("Stage")}, "S: StageName is missing."),
        ({"R": raw("Route", Target={"Fn::Sub": "integrations/${I}"})}, "R: RouteKey is missing."),
        (
            {"I": raw("Integration", IntegrationType="AWS", RequestTemplates="no")},
            "I: RequestTemplates is not valid JSON",
        ),
        (
            {"I": raw("Integration", IntegrationType="AWS", RequestTemplates=["no"])},
            "I: RequestTemplates must be a map.",
        ),
        (
            {
                "R": raw(
                    "Route",
                    RouteKey="go",
                    Target={"Fn::Sub": "integrations/${I}"},
                    RequestModels={"$default": "M"},
                ),
                "M": raw("Model", Name="M", Schema={"type": "nonsense"}),
            },
            "M: Schema is no JSON schema of draft 4",
        ),
        (
            {"A": raw("Api", ProtocolType="WEBSOCKET")},
            "A: a WebSocket API needs a RouteSelectionExpression.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path, resources: dict[str, Any], sentence: str
) -> None:
    resources = websocket(**resources)
    if resources["R"]["Properties"].get("AuthorizationType"):
        resources["R"]["Properties"]["Target"] = {"Fn::Sub": "integrations/${I}"}
    with pytest.raises(TemplateError) as mistake:
        read(tmp_path, resources)
    assert sentence in str(mistake.value)


@pytest.mark.parametrize(
    ("authorizer", "sentence"),
    [
        ({"AuthorizerType": "JWT"}, "Z: AuthorizerType must be REQUEST for a WebSocket API"),
        (
            {"AuthorizerType": "REQUEST", "IdentitySource": ["$request.header.X"]},
            "Z: IdentitySource '$request.header.X' must be route.request.header.NAME",
        ),
    ],
    ids=str,
)
def test_an_authorizer_that_cannot_be_is_one_sentence(
    tmp_path: Path, authorizer: dict[str, Any], sentence: str
) -> None:
    route = {"AuthorizationType": "CUSTOM", "AuthorizerId": {"Ref": "Z"}, "RouteKey": "$connect"}
    resources = websocket(
        R=raw("Route", Target={"Fn::Sub": "integrations/${I}"}, **route),
        Z=raw("Authorizer", AuthorizerUri=LAMBDA, **authorizer),
    )
    with pytest.raises(TemplateError) as mistake:
        read(tmp_path, resources)
    assert sentence in str(mistake.value)


@pytest.mark.parametrize("whole", [True, False], ids=["all of it", "the origins alone"])
def test_origins_of_a_function_need_a_function_for_all_of_the_cors_configuration(
    tmp_path: Path, whole: bool
) -> None:
    """SAM loses the rest of a configuration whose origins are a function by themselves."""
    given = {"AllowOrigins": {"Fn::Split": [",", "https://a,https://b"]}, "AllowMethods": ["GET"]}
    cors = {"Fn::If": ["Always", given, {"Ref": "AWS::NoValue"}]} if whole else given
    event = {"Type": "HttpApi", "Properties": {"ApiId": {"Ref": "A"}, "Path": "/", "Method": "GET"}}
    resources = {
        "A": {"Type": "AWS::Serverless::HttpApi", "Properties": {"CorsConfiguration": cors}},
        "F": function(Events={"Get": event}),
    }
    conditions = {"Always": {"Fn::Equals": ["a", "a"]}}
    if not whole:
        with pytest.raises(TemplateError, match="write the whole CorsConfiguration as one"):
            read(tmp_path, resources, Conditions=conditions)
        return
    (found,) = read(tmp_path, resources, Conditions=conditions).http_apis
    assert found.cors is not None
    assert found.cors.origins == ("https://a", "https://b")
    assert found.cors.methods == ("GET",)


def test_a_routes_own_rate_goes_before_the_stages(tmp_path: Path) -> None:
    stage = {
        "StageName": "dev",
        "DefaultRouteSettings": {"ThrottlingRateLimit": "5", "ThrottlingBurstLimit": 9},
        "RouteSettings": {"go": {"ThrottlingRateLimit": 2}},
    }
    rate = read(tmp_path, websocket(S=raw("Stage", **stage))).apis[0].routes["go"].rate
    assert rate is not None
    assert (rate.per_s, rate.burst) == (2, 9)


# --- addresses ------------------------------------------------------------------------------


def address_of(tmp_path: Path, text: Any) -> str:
    """What becomes of an address of the API `A` in a function's environment."""
    resources = {"A": api({"go": ROUTE}), "F": function(), "G": function()}
    resources["G"]["Properties"]["Environment"] = {"Variables": {"URL": text}}
    resources["D"] = {
        "Type": "AWS::ApiGatewayV2::DomainName",
        "Properties": {"DomainName": "chat.example.com"},
    }
    stack: Stack = read(tmp_path, resources)
    return next(f for f in stack.functions if f.logical_id == "G").environment["URL"]


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("${A}.execute-api.eu-west-1.amazonaws.com", "localhost:7"),
        ("${A}.execute-api.cn-north-1.amazonaws.com.cn", "localhost:7"),
        ("${A}.execute-api.eu-west-1.amazonaws.com:443", "localhost:7"),
        ("${D}", "chat.example.com"),
        ("www.example.com", "www.example.com"),
    ],
)
def test_the_apis_own_hosts_become_local(tmp_path: Path, host: str, local: str) -> None:
    found = address_of(tmp_path, {"Fn::Sub": f"https://{host}/dev, https://{host}."})
    assert found == f"https://{local}/dev, https://{local}."


@pytest.mark.parametrize(
    "host",
    [
        "${A}.execute-api.eu-west-1.amazonaws.com.example.com",
        "x-${A}.execute-api.eu-west-1.amazonaws.com",
        "my.${A}.execute-api.eu-west-1.amazonaws.com",
        "${A}.execute-api.eu-west-1.amazonaws.community",
    ],
)
def test_a_longer_host_name_is_left_whole(tmp_path: Path, host: str) -> None:
    found = address_of(tmp_path, {"Fn::Sub": f"https://{host}/dev"})
    assert "localhost" not in found
    assert found.endswith(host.removeprefix("${A}").partition("${A}")[2] + "/dev")
