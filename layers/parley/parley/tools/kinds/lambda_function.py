"""A tool that is a Lambda function.

Its event is the bare arguments, and the rest is in the client context: the convention of Amazon
Bedrock AgentCore Gateway, whose functions work unchanged.
"""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from parley.aws import clients
from parley.tools.answers import MAX_ANSWER_BYTES, answer_of
from parley.tools.call_context import call_context, encode_arguments, encode_within, outside_key
from parley.tools.kinds import bedrock_agent
from parley.tools.kinds.lambda_failures import NeverRan, failure_of, failure_of_function
from parley.tools.registry import ToolContext
from parley.tools.tool import Answer, Invocation, Tool, ToolFailed, ToolSpec

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

MAX_CONTEXT_CHARS = 3_583
"""Of a client context in base64 (Lambda's API reference, Invoke)."""
MARGIN_S = 0.1
"""How much earlier than the turn a call gives up: it alone knows whether anything ran."""
PAUSES_S = (0.1, 0.3, 0.9)
"""Before each further invocation, of a function that has not begun."""
MAX_THREADS = 16


def build_tool(spec: ToolSpec, context: ToolContext) -> Tool:
    """Build what runs a Lambda function. Options: `format`, `durable`."""
    function = spec.target
    if not function.startswith("arn:"):
        function = f"{context.stack}-tool-{function}"
    return LambdaFunction(spec, function)


class LambdaFunction:
    """Runs calls of one function.

    Args:
        function: its name or ARN, with a qualifier or without.
    """

    def __init__(self, spec: ToolSpec, function: str) -> None:
        self._spec = spec
        self._durable = bool(spec.options["durable"])
        self._is_agents = spec.options["format"] == "bedrock-agent"
        # A durable execution is of one version.
        qualified = function.split(":function:")[-1].count(":") == 1
        self._function = function if qualified or not self._durable else f"{function}:$LATEST"
        self._lock = threading.Lock()
        self._client: LambdaClient | None = None

    async def call(self, invocation: Invocation) -> Answer:
        """Invoke it, again as long as it has not begun; see `Tool`.

        Raises:
            ToolFailed: it gave no result.
        """
        failure = ToolFailed("unavailable", acted=False)
        begun = False
        request = self._request(invocation)
        try:
            async with asyncio.timeout(invocation.timeout_s - MARGIN_S):
                for pause_s in (*PAUSES_S, None):
                    try:
                        begun = True
                        return self._read(await _in_thread(self._invoke, request))
                    except NeverRan as error:
                        failure, begun = error, False
                    if pause_s is not None:
                        await asyncio.sleep(pause_s)
        except TimeoutError:
            if begun:
                failure = ToolFailed("timeout", acted=True)
        raise failure from None

    def _request(self, invocation: Invocation) -> dict[str, Any]:
        """Return the arguments of `Invoke`."""
        context = call_context(self._spec.name, invocation)
        payload = encode_arguments(invocation.arguments)
        if self._is_agents:
            payload = json.dumps(bedrock_agent.make_event(self._spec, invocation, context)).encode()
        request: dict[str, Any] = {
            "FunctionName": self._function,
            "InvocationType": "RequestResponse",
            "Payload": payload,
            "ClientContext": encode_within(
                MAX_CONTEXT_CHARS, context | _as_gateway(context), under="custom"
            ),
        }
        if self._durable:
            request["DurableExecutionName"] = outside_key(invocation.key)
        return request

    def _invoke(self, request: dict[str, Any]) -> bytes:
        """Invoke the function; return the JSON that it answers."""
        try:
            response = self._open_client().invoke(**request)
            payload = response["Payload"].read(MAX_ANSWER_BYTES + 1)
        except (BotoCoreError, ClientError) as error:
            raise failure_of(error, self._function) from None
        if response.get("FunctionError"):
            raise failure_of_function(payload)
        if len(payload) > MAX_ANSWER_BYTES:
            response["Payload"].close()
            raise ToolFailed("too_large", acted=True)
        return payload

    def _open_client(self) -> LambdaClient:
        with self._lock:
            if self._client is None:
                self._client = clients.tool_lambda(self._spec.timeout_s)
            return self._client

    def _read(self, payload: bytes) -> Answer:
        try:
            value = json.loads(payload) if payload else None
        except (ValueError, RecursionError):
            fields = {"cause": "unreadable_answer"}
            raise ToolFailed("unavailable", acted=True, log_fields=fields) from None
        return answer_of(bedrock_agent.read_answer(value) if self._is_agents else value)


def _as_gateway(context: dict[str, str]) -> dict[str, str]:
    """Return what AgentCore Gateway tells a function.

    A tool's name has its target's before it there, and functions cut it off at `___`.
    """
    return {
        "bedrockAgentCoreToolName": f"parley___{context['tool']}",
        "bedrockAgentCoreMessageVersion": "1.0",
        "bedrockAgentCoreAwsRequestId": context["key"],
        "bedrockAgentCoreMcpMessageId": context["key"],
        "bedrockAgentCoreGatewayId": "parley",
        "bedrockAgentCoreTargetId": "parley",
    }


async def _in_thread(work: Any, *arguments: Any) -> Any:
    # Not in the loop's own threads: a tool of a minute would keep the turn's writes waiting.
    return await asyncio.get_running_loop().run_in_executor(_threads(), work, *arguments)


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="tool")
