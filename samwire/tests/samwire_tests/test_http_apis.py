"""HTTP APIs through real HTTP: routes, events, answers, CORS and authorizers."""

from __future__ import annotations

import base64
import gzip
import json
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from samwire_tests.app_stack import FIXTURES, RunningApp, running_app

ORIGIN = "https://page.example"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    template = FIXTURES / "http" / "template.yaml"
    with running_app(template, tmp_path_factory.mktemp("http")) as running:
        yield running


@pytest.fixture(scope="module")
def shop(app: RunningApp) -> Iterator[httpx.Client]:
    """A client of the API that the functions' events make."""
    with httpx.Client(base_url=app.info["http_apis"]["ServerlessHttpApi"]["http_url"]) as client:
        yield client


@pytest.fixture(scope="module")
def office(app: RunningApp) -> Iterator[httpx.Client]:
    """A client of the API with a stage of its own."""
    with httpx.Client(base_url=app.info["http_apis"]["Office"]["http_url"]) as client:
        yield client


@pytest.fixture(scope="module")
def raw(app: RunningApp) -> Iterator[httpx.Client]:
    """A client of the API that is spelt out."""
    with httpx.Client(base_url=app.info["http_apis"]["Raw"]["http_url"]) as client:
        yield client


def seen(answer: httpx.Response) -> dict[str, Any]:
    """The event that the function was given."""
    assert answer.status_code == 200, answer.text
    event: dict[str, Any] = answer.json()["event"]
    return event


# --- routes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "key", "parameters"),
    [
        ("GET", "/items/7", "GET /items/{id}", {"id": "7"}),
        ("GET", "/items/a%20b", "GET /items/{id}", {"id": "a b"}),
        ("GET", "/items/special", "ANY /items/special", None),
        ("DELETE", "/items/7", "$default", None),
        ("PUT", "/files/a/b.txt", "ANY /files/{path+}", {"path": "a/b.txt"}),
        ("GET", "/files/", "$default", None),
        ("GET", "/items/7/more", "$default", None),
        ("GET", "/", "$default", None),
    ],
)
def test_the_most_specific_route_is_taken(
    shop: httpx.Client, method: str, path: str, key: str, parameters: dict[str, str] | None
) -> None:
    event = seen(shop.request(method, path))
    assert event["routeKey"] == key
    assert event.get("pathParameters") == parameters


def test_without_a_route_a_request_is_not_found(raw: httpx.Client) -> None:
    answer = raw.get("/nosuch")
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


def test_routes_may_be_resources_of_their_own(raw: httpx.Client) -> None:
    assert seen(raw.get("/raw"))["routeKey"] == "GET /raw"


def test_a_named_stage_is_part_of_the_path(app: RunningApp, office: httpx.Client) -> None:
    event = seen(office.get("/open"))
    assert event["rawPath"] == "/dev/open"
    assert event["requestContext"]["stage"] == "dev"
    assert event["stageVariables"] == {"colour": "green"}
    outside = app.info["http_apis"]["Office"]["http_url"].removesuffix("/dev") + "/open"
    assert httpx.get(outside).status_code == 404


def test_an_integration_that_is_not_served_is_named_and_an_error(
    app: RunningApp, raw: httpx.Client
) -> None:
    answer = raw.get("/elsewhere")
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
    assert any(
        n.startswith("ElsewhereRoute: integrations of type HTTP_PROXY") for n in notices(app)
    )


def notices(app: RunningApp) -> list[str]:
    """What the start said is not served."""
    return list(app.info["notices"])


# --- events ---------------------------------------------------------------------------------


def test_version_2_has_the_keys_that_aws_sends(app: RunningApp, shop: httpx.Client) -> None:
    headers = [("X-Mine", "a"), ("x-mine", "b"), ("Cookie", "c=1; d=2"), ("User-Agent", "me")]
    event = seen(shop.get("/items/7?a=1&a=2&b=x%20y", headers=headers))
    context = event["requestContext"]
    assert list(event) == [
        *("version", "routeKey", "rawPath", "rawQueryString", "cookies", "headers"),
        *("queryStringParameters", "requestContext", "pathParameters", "isBase64Encoded"),
    ]
    assert event["version"] == "2.0"
    assert event["rawQueryString"] == "a=1&a=2&b=x%20y"
    assert event["queryStringParameters"] == {"a": "1,2", "b": "x y"}
    assert event["cookies"] == ["c=1", "d=2"]
    assert "cookie" not in event["headers"]
    assert event["headers"]["x-mine"] == "a,b"
    assert event["headers"]["host"] == context["domainName"]
    assert context["http"] == {
        "method": "GET",
        "path": "/items/7",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "me",
    }
    assert context["domainName"] in app.info["http_apis"]["ServerlessHttpApi"]["https_url"]


