"""A webhook's request."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from parley.tools.call_context import outside_key
from parley.tools.kinds.webhook import build_tool
from tests.unit.tool_calls import (
    KEY,
    OTHER_SECRET,
    SECRET,
    failed,
    invocation,
    tool_context,
    tool_spec,
)
from tests.unit.webhook_receiver import Received, Receiver, json_answer, receiving

DOCS = Path(__file__).parents[3] / "docs" / "tools.md"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that is content with everything."""
    async with receiving(json_answer({"number": 7})) as found:
        yield found


async def send(receiver: Receiver, path: str = "/tables", **options: Any) -> Received:
    """What arrives of a call."""
    spec = tool_spec("http", f"http://{receiver.host}{path}", options=options)
    tool = build_tool(spec, tool_context(private_hosts=[receiver.host]))
    answer = await tool.call(invocation(order="A-1", people=2))
    assert answer.value == {"number": 7}
    return receiver.requests[-1]


def read_call_of_the_docs() -> Callable[[str, Mapping[str, str], bytes], dict[str, str]]:
    """`verify.py`, as readers copy it."""
    block = next(
        each
        for each in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
        if "def read_call(" in each
    )
    names: dict[str, Any] = {}
    exec(block, names)
    found: Callable[[str, Mapping[str, str], bytes], dict[str, str]] = names["read_call"]
    return found


read_call = read_call_of_the_docs()


async def test_a_request_verifies_as_the_docs_verify_it(receiver: Receiver) -> None:
    sent = await send(receiver)
    assert (sent.method, sent.target) == ("POST", "/tables")
    assert sent.arguments == {"order": "A-1", "people": 2}
    call = read_call(SECRET, sent.headers, sent.body)
    deadline_ms = int(call.pop("deadline_ms"))
    assert deadline_ms > int(sent.headers["webhook-timestamp"]) * 1000
    assert call == {
        "tool": "book",
        "key": outside_key(KEY),
        "session": "5e55",
        "turn_id": "turn-1",
        "attempt": "2",
        "language": "de",
        "metadata": '{"customer": "Zo\\u00eb"}',
    }
    assert sent.headers["webhook-id"] == sent.headers["idempotency-key"] == outside_key(KEY)


@pytest.mark.parametrize(
    "forged",
    [
        {"body": b'{"order": "A-2", "people": 2}'},
        {"webhook-id": "call_other"},
        {"webhook-timestamp": "1614265330"},
        {"x-parley-context": base64.b64encode(b'{"metadata": "{}"}').decode()},
    ],
    ids=lambda forged: next(iter(forged)),
)
async def test_a_signature_fits_nothing_else(
    receiver: Receiver, forged: dict[str, str | bytes]
) -> None:
    sent = await send(receiver)
    headers = sent.headers | {name: str(each) for name, each in forged.items() if name != "body"}
    body = forged.get("body", sent.body)
    assert isinstance(body, bytes)
    with pytest.raises(ValueError, match=r"not signed|too old"):
        read_call(SECRET, headers, body)
    with pytest.raises(ValueError, match="not signed"):
        read_call(OTHER_SECRET, sent.headers, sent.body)


async def test_the_signature_of_a_context_is_none_of_a_body(receiver: Receiver) -> None:
    sent = await send(receiver)
    signature = sent.headers["x-parley-context-signature"]
    with pytest.raises(ValueError, match="not signed"):
        read_call(
            SECRET,
            sent.headers | {"webhook-signature": signature},
            sent.headers["x-parley-context"].encode(),
        )


async def test_arguments_fill_the_address_and_the_rest_of_a_get_is_its_query(
    receiver: Receiver,
) -> None:
    sent = await send(receiver, "/orders/{order}?v=1", method="GET")
    assert (sent.method, sent.target, sent.body) == ("GET", "/orders/A-1?v=1&people=2", b"")
    assert read_call(SECRET, sent.headers, b"")["tool"] == "book"


async def test_a_bearer_token_takes_the_place_of_signatures(receiver: Receiver) -> None:
    sent = await send(receiver, auth="bearer", headers={"X-Api-Version": "2", "user-agent": "us"})
    assert sent.headers["authorization"] == f"Bearer {SECRET}"
    assert (sent.headers["x-api-version"], sent.headers["user-agent"]) == ("2", "us")
    assert not [name for name in sent.headers if "signature" in name]


async def test_nothing_of_the_environment_is_in_a_request(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert set((await send(receiver)).headers) == {
        *("host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"),
        *("idempotency-key", "webhook-id", "webhook-timestamp", "webhook-signature"),
        *("x-parley-context", "x-parley-context-signature"),
    }


async def test_no_value_breaks_a_header(receiver: Receiver) -> None:
    spec = tool_spec("http", f"http://{receiver.host}/", options={"auth": "bearer"})
    context = tool_context({"key": "abc\r\nX-Injected: 1"}, [receiver.host])
    error = await failed(build_tool(spec, context), invocation())
    assert (error.reason, error.acted) == ("refused", False)
    assert error.log_fields["cause"] == "bad_secret"
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("secret", "cause"), [("", "no_secret"), ("not of the form", "bad_secret")]
)
async def test_without_a_good_secret_nothing_is_sent(
    receiver: Receiver, secret: str, cause: str
) -> None:
    spec = tool_spec("http", f"http://{receiver.host}/")
    tool = build_tool(spec, tool_context({"key": secret}, [receiver.host]))
    error = await failed(tool, invocation())
    assert (error.reason, error.acted, error.log_fields["cause"]) == ("refused", False, cause)
    assert secret not in json.dumps(error.log_fields) or not secret
    assert receiver.requests == []


async def test_secrets_that_cannot_be_read_are_no_reason_to_send_anything(
    receiver: Receiver,
) -> None:
    def unreadable() -> str:
        raise OSError("no Secrets Manager")

    spec = tool_spec("http", f"http://{receiver.host}/")
    error = await failed(build_tool(spec, tool_context(unreadable, [receiver.host])), invocation())
    assert (error.reason, error.acted) == ("unavailable", False)
    assert receiver.requests == []


async def test_an_argument_that_cannot_be_in_an_address_is_told_to_the_model(
    receiver: Receiver,
) -> None:
    spec = tool_spec("http", f"http://{receiver.host}/{{order}}")
    tool = build_tool(spec, tool_context(private_hosts=[receiver.host]))
    error = await failed(tool, invocation(order=".."))
    assert (error.reason, error.acted) == ("refused", False)
    assert "cannot be part of an address" in error.told
