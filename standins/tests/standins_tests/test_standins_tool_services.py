"""The services behind tools: webhooks, MCP, and the ledger of what they did."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from parley_standins.__main__ import serve_app
from parley_standins.tool_runs import ToolOddities
from parley_standins.vendors import build_app
from standins_tests.conftest import KEY

TABLE = {"people": 2, "time": "20:00", "nonce": "n-1"}
ORDER = {"order": "A-123", "nonce": "n-2"}
MODERN, LEGACY = "2026-07-28", "2025-11-25"
ACCEPT = "application/json, text/event-stream"
META = "io.modelcontextprotocol/"


class Services:
    """Both services and their control API."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self.http = http
        self.secret = ToolOddities().secret

    async def put(self, **settings: Any) -> None:
        (await self.http.put(f"{self.url}/_control", json=settings)).raise_for_status()

    async def ledger(self) -> dict[str, Any]:
        return dict((await self.http.get(f"{self.url}/_control/ledger")).json())

    async def counted(self, nonce: str) -> tuple[int, int]:
        """The runs and effects of a sentence."""
        counts = (await self.ledger())["sentences"][nonce]
        return counts["runs"], counts["effects"]

    async def hook(
        self, name: str, arguments: Any, key: str = "call_1", **headers: str
    ) -> httpx.Response:
        body = json.dumps(arguments).encode()
        at = headers.get("webhook_timestamp", str(int(time.time())))
        signing = base64.b64decode(self.secret.removeprefix("whsec_"))
        signed = hmac.new(signing, f"{key}.{at}.".encode() + body, hashlib.sha256).digest()
        given = {
            "webhook-id": key,
            "webhook-timestamp": at,
            "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
            "Idempotency-Key": key,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return await self.http.post(f"{self.url}/tools/{name}", content=body, headers=given)

    async def rpc(
        self, method: str, params: dict[str, Any], headers: dict[str, str], **message: Any
    ) -> httpx.Response:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, **message}
        headers = {"Accept": ACCEPT, **headers}
        return await self.http.post(f"{self.url}/mcp", json=body, headers=headers)

    async def modern(self, method: str, headers: Any = (), **params: Any) -> httpx.Response:
        meta = {f"{META}protocolVersion": MODERN, f"{META}clientCapabilities": {}}
        params["_meta"] = {**meta, **params.get("_meta", {})}
        own = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
        if "name" in params:
            own["Mcp-Name"] = params["name"]
        return await self.rpc(method, params, {**own, **dict(headers)})


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    app = build_app("tools", KEY, None)  # type: ignore[arg-type] # it has neither voice nor ear
    async with serve_app(app, "127.0.0.1", 0) as url, httpx.AsyncClient() as http:
        yield Services(url, http)


async def test_a_signed_webhook_runs_a_tool_and_is_counted(services: Services) -> None:
    answer = await services.hook("book_table", TABLE)
    assert answer.json() == {"number": 4711, "people": 2, "time": "20:00"}
    await services.hook("order_status", ORDER, "call_2")
    counts = {"runs": 1, "effects": 1, "tools": {"book_table": 1}}
    looked = {"runs": 1, "effects": 0, "tools": {"order_status": 1}}
    assert await services.ledger() == {
        "sentences": {"n-1": counts, "n-2": looked},
        "keys": {"call_1": counts, "call_2": looked},
        "effects": 1,
    }
    await services.http.delete(f"{services.url}/_control/ledger")
    assert (await services.ledger())["sentences"] == {}


async def test_a_write_that_is_sent_twice_is_seen_under_one_key_and_under_two(
    services: Services,
) -> None:
    for key in ("call_1", "call_1", "call_2"):
        await services.hook("book_table", TABLE, key)
    assert await services.counted("n-1") == (3, 3)
    assert (await services.ledger())["keys"]["call_1"]["effects"] == 2


async def test_an_idempotent_tool_does_nothing_twice_for_a_key(services: Services) -> None:
    answers = [(await services.hook("cancel_order", ORDER)).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert await services.counted("n-2") == (2, 1)
    await services.put(oddities={"dedups": False})
    await services.hook("cancel_order", ORDER)
    assert await services.counted("n-2") == (3, 2)


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook_signature": "v1,AAAA"},
        {"webhook_signature": ""},
        {"webhook_timestamp": "1000000000"},
        {"webhook_timestamp": "now"},
        {"webhook_id": "call_2", "Idempotency_Key": "call_2"},
    ],
)
async def test_a_webhook_of_a_stranger_does_nothing(
    services: Services, headers: dict[str, str]
) -> None:
    assert (await services.hook("book_table", TABLE, **headers)).status_code == 401
    assert (await services.ledger())["effects"] == 0
    refusals = (await services.http.get(f"{services.url}/_refusals")).json()["refusals"]
    assert refusals == {"signature": 1}


async def test_the_secret_of_webhooks_can_be_set(services: Services) -> None:
    await services.put(oddities={"secret": "whsec_b3RoZXI="})
    assert (await services.hook("book_table", TABLE)).status_code == 401
    services.secret = "whsec_b3RoZXI="
    assert (await services.hook("book_table", TABLE)).status_code == 200