@pytest.mark.parametrize("path", ["/items/7", "/old/7"], ids=["version 2", "version 1"])
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([], "127.0.0.1"),
        (["203.0.113.9"], "203.0.113.9, 127.0.0.1"),
        (["203.0.113.9, 10.0.0.1"], "203.0.113.9, 10.0.0.1, 127.0.0.1"),
        (["203.0.113.9", "10.0.0.1"], "203.0.113.9, 10.0.0.1, 127.0.0.1"),
        (["", ""], "127.0.0.1"),
        (["127.0.0.1"], "127.0.0.1, 127.0.0.1"),
        (["unknown"], "unknown, 127.0.0.1"),
    ],
)
def test_who_asks_comes_after_what_it_says_of_others(
    shop: httpx.Client, path: str, sent: list[str], expected: str
) -> None:
    event = seen(shop.get(path, headers=[("X-Forwarded-For", value) for value in sent]))
    headers = {name.lower(): value for name, value in event["headers"].items()}
    assert headers["x-forwarded-for"] == expected
    context = event["requestContext"]
    assert (context.get("http") or context["identity"])["sourceIp"] == "127.0.0.1"


def test_version_1_has_the_keys_that_aws_sends(shop: httpx.Client) -> None:
    event = seen(shop.get("/old/7?a=1&a=2", headers=[("X-Mine", "a"), ("X-Mine", "b")]))
    assert event["version"] == "1.0"
    assert event["resource"] == "/old/{id}"
    assert (event["path"], event["httpMethod"]) == ("/old/7", "GET")
    assert event["headers"]["X-Mine"] == "b"
    assert event["multiValueHeaders"]["X-Mine"] == ["a", "b"]
    assert event["queryStringParameters"] == {"a": "2"}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    assert event["pathParameters"] == {"id": "7"}
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"
    assert event["body"] is None
    assert event["stageVariables"] is None


@pytest.mark.parametrize(
    ("kind", "is_text"),
    [
        ("application/json", True),
        ("text/plain; charset=utf-8", True),
        ("application/problem+json", True),
        ("application/x-www-form-urlencoded", False),
        ("application/octet-stream", False),
    ],
)
def test_a_body_that_is_not_known_to_be_text_is_base64(
    shop: httpx.Client, kind: str, is_text: bool
) -> None:
    event = seen(shop.post("/body", content=b"a=1", headers={"Content-Type": kind}))
    assert event["isBase64Encoded"] is not is_text
    assert event["body"] == ("a=1" if is_text else base64.b64encode(b"a=1").decode())


def test_a_compressed_body_is_passed_on_as_it_came(shop: httpx.Client) -> None:
    body = gzip.compress(b"{}")
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    event = seen(shop.post("/body", content=body, headers=headers))
    assert event["headers"]["content-encoding"] == "gzip"
    assert (event["isBase64Encoded"], base64.b64decode(event["body"])) == (True, body)


@pytest.mark.parametrize(
    ("kind", "size", "status"),
    [
        ("application/octet-stream", 4_600_000, 200),
        ("application/octet-stream", 4_800_000, 413),
        ("text/plain", 6_200_000, 200),
        ("text/plain", 6_300_000, 413),
        ("text/plain", 10 * 1024 * 1024 + 1, 413),
    ],
)
def test_a_request_that_makes_too_large_an_event_is_413(
    shop: httpx.Client, kind: str, size: int, status: int
) -> None:
    answer = shop.put("/files/size", content=b"x" * size, headers={"content-type": kind})
    assert answer.status_code == status
    if status == 413:
        assert answer.json() == {"message": "Request Entity Too Large"}


def test_a_character_counts_as_in_utf_8(shop: httpx.Client) -> None:
    text = "Ж" * 1_100_000
    answer = shop.put("/files/size", content=text, headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.text) == (200, "1100000")


def test_a_function_knows_where_another_api_is(app: RunningApp, office: httpx.Client) -> None:
    url = office.get("/open").json()["url"]
    assert url == app.info["http_apis"]["ServerlessHttpApi"]["https_url"] + "/"
    assert httpx.get(url, verify=ssl_of(app)).status_code == 200


def ssl_of(app: RunningApp) -> ssl.SSLContext:
    """Trust in the stack's own authority."""
    return ssl.create_default_context(cafile=app.info["ca_bundle"])


def test_outputs_are_where_they_are_here(app: RunningApp) -> None:
    apis, outputs = app.info["http_apis"], app.info["outputs"]
    assert outputs["Shop"] == apis["ServerlessHttpApi"]["https_url"] + "/items/1"
    assert apis["Office"]["https_url"] == outputs["Office"] + "/dev"


# --- answers --------------------------------------------------------------------------------


def answered(shop: httpx.Client, returned: Any) -> httpx.Response:
    """The answer of a function that returns this."""
    headers = {"Content-Type": "application/json"}
    return shop.post("/answer", content=json.dumps(returned), headers=headers)


