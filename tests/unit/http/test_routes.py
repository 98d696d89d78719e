"""Routes: who is answered by which, and that the template, the functions and OpenAPI agree."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from samtranslator.yaml_helper import yaml_parse

from parley.auth.identity import Identity
from parley.http import health, sessions, turns, words
from parley.http.framework import HttpAnswer, HttpRequest
from parley.http.route import Route
from parley.principal import ANONYMOUS, Principal
from tests.unit.http.dispatching import (
    NOW_S,
    OPEN_TO_ALL,
    TOKENS_ONLY,
    RecordingLogger,
    dispatch,
)
from tests.unit.tokens import shared_token

ROOT = Path(__file__).parents[3]
DECLARED: dict[str, tuple[Route[Any], ...]] = {
    "parley.http.turns": turns.ROUTES,
    "parley.http.words": words.ROUTES,
    "parley.http.sessions": sessions.ROUTES,
    "parley.http.health": health.ROUTES,
}
"""The routes by the module that declares them."""
ROUTES = [route for routes in DECLARED.values() for route in routes]
GOOD_TOKEN = shared_token({"sub": "ada", "exp": NOW_S + 60})


class Handlers:
    """Handlers that note whom they were called for."""

    def __init__(self) -> None:
        self.called: list[Principal] = []

    def answer(self, _request: HttpRequest, identity: Identity) -> HttpAnswer:
        self.called.append(identity.principal)
        return HttpAnswer.from_content({})


def event(key: str, token: str = "", **query: str) -> dict[str, Any]:
    """A request of a route, payload format 2.0."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return {
        "routeKey": key,
        "headers": headers,
        "queryStringParameters": query,
        "requestContext": {"http": {"method": key.partition(" ")[0]}, "timeEpoch": 1},
    }


def answered(
    route: Route[Any], request: dict[str, Any], *, tokens_only: bool = True
) -> tuple[int, list[Principal]]:
    """The status of an answer, and whom the handler was called for."""
    handlers = Handlers()
    authenticator = TOKENS_ONLY if tokens_only else OPEN_TO_ALL
    answer = dispatch(route, handlers, request, authenticator, RecordingLogger())
    return answer["statusCode"], handlers.called


PLAIN = Route("GET /plain", Handlers.answer, "A route declared without more.", {})


@pytest.mark.parametrize("token", ["", "garbage", shared_token({"sub": "ada", "exp": 1})])
def test_a_route_declared_without_more_is_refused_without_a_good_token(token: str) -> None:
    assert answered(PLAIN, event("GET /plain", token)) == (401, [])


def test_the_handler_gets_the_principal_of_the_token() -> None:
    found = answered(PLAIN, event("GET /plain", GOOD_TOKEN))
    assert found == (200, [Principal("default", "ada")])


def test_where_authentication_is_off_everybody_is_the_anonymous_principal() -> None:
    assert answered(PLAIN, event("GET /plain"), tokens_only=False) == (200, [ANONYMOUS])


def test_a_route_may_say_that_a_request_is_open() -> None:
    route = Route("GET /plain", Handlers.answer, "An open route.", {}, is_open=lambda _: True)
    assert answered(route, event("GET /plain", "garbage")) == (200, [ANONYMOUS])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.key)
def test_every_route_but_the_liveness_is_refused_without_a_token(route: Route[Any]) -> None:
    request = event(route.key, deep="1") if route.key == "GET /health" else event(route.key)
    assert answered(replace(route, handler=Handlers.answer), request) == (401, [])


@pytest.mark.parametrize(("deep", "opened"), [("", True), ("0", True), ("2", True), ("1", False)])
def test_the_liveness_alone_is_open(deep: str, opened: bool) -> None:
    (route,) = health.ROUTES
    query = {"deep": deep} if deep else {}
    assert route.is_open(HttpRequest("GET", route.key, query=query)) is opened


def test_a_refusal_is_logged_with_its_reason_and_without_the_token() -> None:
    logger = RecordingLogger()
    dispatch(PLAIN, Handlers(), event("GET /plain", "garbage"), TOKENS_ONLY, logger)
    (logged,) = logger.others
    assert (logged["message"], logged["code"]) == ("request_unauthorized", "malformed")
    assert "garbage" not in repr(logged)


def template_routes() -> dict[str, set[str]]:
    """The routes of the template's HTTP API, by the folder of their function."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    found: dict[str, set[str]] = {}
    for resource in template["Resources"].values():
        for source in resource.get("Properties", {}).get("Events", {}).values():
            if source["Type"] == "HttpApi":
                properties = source["Properties"]
                key = f"{properties['Method']} {properties['Path']}"
                found.setdefault(resource["Properties"]["CodeUri"], set()).add(key)
    return found


def served_by(folder: str) -> set[str]:
    """The keys of the routes that a function imports and gives to its dispatcher."""
    tree = ast.parse((ROOT / folder / "app.py").read_text())
    return {
        route.key
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and any(name.name == "ROUTES" for name in node.names)
        for route in DECLARED[str(node.module)]
    }


def test_every_route_of_the_template_is_declared_and_served_by_its_function() -> None:
    expected = template_routes()
    assert expected, "the template has routes"
    assert {folder: served_by(folder) for folder in expected} == expected


def test_every_declared_route_is_in_the_template_once() -> None:
    keys = [key for keys in template_routes().values() for key in keys]
    assert sorted(route.key for route in ROUTES) == sorted(keys)


def test_openapi_has_the_routes_of_the_template() -> None:
    document = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
    keys = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert keys == {key for keys in template_routes().values() for key in keys}


def test_a_route_that_is_not_declared_is_a_fault_of_ours() -> None:
    logger = RecordingLogger()
    answer = dispatch(PLAIN, Handlers(), event("GET /other", GOOD_TOKEN), TOKENS_ONLY, logger)
    assert json.loads(answer["body"])["code"] == "internal"
    assert [logged["message"] for logged in logger.errors] == ["request_failed"]
