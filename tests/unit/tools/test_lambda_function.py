"""A tool that is a Lambda function: real handlers, behind Invoke over HTTP, and botocore."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from awslambdaric.lambda_runtime_exception import FaultException

from parley.tools.call_context import outside_key
from parley.tools.kinds import lambda_function
from parley.tools.kinds.lambda_function import MAX_CONTEXT_CHARS, build_tool
from parley.tools.tool import CustomEvent, Tool
from tests.unit.invoke_api import Handler, InvokeApi, Refusal, invoke_api
from tests.unit.speech_server import closed_port
from tests.unit.tool_calls import KEY, failed, invocation, tool_context, tool_spec


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account, and no pauses between two invocations."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(lambda_function, "PAUSES_S", (0.0, 0.0, 0.0))


@contextlib.contextmanager
def function(
    monkeypatch: pytest.MonkeyPatch,
    *steps: Handler | Refusal | None,
    target: str = "order-status",
    **changed: Any,
) -> Iterator[tuple[Tool, InvokeApi]]:
    """A tool, and the API that it invokes."""
    with invoke_api(*steps) as api:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", api.url)
        tool = build_tool(tool_spec("lambda", target, **changed), tool_context())
        try:
            yield tool, api
        finally:
            client = getattr(tool, "_client", None)
            if client is not None:
                client.close()


async def test_a_function_gets_the_bare_arguments_and_the_rest_beside_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, Any] = {}

    def handler(event: Any, context: Any) -> Any:
        seen.update(context.client_context.custom)
        return {"echo": event}

    with function(monkeypatch, handler) as (tool, api):
        answer = await tool.call(invocation(order="A-1", people=2))
    assert answer.value == {"echo": {"order": "A-1", "people": 2}}
    assert api.invoked == ["shop-tool-order-status"]
    assert (seen["tool"], seen["key"], seen["session"]) == ("book", outside_key(KEY), "5e55")
    assert (seen["turn_id"], seen["attempt"], seen["language"]) == ("turn-1", "2", "de")
    assert json.loads(seen["metadata"]) == {"customer": "Zoë"}


async def test_a_function_of_agentcore_gateway_works_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def handler(event: Any, context: Any) -> Any:
        # As the samples of AgentCore Gateway have it: each of these is required.
        custom = context.client_context.custom
        for name in ("MessageVersion", "AwsRequestId", "McpMessageId", "GatewayId", "TargetId"):
            assert custom[f"bedrockAgentCore{name}"]
        whole = custom["bedrockAgentCoreToolName"]
        return {"tool": whole[whole.index("___") + 3 :]}

    with function(monkeypatch, handler) as (tool, _):
        assert (await tool.call(invocation())).value == {"tool": "book"}


async def test_a_context_is_never_longer_than_lambda_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with function(monkeypatch, lambda event, context: None) as (tool, api):
        for length in (100, 2_000, 9_000):
            call = replace(invocation(), metadata={"notes": length * "ä"})
            assert (await tool.call(call)).value is None
    lengths = [len(sent["x-amz-client-context"]) for sent in api.sent]
    assert max(lengths) <= MAX_CONTEXT_CHARS
    assert lengths[0] > lengths[1] == lengths[2]


async def test_a_result_may_have_events_for_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    result = {"n": 1, "parley_events": [{"name": "map", "data": 2}]}
    with function(monkeypatch, lambda event, context: result) as (tool, _):
        answer = await tool.call(invocation())
    assert (answer.value, answer.events) == ({"n": 1}, [CustomEvent("map", 2)])


# --- failures -----------------------------------------------------------------------------


def raises(error: Exception) -> Handler:
    """A handler that raises."""

    def handler(_event: Any, _context: Any) -> Any:
        raise error

    return handler


async def test_a_function_that_raises_is_known_by_the_type_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with function(monkeypatch, raises(ValueError("postgres://user:secret@db"))) as (tool, api):
        error = await failed(tool, invocation())
    assert (error.reason, error.acted, error.told) == ("unavailable", True, "")
    assert error.log_fields == {"cause": "function_error", "error_type": "ValueError"}
    assert len(api.invoked) == 1


@pytest.mark.parametrize(
    ("raised", "reason", "acted"),
    [
        (FaultException("Runtime.ImportModuleError", "no module"), "unavailable", False),
        (FaultException("Runtime.HandlerNotFound", "no handler"), "unavailable", False),
        (FaultException("Runtime.MarshalError", "a set"), "unavailable", True),
        (FaultException("Runtime.ExitError", "exit 1"), "unavailable", True),
        (FaultException("Sandbox.Timedout", "Task timed out after 3 s"), "timeout", True),
        (FaultException("an error's\ntype", ""), "unavailable", True),
    ],
    ids=lambda value: getattr(value, "exception_type", str(value)),
)
async def test_a_runtime_says_whether_the_handler_was_called(
    raised: FaultException, reason: str, acted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with function(monkeypatch, raises(raised)) as (tool, _):
        error = await failed(tool, invocation())
    assert (error.reason, error.acted) == (reason, acted)


@pytest.mark.parametrize(
    ("code", "status", "reason", "acted"),
    [
        ("ResourceNotFoundException", 404, "unavailable", False),
        ("AccessDeniedException", 403, "refused", False),
        ("InvalidRequestContentException", 400, "refused", False),
        ("RequestTooLargeException", 413, "refused", False),
        ("RecursiveInvocationException", 400, "refused", False),
        ("KMSDisabledException", 502, "unavailable", False),
        ("EFSMountTimeoutException", 408, "unavailable", False),
        ("DurableExecutionAlreadyStartedException", 409, "unavailable", True),
        ("ServiceException", 500, "unavailable", True),
        ("", 502, "unavailable", True),
    ],
)
async def test_an_error_of_lambda_says_whether_the_function_ran(
    code: str, status: int, reason: str, acted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with function(monkeypatch, Refusal(code, status)) as (tool, api):
        error = await failed(tool, invocation())
    assert (error.reason, error.acted) == (reason, acted)
    fields = {name: each for name, each in error.log_fields.items() if name != "advice"}
    assert fields == {"cause": code or "502", "status": status}
    assert len(api.invoked) == 1


@pytest.mark.parametrize(
    ("code", "status", "advice"),
    [
        ("ResourceNotFoundException", 404, "There is no function shop-tool-order-status"),
        ("AccessDeniedException", 403, "Turns may not invoke shop-tool-order-status"),
    ],
)
async def test_the_log_names_a_function_that_is_missing_or_not_permitted(
    code: str, status: int, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with function(monkeypatch, Refusal(code, status)) as (tool, _):
        error = await failed(tool, invocation())
    assert error.log_fields["advice"].startswith(advice)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("TooManyRequestsException", 429),
        ("EC2ThrottledException", 502),
        ("ENINotReadyException", 502),
        ("ResourceConflictException", 409),
    ],
)
async def test_a_function_that_has_not_begun_is_invoked_again(
    code: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = Refusal(code, status)
    steps = (refusal, refusal, lambda event, context: "done")
    with function(monkeypatch, *steps, effect="write") as (tool, api):
        assert (await tool.call(invocation())).value == "done"
    assert len(api.invoked) == 3


async def test_a_function_that_stays_throttled_has_not_acted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with function(monkeypatch, Refusal("TooManyRequestsException", 429)) as (tool, api):
        error = await failed(tool, invocation())
    assert (error.reason, error.acted, len(api.invoked)) == ("unavailable", False, 4)


async def test_an_invocation_that_breaks_may_have_acted_and_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with function(monkeypatch, None) as (tool, api):
        error = await failed(tool, invocation())
    assert (error.reason, error.acted, len(api.invoked)) == ("unavailable", True, 1)


async def test_where_nobody_listens_nothing_has_acted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{closed_port()}")
    tool = build_tool(tool_spec("lambda", "order-status"), tool_context())
    error = await failed(tool, invocation())
    assert (error.reason, error.acted) == ("unavailable", False)
    assert error.log_fields == {"cause": "EndpointConnectionError"}


async def test_a_function_that_is_too_slow_may_have_acted_and_is_invoked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()
    with function(monkeypatch, lambda event, context: over.wait(10)) as (tool, api):
        error = await failed(tool, invocation(timeout_s=0.3))
        over.set()
        assert (error.reason, error.acted, len(api.invoked)) == ("timeout", True, 1)


async def test_botocore_s_own_timeout_invokes_nothing_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()
    spec: dict[str, Any] = {"timeout_s": -0.9}  # the client reads for a second longer
    with function(monkeypatch, lambda event, context: over.wait(10), **spec) as (tool, api):
        error = await failed(tool, invocation(timeout_s=5))
        over.set()
        assert (error.reason, error.acted, len(api.invoked)) == ("timeout", True, 1)
    assert error.log_fields == {"cause": "ReadTimeoutError"}


async def test_a_result_that_is_too_large_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with function(monkeypatch, lambda event, context: 70_000 * "x") as (tool, _):
        error = await failed(tool, invocation())
    assert (error.reason, error.acted) == ("too_large", True)


async def test_a_result_that_is_no_json_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with function(monkeypatch, lambda event, context: b"<html>") as (tool, _):
        error = await failed(tool, invocation())
    assert error.log_fields == {"cause": "unreadable_answer"}


# --- which function -----------------------------------------------------------------------

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:bookings"


@pytest.mark.parametrize(
    ("target", "durable", "invoked"),
    [
        ("order-status", False, "shop-tool-order-status"),
        ("order-status:live", False, "shop-tool-order-status:live"),
        ("order-status:live", True, "shop-tool-order-status:live"),
        ("order-status", True, "shop-tool-order-status:$LATEST"),
        (ARN, False, ARN),
        (ARN, True, f"{ARN}:$LATEST"),
        (f"{ARN}:7", True, f"{ARN}:7"),
    ],
)
async def test_a_durable_function_is_invoked_by_the_key_and_a_version(
    target: str, durable: bool, invoked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"durable": durable}
    with function(monkeypatch, lambda event, context: 1, target=target, options=options) as (
        tool,
        api,
    ):
        await tool.call(invocation())
        await tool.call(replace(invocation(), attempt=3))
    assert api.invoked == [invoked, invoked]
    names = {sent.get("x-amz-durable-execution-name") for sent in api.sent}
    assert names == ({outside_key(KEY)} if durable else {None})
    assert re.fullmatch("[A-Za-z0-9_-]{1,64}", outside_key(KEY))
