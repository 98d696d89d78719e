"""The Runtime API of one environment, over real sockets: who may ask, and what is taken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from samwire.runtime.runtime_api import Invocation, RuntimeApi

EVENT = b'{"headers": {"Authorization": "Bearer secret"}}'
NEXT = "2018-06-01/runtime/invocation/next"
INVOCATION = Invocation("an-id", EVENT, 1, "arn", "trace")
ATTACKS: list[dict[str, str | None]] = [
    {"Host": "evil.test:80"},
    {"Host": None},
    {"Origin": "https://evil.test"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
]


class Asked:
    """A client of the API that sends what it is told to, byte for byte."""

    def __init__(self, api: RuntimeApi, address: str) -> None:
        self.api = api
        place, _, self.key = address.partition("/")
        self.host = place
        self.name, _, self.port = place.partition(":")

    async def ask(
        self, method: str, path: str, body: bytes = b"", **headers: str | None
    ) -> tuple[int, bytes]:
        """Status and body of the answer."""
        given = {"Host": self.host, "Content-Length": str(len(body)), **headers}
        lines = [f"{method} /{path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in given.items() if value is not None]
        reader, writer = await asyncio.open_connection(self.name, int(self.port))
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            return int(head.split()[1]), await reader.readexactly(length)
        finally:
            writer.close()

    async def own(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """As the environment's own process asks."""
        return await self.ask(method, f"{self.key}/{path}", body)

    def post(self, request_id: str, answer: str = "response") -> str:
        """Path of an answer."""
        return f"2018-06-01/runtime/invocation/{request_id}/{answer}"


@pytest_asyncio.fixture
async def asked() -> AsyncIterator[Asked]:
    api = RuntimeApi(lambda: None)
    yield Asked(api, await api.start())
    await api.close()


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
async def test_no_page_takes_or_forges_an_event(
    asked: Asked, attack: dict[str, str | None]
) -> None:
    running = asyncio.create_task(asked.api.invoke(INVOCATION))
    forged = asked.post(INVOCATION.request_id)
    for prefix in ("", f"{asked.key}/"):  # even with the key
        for method, path in (
            ("GET", NEXT),
            ("POST", NEXT),
            ("POST", forged),
            ("GET", forged),
            ("POST", "2018-06-01/runtime/init/error"),
        ):
            status, body = await asked.ask(method, prefix + path, b"forged", **attack)
            assert (path, status) == (path, 403)
            assert b"Bearer" not in body
    assert not running.done()
    assert asked.api.init_error is None
    assert await asked.own("GET", NEXT) == (200, EVENT), "it is still there"
    assert (await asked.own("POST", forged, b"{}"))[0] == 202
    assert (await running).payload == b"{}"


@pytest.mark.parametrize("key", ["", "/", "x/", "%00/", "é/", "2018-06-01/"])
async def test_without_the_key_there_is_nothing(asked: Asked, key: str) -> None:
    running = asyncio.create_task(asked.api.invoke(INVOCATION))
    assert (await asked.ask("GET", key + NEXT))[0] == 403
    assert (await asked.ask("POST", key + asked.post("an-id"), b"forged"))[0] == 403
    assert not running.done()
    running.cancel()


async def test_a_body_that_never_ends_is_not_waited_for_without_the_key(asked: Asked) -> None:
    async with asyncio.timeout(5):
        given: dict[str, str | None] = {"Content-Length": str(10**12)}
        assert (await asked.ask("POST", asked.post("an-id"), b"", **given))[0] == 403


async def test_only_the_id_that_runs_is_answered(asked: Asked) -> None:
    assert (await asked.own("POST", asked.post("an-id")))[0] == 403, "nothing runs"
    running = asyncio.create_task(asked.api.invoke(INVOCATION))
    await asyncio.sleep(0)
    assert (await asked.own("POST", asked.post("an-id")))[0] == 403, "it has not been taken"
    await asked.own("GET", NEXT)
    for wrong in ("another-id", "", "an-id/x", "AN-ID", "an-id%20", "é"):
        for answer in ("response", "error"):
            status, body = await asked.own("POST", asked.post(wrong, answer), b"forged")
            assert (wrong, status) in ((wrong, 400), (wrong, 404))
            assert status == 404 or json.loads(body)["errorType"] == "InvalidRequestID"
    assert not running.done()
    assert (await asked.own("POST", asked.post("an-id", "error"), b'{"errorType": "E"}'))[0] == 202
    assert (await running).error_type == "E"
    status, body = await asked.own("POST", asked.post("an-id"), b"a second answer")
    assert (status, json.loads(body)["errorType"]) == (403, "InvalidStateTransition")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", NEXT),
        ("PUT", NEXT),
        ("HEAD", NEXT),
        ("GET", "2018-06-01/runtime/invocation/an-id/response"),
        ("PUT", "2018-06-01/runtime/invocation/an-id/error"),
        ("GET", "2018-06-01/runtime/init/error"),
        ("POST", "2018-06-01/runtime/restore/next"),
    ],
)
async def test_methods_are_those_of_lambda(asked: Asked, method: str, path: str) -> None:
    running = asyncio.create_task(asked.api.invoke(INVOCATION))
    status, body = await asked.own(method, path)
    assert (status, json.loads(body)["errorType"]) == (405, "MethodNotAllowed")
    assert not running.done()
    running.cancel()


async def test_what_has_initialised_cannot_fail_to(asked: Asked) -> None:
    running = asyncio.create_task(asked.api.invoke(INVOCATION))
    await asked.own("GET", NEXT)
    assert (await asked.own("POST", "2018-06-01/runtime/init/error", b"{}"))[0] == 403
    assert asked.api.init_error is None
    running.cancel()
