"""Permissions of API Gateway to invoke functions: which of them are enough."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from samwire_tests.faulty import GOOD, changed, problems_with, written

NEEDED = "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}"


def refused(folder: Path, change: dict[str, Any]) -> list[str]:
    """Logical ids of what is refused after a change of the good template's resources."""
    template = changed(copy.deepcopy(GOOD), {"Resources": change})
    return [problem.logical_id for problem in problems_with(written(folder, template))]


@pytest.mark.parametrize(
    "properties",
    [
        {"SourceArn": {"Fn::Sub": f"{NEEDED}/*"}},
        {"SourceArn": {"Fn::Sub": f"{NEEDED}/*/*"}},
        {"SourceArn": {"Fn::Sub": f"{NEEDED}/dev/*"}},
        {"SourceArn": {"Fn::Sub": f"{NEEDED}/d?v/*"}},
        {"SourceArn": {"Fn::Sub": "arn:aws:execute-api:*:*:${Api}/*"}},
        {"SourceArn": None},
        {"SourceArn": "*:*:*:*:*:*"},
        {"SourceAccount": {"Ref": "AWS::AccountId"}},
        {"FunctionName": {"Fn::GetAtt": ["Function", "Arn"]}},
        {"FunctionName": {"Fn::Sub": "${AWS::AccountId}:function:${Function}"}},
        {"Action": "lambda:*"},
        {"Action": "lambda:invokeFunction"},
        {"Principal": "*"},
    ],
    ids=str,
)
def test_a_permission_that_is_enough(tmp_path: Path, properties: dict[str, Any]) -> None:
    assert refused(tmp_path, {"Permission": {"Properties": properties}}) == []


def test_a_permission_for_each_route_is_enough(tmp_path: Path) -> None:
    only = {
        name: {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Ref": "Function"},
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": {"Fn::Sub": f"{NEEDED}/dev/{key}"},
            },
        }
        for name, key in (("ForConnect", "$connect"), ("ForGo", "go"))
    }
    assert refused(tmp_path, {"Permission": None, **only}) == []
    del only["ForGo"]
    assert refused(tmp_path, {"Permission": None, **only}) == ["Integration"]


def test_an_integration_with_a_role_needs_no_permission(tmp_path: Path) -> None:
    role = {"CredentialsArn": {"Fn::GetAtt": ["Role", "Arn"]}}
    change = {"Permission": None, "Integration": {"Properties": role}}
    assert refused(tmp_path, change) == []


def test_a_function_from_elsewhere_has_its_permission_there(tmp_path: Path) -> None:
    uri = "arn:aws:lambda:us-east-1:210987654321:function:theirs"
    change = {"Permission": None, "Integration": {"Properties": {"IntegrationUri": uri}}}
    assert refused(tmp_path, change) == []


@pytest.mark.parametrize("granted", [True, False])
def test_sam_gives_an_authorizer_of_an_http_api_no_permission_unless_asked(
    tmp_path: Path, granted: bool
) -> None:
    authorizer = {
        "FunctionArn": {"Fn::GetAtt": ["Function", "Arn"]},
        "AuthorizerPayloadFormatVersion": "2.0",
        "EnableFunctionDefaultPermissions": granted,
    }
    auth = {"DefaultAuthorizer": "Own", "Authorizers": {"Own": authorizer}}
    found = refused(tmp_path, {"HttpApi": {"Properties": {"Auth": auth}}})
    assert found == ([] if granted else ["HttpApi"])


@pytest.mark.parametrize(
    ("key", "source", "enough"),
    [
        ("GET /items/{id}", "*/GET/items/*", True),
        ("GET /items/{id}", "*/*/items/{id}", True),
        ("GET /items/{id}", "*/POST/items/*", False),
        ("GET /items/{id}", "$default/GET/items/*", True),
        ("GET /items/{id}", "dev/GET/items/*", False),
        ("ANY /items", "*/*/items", True),
        ("ANY /items", "*/GET/items", False),
        ("ANY /{proxy+}", "*/*/{proxy+}", True),
        ("$default", "*/$default", True),
        ("$default", "*/*", True),
        ("$default", "*/GET/*", False),
    ],
)
def test_routes_of_http_apis(tmp_path: Path, key: str, source: str, enough: bool) -> None:
    change = {
        "Own": {
            "Type": "AWS::ApiGatewayV2::Api",
            "Properties": {"Name": "o", "ProtocolType": "HTTP"},
        },
        "OwnStage": {
            "Type": "AWS::ApiGatewayV2::Stage",
            "Properties": {"ApiId": {"Ref": "Own"}, "StageName": "$default", "AutoDeploy": True},
        },
        "OwnIntegration": {
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {
                "ApiId": {"Ref": "Own"},
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": {"Fn::GetAtt": ["Plain", "Arn"]},
                "PayloadFormatVersion": "2.0",
            },
        },
        "OwnRoute": {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": {
                "ApiId": {"Ref": "Own"},
                "RouteKey": key,
                "Target": {"Fn::Sub": "integrations/${OwnIntegration}"},
            },
        },
        "OwnPermission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Ref": "Plain"},
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": {
                    "Fn::Join": [
                        "",
                        [
                            "arn:aws:execute-api:us-east-1:123456789012:",
                            {"Ref": "Own"},
                            f"/{source}",
                        ],
                    ]
                },
            },
        },
    }  # fmt: skip
    assert refused(tmp_path, change) == ([] if enough else ["OwnIntegration"])