@pytest.mark.parametrize(
    ("name", "arguments", "status", "words"),
    [
        ("unknown", {}, 404, "no such tool"),
        ("book_table", {"people": 2}, 422, "time is missing"),
        ("book_table", {**TABLE, "people": "two"}, 422, "type integer"),
        ("book_table", {**TABLE, "people": 40}, 422, "no table for 40"),
        ("order_status", {"order": "X-1"}, 422, "no order X-1"),
        ("order_status", [], 400, "JSON object"),
    ],
)
async def test_a_wrong_call_has_no_effect_and_says_why(
    services: Services, name: str, arguments: Any, status: int, words: str
) -> None:
    answer = await services.hook(name, arguments)
    assert (answer.status_code, (await services.ledger())["effects"]) == (status, 0)
    assert words in answer.json()["error"]


@pytest.mark.parametrize(("when", "effects"), [("before", 0), ("after", 1)])
async def test_a_status_comes_before_or_after_the_effect(
    services: Services, when: str, effects: int
) -> None:
    await services.put(faults={"run": {"status": 500, "when": when}})
    assert (await services.hook("book_table", TABLE)).status_code == 500
    assert await services.counted("n-1") == (1, effects)


async def test_the_connection_is_cut_after_the_effect(services: Services) -> None:
    await services.put(faults={"run": {"cut": True}})
    with pytest.raises(httpx.TransportError):
        await services.hook("book_table", TABLE)
    assert await services.counted("n-1") == (1, 1)


async def test_a_tool_says_that_it_failed(services: Services) -> None:
    await services.put(faults={"run": {"says": "The kitchen is closed."}})
    answer = await services.hook("book_table", TABLE)
    assert (answer.status_code, answer.json()) == (422, {"error": "The kitchen is closed."})
    assert await services.counted("n-1") == (1, 0)


async def test_a_tool_takes_the_time_that_is_set(services: Services) -> None:
    await services.put(delays={"before_ms": 40, "after_ms": 40})
    began = time.monotonic()
    assert (await services.hook("book_table", TABLE)).status_code == 200
    assert time.monotonic() - began >= 0.08


async def test_mcp_without_a_session_lists_and_calls(services: Services) -> None:
    await services.put(oddities={"page_size": 2})
    first = (await services.modern("tools/list")).json()["result"]
    rest = (await services.modern("tools/list", cursor=first["nextCursor"])).json()["result"]
    names = [tool["name"] for page in (first, rest) for tool in page["tools"]]
    assert names == ["order_status", "book_table", "cancel_order"]
    assert (first["resultType"], "nextCursor" in rest) == ("complete", False)
    answer = await services.modern(
        "tools/call", name="book_table", arguments=TABLE, _meta={"x.y/idempotency-key": "call_9"}
    )
    result = answer.json()["result"]
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    assert (await services.ledger())["keys"]["call_9"]["effects"] == 1


async def test_mcp_tells_a_failed_call_by_a_flag(services: Services) -> None:
    for name in ("book_table", "unknown"):
        answer = await services.modern("tools/call", name=name, arguments={})
        assert (answer.status_code, answer.json()["result"]["isError"]) == (200, True)


@pytest.mark.parametrize(
    ("method", "headers", "status", "code"),
    [
        ("tools/list", {"Mcp-Method": "tools/call"}, 400, -32020),
        ("tools/list", {"MCP-Protocol-Version": "2027-01-01"}, 400, -32022),
        ("tools/list", {"Accept": "application/json"}, 406, -32600),
        ("prompts/list", {}, 404, -32601),
    ],
)
async def test_mcp_refuses_what_the_protocol_forbids(
    services: Services, method: str, headers: dict[str, str], status: int, code: int
) -> None:
    answer = await services.modern(method, headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_mcp_of_2025_has_a_session(services: Services) -> None:
    params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t"}}
    begun = await services.rpc("initialize", params, {})
    session = {
        "Mcp-Session-Id": begun.headers["Mcp-Session-Id"],
        "MCP-Protocol-Version": begun.json()["result"]["protocolVersion"],
    }
    await services.put(oddities={"events": True})
    call = {"name": "book_table", "arguments": TABLE}
    answer = await services.rpc("tools/call", call, session)
    (data,) = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert json.loads(data)["result"]["structuredContent"]["number"] == 4711
    await services.http.delete(f"{services.url}/mcp", headers=session)
    assert (await services.rpc("tools/call", call, session)).status_code == 404


async def test_a_server_of_2025_alone_names_its_version(services: Services) -> None:
    await services.put(oddities={"versions": [LEGACY]})
    answer = await services.modern("tools/list")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32022)
    assert answer.json()["error"]["data"]["supported"] == [LEGACY]


async def test_mcp_may_want_a_key(services: Services) -> None:
    await services.put(oddities={"mcp_key": True})
    assert (await services.modern("tools/list")).status_code == 401
    key = {"Authorization": f"Bearer {KEY}"}
    assert (await services.modern("tools/list", key)).status_code == 200


async def test_a_modern_call_whose_client_has_gone_has_no_effect(services: Services) -> None:
    await services.put(delays={"before_ms": 200})
    call = services.modern("tools/call", name="book_table", arguments=TABLE)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call, 0.1)
    # One that begins later and takes as long has acted: the first one would have, too.
    later = {**TABLE, "nonce": "n-3"}
    await services.modern("tools/call", name="book_table", arguments=later)
    assert await services.counted("n-3") == (1, 1)
    assert await services.counted("n-1") == (1, 0)
