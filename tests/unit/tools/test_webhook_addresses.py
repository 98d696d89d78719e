"""What a webhook's host leads to. Only the answers of DNS are made up."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator

import pytest
import trustme

from parley.aio.authorities import find_authorities
from parley.tools import guarded_network
from parley.tools.kinds.webhook import build_tool
from tests.unit.tool_calls import failed, invocation, tool_context, tool_spec
from tests.unit.webhook_receiver import Receiver, json_answer, receiving

NAME = "hooks.shop.example"


class Names:
    """DNS: the next answer to each question."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = iter(answers)
        self.asked: list[str] = []

    async def look_up(self, host: str, _port: int) -> list[str]:
        self.asked.append(host)
        return next(self.answers)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Whom the tools trust."""
    return trustme.CA()


@pytest.fixture(autouse=True)
def trusted(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the tools trust it alone, as an environment that names it does."""
    with authority.cert_pem.tempfile() as path:
        monkeypatch.setenv("SSL_CERT_FILE", path)
        find_authorities.cache_clear()
        yield
    find_authorities.cache_clear()


def tls(authority: trustme.CA, name: str, seen: list[str | None] | None = None) -> ssl.SSLContext:
    """A server's TLS under a name; it notes the names that it is asked for."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    if seen is not None:
        context.sni_callback = lambda _socket, asked, _context: seen.append(asked)
    return context


@pytest.fixture
async def receiver(authority: trustme.CA) -> AsyncIterator[Receiver]:
    """A webhook with TLS."""
    async with receiving(json_answer({"ok": 1}), tls=tls(authority, NAME)) as found:
        yield found


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "169.254.169.254", "fd00::1"]
)
async def test_a_private_address_is_asked_nothing(
    receiver: Receiver, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(["203.0.114.1", address])
    monkeypatch.setattr(guarded_network, "look_up", names.look_up)
    spec = tool_spec("http", f"https://{NAME}:{receiver.port}/", options={"secret": "key"})
    error = await failed(build_tool(spec, tool_context()), invocation())
    assert (error.reason, error.acted) == ("refused", False)
    assert error.log_fields == {"host": NAME, "cause": "private_address"}
    assert (receiver.requests, names.asked) == ([], [NAME])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "[::1]"])
async def test_a_host_that_is_an_address_is_looked_at_likewise(
    receiver: Receiver, host: str
) -> None:
    spec = tool_spec("http", f"https://{host}:{receiver.port}/", options={"secret": "key"})
    error = await failed(build_tool(spec, tool_context()), invocation())
    assert (error.reason, error.acted) == ("refused", False)


async def test_the_address_that_was_checked_is_connected_to_and_the_name_is_kept(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []
    async with receiving(json_answer(1), tls=tls(authority, NAME, asked)) as receiver:
        names = Names(["127.0.0.1"])  # a second question would fail
        monkeypatch.setattr(guarded_network, "look_up", names.look_up)
        monkeypatch.setattr(guarded_network, "is_public", lambda address: address == "127.0.0.1")
        spec = tool_spec("http", f"https://{NAME}:{receiver.port}/", options={"secret": "key"})
        assert (await build_tool(spec, tool_context()).call(invocation())).value == 1
    assert asked == [NAME]
    assert receiver.requests[0].headers["host"] == f"{NAME}:{receiver.port}"
    assert names.asked == [NAME]


async def test_the_next_address_is_tried_where_nobody_listens(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_network, "look_up", Names(["127.0.0.2", "127.0.0.1"]).look_up)
    spec = tool_spec("http", f"https://{NAME}:{receiver.port}/", options={"secret": "key"})
    tool = build_tool(spec, tool_context(private_hosts=[NAME]))
    assert (await tool.call(invocation())).value == {"ok": 1}


async def test_a_certificate_of_another_name_is_told_nothing(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tls(authority, "elsewhere.example")
    async with receiving(json_answer(1), tls=other) as receiver:
        monkeypatch.setattr(guarded_network, "look_up", Names(*3 * [["127.0.0.1"]]).look_up)
        spec = tool_spec("http", f"https://{NAME}:{receiver.port}/", options={"secret": "key"})
        error = await failed(build_tool(spec, tool_context(private_hosts=[NAME])), invocation())
        assert receiver.requests == []
    assert (error.reason, error.acted) == ("unavailable", False)


async def test_a_host_without_an_address_has_been_told_nothing() -> None:
    spec = tool_spec("http", "https://no-such-host.invalid/", options={"secret": "key"})
    error = await failed(build_tool(spec, tool_context()), invocation())
    assert (error.reason, error.acted) == ("unavailable", False)