@pytest.mark.parametrize(
    ("returned", "status", "kind", "body"),
    [
        ("hello", 200, "application/json", "hello"),
        ({"a": "ü"}, 200, "application/json", '{"a": "ü"}'),
        ([1], 200, "application/json", "[1]"),
        (None, 200, "application/json", "null"),
        ({"statusCode": 201, "body": "made"}, 201, "text/plain;charset=UTF-8", "made"),
        ({"statusCode": "202"}, 202, None, ""),
        (
            {"statusCode": 200, "headers": {"Content-Type": "text/html"}, "body": "<p>"},
            200,
            "text/html",
            "<p>",
        ),
        (
            {"statusCode": 200, "body": "aGk=", "isBase64Encoded": True},
            200,
            "text/plain;charset=UTF-8",
            "hi",
        ),
    ],
    ids=str,
)
def test_what_is_returned_is_understood(
    shop: httpx.Client, returned: Any, status: int, kind: str | None, body: str
) -> None:
    answer = answered(shop, returned)
    assert (answer.status_code, answer.text) == (status, body)
    assert answer.headers.get("content-type") == kind or kind is None


@pytest.mark.parametrize(
    "returned",
    [
        "raise",
        {"statusCode": "many"},
        {"statusCode": 42},
        {"statusCode": 200, "body": {"no": "text"}},
        {"statusCode": 200, "headers": "x"},
        {"statusCode": 200, "body": "no base64", "isBase64Encoded": True},
    ],
    ids=str,
)
def test_what_is_no_answer_is_500(shop: httpx.Client, returned: Any) -> None:
    answer = answered(shop, returned)
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})


def test_cookies_become_headers(shop: httpx.Client) -> None:
    answer = answered(shop, {"statusCode": 200, "cookies": ["a=1; Secure", "b=2"]})
    assert answer.headers.get_list("set-cookie") == ["a=1; Secure", "b=2"]


def test_an_integration_past_its_time_is_503(shop: httpx.Client) -> None:
    answer = shop.get("/late")
    assert (answer.status_code, answer.json()) == (503, {"message": "Service Unavailable"})


def test_a_route_beyond_its_rate_is_429(raw: httpx.Client) -> None:
    answers = [raw.get("/scarce") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].json() == {"message": "Too Many Requests"}


# --- CORS -----------------------------------------------------------------------------------


def test_a_preflight_is_answered_without_the_function(office: httpx.Client) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    answer = office.options("/open", headers=asked)
    found = {n: v for n, v in answer.headers.items() if n.startswith("access-control-")}
    assert answer.status_code == 204
    assert found == {
        "access-control-allow-origin": ORIGIN,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "x-mine",
        "access-control-max-age": "300",
    }


def test_an_origin_that_is_not_allowed_gets_no_headers(office: httpx.Client) -> None:
    asked = {"Origin": "https://other.example", "Access-Control-Request-Method": "POST"}
    answer = office.options("/open", headers=asked)
    assert answer.status_code == 204
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_the_apis_headers_replace_the_functions_own(office: httpx.Client) -> None:
    answer = office.get("/open", headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-expose-headers"] == "x-theirs"


def test_without_cors_the_functions_own_headers_stay(shop: httpx.Client) -> None:
    answer = shop.get("/x", headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == "mine"


# --- authorizers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/guarded", {}, 401),
        ("/guarded", {"Authorization": "no"}, 403),
        ("/guarded", {"Authorization": "broken"}, 500),
        ("/guarded", {"Authorization": "yes"}, 200),
        ("/policy/1", {"Authorization": "yes"}, 401),
        ("/policy/1?who=me", {"Authorization": "yes"}, 200),
        ("/policy/1?who=me", {"Authorization": "no"}, 403),
        ("/open", {}, 200),
    ],
    ids=str,
)
def test_an_authorizer_decides(
    office: httpx.Client, path: str, headers: dict[str, str], status: int
) -> None:
    assert office.get(path, headers=headers).status_code == status


def test_what_an_authorizer_says_is_in_the_event(office: httpx.Client) -> None:
    allowed = {"Authorization": "yes"}
    context = seen(office.get("/guarded", headers=allowed))["requestContext"]
    assert context["authorizer"] == {"lambda": {"user": "ann", "roles": ["a"]}}


def test_an_answer_is_kept_as_long_as_the_template_says(
    app: RunningApp, office: httpx.Client
) -> None:
    for token in ("kept", "kept", "other"):
        office.get("/guarded", headers={"Authorization": token})
    tokens = [event["identitySource"] for event in app.printed("GUARD")]
    assert tokens.count(["kept"]) == 1
    assert tokens.count(["other"]) == 1


def test_an_authorizer_of_version_1_sees_the_method_and_its_resource(
    app: RunningApp, office: httpx.Client
) -> None:
    office.get("/policy/9?who=you", headers={"Authorization": "yes"})
    event = next(e for e in app.printed("GUARD") if e.get("path") == "/dev/policy/9")
    assert event["methodArn"].endswith("/dev/GET/policy/9")
    assert event["identitySource"] == "yes,you"
    assert "body" not in event


def test_an_authorizer_that_is_not_asked_is_named(app: RunningApp, office: httpx.Client) -> None:
    assert office.get("/jwt").status_code == 200
    assert any("JWT authorization is not served here" in notice for notice in notices(app))


# --- beside a WebSocket API -----------------------------------------------------------------


async def test_a_websocket_api_keeps_its_stage(app: RunningApp) -> None:
    async with connect(app.url("Chat")) as socket:
        assert (await socket.ping()) is not None
