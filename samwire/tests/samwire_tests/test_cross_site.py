"""A page of another site reaches nothing of a developer's stack; the developer reaches all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from socket import gethostname

import boto3
import pytest
import pytest_asyncio
from aiohttp import ClientSession
from multidict import CIMultiDict

from samwire.cross_site import CrossSiteRules, Surface, find_cross_site_refusal
from samwire.stack import LocalStack, Options
from samwire_tests.conftest import CHAT
from samwire_tests.own_key import own_key

EVIL = {"Origin": "https://evil.test"}
REBOUND = {"Host": "evil.test:3001"}
PLAN = '{"faults": [{"kind": "drop_connection", "rate": 0}]}'
LINK = {
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}
FRAME = {**LINK, "Sec-Fetch-Dest": "iframe"}
FORM = {**LINK, **EVIL, "Content-Type": "text/plain"}
SIMPLE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:3001"},
        {"host": "127.0.0.1"},
        {"Host": "[::1]:3001"},
        {"Host": "192.168.0.7:3001"},
        {"Host": "bucket.localhost:5000"},
        {"Host": "host.docker.internal:3001"},
        {"Host": f"{gethostname()}:3001"},
        {"Host": "[fe80::1]"},
        {"Host": "localhost", "Origin": "http://localhost"},
        {"Host": "localhost:3001", "Origin": "http://localhost:3001"},
        {"Host": "localhost:3001", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {"Host": "LOCALHOST:3001", "Origin": "http://localhost:3001"},
        {"Host": "localhost:3001", "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
    ],
    ids=str,
)
def test_programs_and_own_pages_are_no_strangers(headers: dict[str, str]) -> None:
    assert find_cross_site_refusal(CIMultiDict(headers)) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": ""},
        {"Host": "evil.test"},
        {"Host": "evil"},
        {"Host": "evil:3001"},
        {"Host": "ai"},
        {"Host": "xn--evil"},
        {"Host": "wpad"},
        {"Host": "localhost."},
        {"Host": "evillocalhost"},
        {"Host": "host.docker.internal.evil"},
        {"Host": "2130706433"},
        {"Host": "0x7f000001"},
        {"Host": "evil.test:3001"},
        {"Host": "localhost.evil.test"},
        {"Host": "[::1"},
        {"Host": "localhost:3001", **EVIL},
        {"Host": "localhost:3001", "Origin": "null"},
        {"Host": "localhost:3001", "Origin": "http://localhost:8000"},
        {"Host": "localhost:3001", "Origin": "http://localhost:3001.evil.test"},
        {"Host": "localhost:3001", **SIMPLE},
        {"Host": "localhost:3001", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        {"Host": "localhost:3001", **LINK},
        {"Host": "localhost:3001", **LINK, "Sec-Fetch-Dest": "iframe"},
        {"Host": "localhost:3001", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Host": "localhost:3001", "Sec-Fetch-Site": "Cross-Site"},
        {"Host": "localhost:3001", "Sec-Fetch-Site": "something new"},
        {"Host": "localhost:3001", "Origin": "http://[::1"},
        {"Host": "localhost:3001", "Origin": "https://localhost:3001"},
        {"Host": "localhost:3001", "Origin": "moz-extension://localhost:3001"},
        {"Host": "localhost:3001", "Origin": "capacitor://localhost:3001"},
        {"Host": "localhost", "Origin": "capacitor://localhost"},
        {"Host": "localhost", "Origin": "tauri://localhost"},
        {"Host": "localhost", "Origin": "https://localhost"},
        {"Host": "localhost", "Origin": "//localhost"},
        {"Host": "localhost", "Origin": "localhost"},
        {"Host": "localhost", "Origin": ""},
        {"Host": "localhost", "Origin": "file://localhost"},
        {"Host": "abc.execute-api.us-east-1.amazonaws.com"},
    ],
    ids=str,
)
def test_pages_of_others_and_rebound_names_are_strangers(headers: dict[str, str]) -> None:
    assert find_cross_site_refusal(CIMultiDict(headers)) is not None


OWN = {"Host": "localhost:3001"}
SAME_SITE = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}


@pytest.mark.parametrize(
    ("surface", "rules", "method", "headers", "let_in"),
    [
        (Surface.PAGE, CrossSiteRules(), "GET", {**OWN, **LINK}, True),
        (Surface.PAGE, CrossSiteRules(), "POST", {**OWN, **LINK}, False),
        (Surface.PAGE, CrossSiteRules(), "GET", {**OWN, **FRAME}, False),
        (Surface.PAGE, CrossSiteRules(), "GET", {**OWN, **SIMPLE}, False),
        (Surface.PAGE, CrossSiteRules(), "GET", {**OWN, **EVIL}, False),
        (Surface.PAGE, CrossSiteRules(), "GET", REBOUND, False),
        (Surface.API, CrossSiteRules(), "GET", {**OWN, **EVIL}, True),  # the template's to decide
        (Surface.API, CrossSiteRules(), "GET", {**OWN, **SAME_SITE}, True),
        (Surface.API, CrossSiteRules(), "GET", {**OWN, **SIMPLE}, False),
        (Surface.API, CrossSiteRules(), "GET", {**OWN, **LINK}, False),
        (Surface.API, CrossSiteRules(navigation=True), "GET", {**OWN, **LINK}, True),
        (Surface.API, CrossSiteRules(navigation=True), "GET", {**OWN, **FRAME}, False),
        (Surface.API, CrossSiteRules(navigation=True), "GET", {**OWN, **SIMPLE}, False),
        (Surface.API, CrossSiteRules(), "GET", REBOUND, False),
        (
            Surface.API,
            CrossSiteRules(),
            "GET",
            {**REBOUND, "Origin": "http://evil.test:3001"},
            False,
        ),
        (Surface.API, CrossSiteRules(frozenset({"evil.test"})), "GET", REBOUND, True),
        (Surface.PRIVATE, CrossSiteRules(frozenset({"evil.test"})), "GET", REBOUND, True),
        (Surface.PRIVATE, CrossSiteRules(navigation=True), "GET", {**OWN, **LINK}, False),
    ],
)
def test_what_is_asked_for_says_who_may_ask(
    surface: Surface, rules: CrossSiteRules, method: str, headers: dict[str, str], let_in: bool
) -> None:
    assert (find_cross_site_refusal(CIMultiDict(headers), surface, rules, method) is None) == let_in


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("host", "origin", "let_in"),
    [
        ("localhost", "https://localhost", "https"),
        ("localhost", "http://localhost", "http"),
        ("127.0.0.1:3002", "https://127.0.0.1:3002", "https"),
        ("voice:3001", "http://voice:3001", "http https"),
        ("tunnel.test", "https://tunnel.test", "http https"),  # it ends TLS in front of the stack
        ("tunnel.test", "capacitor://tunnel.test", ""),
    ],
)
def test_an_origin_is_of_the_scheme_that_is_listened_for(
    scheme: str, host: str, origin: str, let_in: str
) -> None:
    rules = CrossSiteRules(frozenset({"tunnel.test", "voice"}))
    refused = find_cross_site_refusal({"Host": host, "Origin": origin}, rules=rules, scheme=scheme)
    assert (refused is None) == (scheme in let_in.split())


ATTACKS = {
    "origin": EVIL,
    "rebound": REBOUND,
    "single label": {"Host": "evil:3001"},
    "extension": {"Origin": "moz-extension://localhost"},
    "no-cors": SIMPLE,
    "link": LINK,
    "frame": FRAME,
    "form": FORM,
    "sandbox": {"Origin": "null"},
}
on_the_stack = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[LocalStack]:
    options = Options(template=CHAT, parameters={"Secret": "kept"}, port=0)
    async with LocalStack(options) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as open_session:
        yield open_session


@on_the_stack
@pytest.mark.parametrize("page", ATTACKS.values(), ids=ATTACKS.keys())
async def test_a_strangers_page_reaches_nothing_that_is_for_this_machine(
    stack: LocalStack, session: ClientSession, page: dict[str, str]
) -> None:
    base = str(stack.info["static_url"])
    function = next(iter(stack.info["functions"].values()))
    stage = str(stack.info["websocket_url"]).rsplit("/", 1)[1]
    for method, path, body in (
        ("PUT", "_local/faults", PLAN),
        ("DELETE", "_local/faults", ""),
        ("GET", "_local/events.json", ""),
        ("GET", "_local/stack.json", ""),
        ("PUT", "_local/permissions", "{}"),
        ("DELETE", "_local/environments", ""),
        ("PUT", "_local/environments/Chat", "{}"),
        ("POST", f"2015-03-31/functions/{function}/invocations", "{}"),
        ("POST", f"{stage}/@connections/abc", "hello"),
    ):
        async with session.request(method, base + path, data=body, headers=page) as answer:
            assert (path, answer.status) == (path, 403)
            assert "local stack" in (await answer.json())["message"]
    assert stack.faults.described()["faults"] == []


@on_the_stack
async def test_the_developers_own_requests_are_answered(
    stack: LocalStack, session: ClientSession
) -> None:
    base = str(stack.info["static_url"])
    own = {"Origin": base.rstrip("/")}
    async with session.put(base + "_local/faults", data=PLAN, headers=own) as answer:
        assert answer.status == 200
    assert len(stack.faults.described()["faults"]) == 1
    async with session.delete(base + "_local/faults") as answer:
        assert answer.status == 200
    assert stack.faults.described()["faults"] == []
    async with session.get(base + "_local/stack.json") as answer:
        assert answer.status == 200


@on_the_stack
@pytest.mark.parametrize("page", ATTACKS.values(), ids=ATTACKS.keys())
async def test_a_strangers_page_cannot_read_secrets_or_reset_the_services(
    stack: LocalStack, session: ClientSession, page: dict[str, str]
) -> None:
    endpoint = stack.info["aws_endpoint"]
    for query in ("", "?X-Amz-Signature=1", "?Signature=1"):
        for path in ("/moto-api/reset", "/_local/faults", "/"):
            async with session.post(f"{endpoint}{path}{query}", headers=page) as answer:
                assert (path, query, answer.status) == (path, query, 403)
    target = {
        "X-Amz-Target": "secretsmanager.ListSecrets",
        "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/secretsmanager/"
        "aws4_request, SignedHeaders=host, Signature=x",
    }
    for query in ("", "?X-Amz-Signature=1", "?Signature=1"):
        url, headers = f"{endpoint}/{query}", {**target, **page}
        async with session.post(url, headers=headers, data="{}") as answer:
            assert (query, answer.status) == (query, 403)
    secrets = boto3.client(
        "secretsmanager",
        endpoint_url=endpoint,
        region_name="us-east-1",
        **own_key(stack.info),
    )
    assert "SecretList" in await asyncio.to_thread(secrets.list_secrets), "who has a key, may"
