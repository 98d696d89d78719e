"""The sample events are what API Gateway sends, and what the functions understand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from samtranslator.yaml_helper import yaml_parse

from parley.protocol.decoder import Decoder
from parley.protocol.messages import CLIENT_MESSAGES
from parley.protocol.turn_request import TurnRequest

EVENTS = Path(__file__).parents[2] / "events"
MESSAGES = sorted(path.stem for path in EVENTS.glob("message-*.json"))
OF_TURNS = {"message-audio-start": "audio_start", "message-user-message": "user_message"}
"""The messages that have a route of their own."""

IN_EVERY_CONTEXT = {
    "routeKey",
    "eventType",
    "extendedRequestId",
    "requestTime",
    "messageDirection",
    "stage",
    "connectedAt",
    "requestTimeEpoch",
    "identity",
    "requestId",
    "domainName",
    "connectionId",
    "apiId",
}
"""AWS docs, "WebSocket API mapping template reference"."""


def event(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize(
    ("name", "route", "kind", "keys", "more_context"),
    [
        ("connect", "$connect", "CONNECT", {"headers", "multiValueHeaders"}, set()),
        ("connect-token", "$connect", "CONNECT", {"headers", "multiValueHeaders"}, set()),
        (
            "disconnect",
            "$disconnect",
            "DISCONNECT",
            {"headers", "multiValueHeaders"},
            {"disconnectStatusCode", "disconnectReason"},
        ),
        *(
            (name, OF_TURNS.get(name, "$default"), "MESSAGE", {"body"}, {"messageId"})
            for name in MESSAGES
        ),
    ],
)
def test_an_event_has_the_fields_that_api_gateway_sends(
    name: str, route: str, kind: str, keys: set[str], more_context: set[str]
) -> None:
    found = event(name)
    context = found["requestContext"]
    assert set(found) == {"requestContext", "isBase64Encoded"} | keys
    assert set(context) == IN_EVERY_CONTEXT | more_context
    assert (context["routeKey"], context["eventType"]) == (route, kind)
    assert context["messageDirection"] == "IN"
    assert found["isBase64Encoded"] is False
    assert context["extendedRequestId"] == context["requestId"]
    assert context["domainName"].startswith(context["apiId"] + ".execute-api.")
    assert context["connectedAt"] <= context["requestTimeEpoch"]


@pytest.mark.parametrize("name", ["connect", "disconnect"])
def test_headers_come_in_both_forms(name: str) -> None:
    found = event(name)
    assert {key: [value] for key, value in found["headers"].items()} == found["multiValueHeaders"]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_one_of_the_protocol(name: str) -> None:
    message = Decoder().decode(event(name)["body"])
    tag = str(message.__struct_config__.tag)
    assert name == "message-" + tag.replace("_", "-")


def test_there_is_an_event_for_every_message() -> None:
    tags = {str(message.__struct_config__.tag) for message in CLIENT_MESSAGES}
    assert {f"message-{tag.replace('_', '-')}" for tag in tags} == set(MESSAGES)


def test_the_messages_that_begin_turns_have_the_template_s_routes() -> None:
    resources = yaml_parse((EVENTS.parent / "template.yaml").read_text())["Resources"].values()
    routes = {
        each["Properties"]["RouteKey"]
        for each in resources
        if each["Type"] == "AWS::ApiGatewayV2::Route"
    }
    assert routes == set(OF_TURNS.values())


@pytest.mark.parametrize(("name", "spoken"), [("turn-typed", False), ("turn-spoken", True)])
def test_a_turn_s_event_is_what_the_message_function_sends(name: str, spoken: bool) -> None:
    request = msgspec.convert(event(name), TurnRequest)
    assert request.spoken is spoken
    assert set(event(name)) >= set(msgspec.to_builtins(request))
    context = event("message-user-message")["requestContext"]
    assert request.endpoint == f"https://{context['domainName']}/{context['stage']}"
    assert request.connection_id == context["connectionId"]


HTTP = sorted(path.stem for path in EVENTS.glob("http-*.json"))
IN_EVERY_HTTP_CONTEXT = {
    *("accountId", "apiId", "domainName", "domainPrefix", "http", "requestId"),
    *("routeKey", "stage", "time", "timeEpoch"),
}
"""AWS docs, "Create AWS Lambda proxy integrations for HTTP APIs", payload format 2.0."""


@pytest.mark.parametrize("name", HTTP)
def test_a_request_has_the_fields_that_api_gateway_sends(name: str) -> None:
    found = event(name)
    context = found["requestContext"]
    always = {"version", "routeKey", "rawPath", "rawQueryString", "headers", "requestContext"}
    sometimes = {"body", "pathParameters", "queryStringParameters"}
    assert always | {"isBase64Encoded"} <= set(found) <= always | {"isBase64Encoded"} | sometimes
    assert set(context) == IN_EVERY_HTTP_CONTEXT
    assert found["routeKey"] == context["routeKey"]
    assert found["rawPath"] == context["http"]["path"]
    assert all(header == header.lower() for header in found["headers"])


def test_there_is_an_event_for_every_route_of_the_http_functions() -> None:
    template = yaml_parse((EVENTS.parent / "template.yaml").read_text())
    routes = {
        f"{source['Properties']['Method']} {source['Properties']['Path']}"
        for resource in template["Resources"].values()
        for source in resource.get("Properties", {}).get("Events", {}).values()
        if source["Type"] == "HttpApi"
    }
    assert {event(name)["routeKey"] for name in HTTP} == routes
