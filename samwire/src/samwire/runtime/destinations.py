"""Where asynchronous invocations end: destinations and dead-letter targets.

See "Capturing records of Lambda asynchronous invocations" and "Adding a dead-letter queue".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import boto3
from botocore.config import Config

from samwire.runtime.call import Result
from samwire.runtime.platform_log import timestamp
from samwire.runtime.retry_policy import Condition

MAX_ERROR_BYTES = 1024
"""How much of an error a dead letter carries."""


@dataclass(frozen=True, slots=True)
class Settled:
    """An event that has left the queue.

    Attributes:
        arn: of the function with the qualifier that was invoked.
        attempts: how often the function was run or throttled.
        result: of the last run; None if it never ran.
    """

    request_id: str
    arn: str
    version: str
    event: bytes
    condition: Condition
    attempts: int
    result: Result | None

    def record(self) -> dict[str, Any]:
        """Return what a destination receives."""
        found: dict[str, Any] = {
            "version": "1.0",
            "timestamp": timestamp(),
            "requestContext": {
                "requestId": self.request_id,
                "functionArn": self.arn,
                "condition": str(self.condition),
                "approximateInvokeCount": self.attempts,
            },
            "requestPayload": json.loads(self.event),
        }
        if self.result is not None:
            context: dict[str, Any] = {"statusCode": 200, "executedVersion": self.version}
            if self.result.error:
                context["functionError"] = "Unhandled"
            found["responseContext"] = context
            found["responsePayload"] = _json(self.result.payload)
        return found

    def dead_letter_attributes(self) -> dict[str, dict[str, str]]:
        """Return the message attributes of a dead letter; its body is the event."""
        status, message = 429, "Rate Exceeded."
        if self.result is not None:
            status, message = 200, _message(self.result)
        message = message.encode()[:MAX_ERROR_BYTES].decode(errors="ignore")
        return {
            "RequestID": {"DataType": "String", "StringValue": self.request_id},
            "ErrorCode": {"DataType": "Number", "StringValue": str(status)},
            "ErrorMessage": {"DataType": "String", "StringValue": message or "-"},
        }


class Sender(Protocol):
    """Sends a body to an ARN."""

    async def __call__(
        self, arn: str, body: str, attributes: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Send it.

        Raises:
            Exception: it could not be sent; the message says why.
        """


class AwsSender:
    """Sends to SQS and SNS with boto3, and to functions of the stack.

    Args:
        endpoints: credentials and endpoints, as functions get them.
        invoke: invokes a function asynchronously.
    """

    def __init__(
        self, endpoints: Mapping[str, str], invoke: Callable[[str, bytes], object]
    ) -> None:
        self._endpoints = endpoints
        self._invoke = invoke
        self._clients: dict[str, Any] = {}

    async def __call__(
        self, arn: str, body: str, attributes: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Send a body to a queue, a topic or a function; others were named at the start."""
        service = arn.split(":")[2]
        if service == "lambda":
            self._invoke(arn, body.encode())
        elif service == "sns":
            await asyncio.to_thread(
                self._client("sns").publish,
                TopicArn=arn,
                Message=body,
                MessageAttributes=attributes,
            )
        elif service == "sqs":
            await asyncio.to_thread(self._send_to_queue, arn, body, attributes)

    def _send_to_queue(
        self, arn: str, body: str, attributes: Mapping[str, Mapping[str, str]]
    ) -> None:
        client = self._client("sqs")
        account, name = arn.split(":")[4:6]
        url = client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        client.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            given = self._endpoints
            endpoint = given.get(f"AWS_ENDPOINT_URL_{service.upper()}", given["AWS_ENDPOINT_URL"])
            self._clients[service] = boto3.client(
                service,  # type: ignore[call-overload]  # the stubs want a literal
                endpoint_url=endpoint,
                region_name=given["AWS_REGION"],
                aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
                aws_session_token=given.get("AWS_SESSION_TOKEN"),
                config=Config(retries={"total_max_attempts": 2}),
            )
        return self._clients[service]


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")


def _message(result: Result) -> str:
    found = _json(result.payload)
    return str(found.get("errorMessage", "")) if isinstance(found, dict) else str(found)
