"""The Invoke API and asynchronous invocation, through boto3 and moto's queues and topics."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from samwire_tests.app_stack import running_app
from samwire_tests.conftest import eventually
from samwire_tests.own_key import own_key

TEMPLATE = Path(__file__).parents[1] / "fixtures" / "events" / "template.yaml"
ACCOUNT = "arn:aws:{}:us-east-1:123456789012:{}"


@dataclass
class Events:
    """The running application."""

    info: dict[str, Any]
    log: Path

    def client(self, service: str) -> Any:
        """A boto3 client of the stack's services; it tries once."""
        endpoint = self.info["lambda_endpoint" if service == "lambda" else "aws_endpoint"]
        return boto3.client(
            service,  # type: ignore[call-overload]  # the stubs want a literal
            endpoint_url=endpoint,
            region_name="us-east-1",
            **own_key(self.info),
            config=Config(retries={"total_max_attempts": 1}),
        )

    def invoke(self, reference: str, event: object, **more: Any) -> Any:
        """Invoke by name and qualifier."""
        client = self.client("lambda")
        return client.invoke(FunctionName=f"local-{reference}", Payload=json.dumps(event), **more)

    def later(self, reference: str, **event: Any) -> str:
        """Invoke asynchronously; the request id."""
        answer = self.invoke(reference, event, InvocationType="Event")
        assert answer["StatusCode"] == 202
        return str(answer["ResponseMetadata"]["RequestId"])

    def printed(self, request_id: str) -> int:
        """How often a function has printed an event with a request id."""
        return self.log.read_text().count(f"EVENT {request_id} ")

    def queue(self, name: str) -> str:
        """The URL of a queue, which is made if it is not there."""
        return str(self.client("sqs").create_queue(QueueName=name)["QueueUrl"])

    def received(self, queue: str, request_id: str) -> dict[str, Any]:
        """The message in a queue that speaks of an invocation; others are dropped."""
        client, found = self.client("sqs"), []

        def look() -> bool:
            answer = client.receive_message(
                QueueUrl=queue, MessageAttributeNames=["All"], MaxNumberOfMessages=10
            )
            for message in answer.get("Messages", []):
                client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                if request_id in json.dumps(message):
                    found.append(message)
            return bool(found)

        eventually(look)
        return dict(found[0])


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Events]:
    folder = tmp_path_factory.mktemp("events")
    with running_app(TEMPLATE, folder, "--retry-delay", "0.1") as app:
        yield Events(app.info, app.log)


# --- the request ------------------------------------------------------------------------------


def test_the_tail_of_the_log_is_returned_on_request(events: Events) -> None:
    answer = events.invoke("Listener", {"name": "x" * 5000}, LogType="Tail")
    log = base64.b64decode(answer["LogResult"]).decode()
    assert len(log) == 4096
    assert f"END RequestId: {answer['ResponseMetadata']['RequestId']}\nREPORT" in log
    assert "LogResult" not in events.invoke("Listener", {})


def test_the_client_context_reaches_the_handler(events: Events) -> None:
    context = base64.b64encode(json.dumps({"custom": {"colour": "green"}}).encode()).decode()
    answer = events.invoke("Listener", {}, ClientContext=context)
    assert json.loads(answer["Payload"].read())["custom"] == {"colour": "green"}


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        (
            {"InvocationType": "Event", "Payload": json.dumps("x" * 1024 * 1024)},
            "RequestTooLargeException",
            "1048578 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
        ),
        (
            {"Payload": json.dumps("x" * 6 * 1024 * 1024)},
            "RequestTooLargeException",
            "too large for the RequestResponse invocation type (limit 6291456 bytes)",
        ),
        ({"Payload": "{no json"}, "InvalidRequestContentException", "Could not parse"),
        ({"InvocationType": "Sometimes"}, "InvalidParameterValueException", "Sometimes is none of"),
        ({"ClientContext": "bm8ganNvbg=="}, "InvalidRequestContentException", "Client context"),
        (
            {"FunctionName": "local-Told:live", "Qualifier": "1"},
            "InvalidParameterValueException",
            "derived qualifier",
        ),
    ],
)
def test_what_the_api_does_not_take_is_refused_as_by_lambda(
    events: Events, more: dict[str, Any], code: str, sentence: str
) -> None:
    with pytest.raises(ClientError) as refused:
        events.client("lambda").invoke(**{"FunctionName": "local-Listener", **more})
    assert refused.value.response["Error"]["Code"] == code
    assert sentence in refused.value.response["Error"]["Message"]


def test_an_event_of_a_megabyte_is_taken(events: Events) -> None:
    payload = {"name": "x" * (1024 * 1024 - 100)}
    assert events.invoke("Listener", payload, InvocationType="Event")["StatusCode"] == 202


def test_a_throttled_call_is_the_exception_that_boto3_knows(events: Events) -> None:
    client = events.client("lambda")
    with pytest.raises(client.exceptions.TooManyRequestsException) as refused:
        client.invoke(FunctionName="local-Closed", Payload=b"{}")
    response = refused.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert response["Error"]["Message"] == "Rate Exceeded."


def test_a_function_with_structured_logs_gets_the_platforms_lines_as_json(events: Events) -> None:
    answer = events.invoke("Structured", {}, LogType="Tail")
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    start, report = json.loads(lines[0]), json.loads(lines[-1])
    assert (start["type"], report["type"]) == ("platform.start", "platform.report")
    assert report["record"]["requestId"] == answer["ResponseMetadata"]["RequestId"]
    assert report["record"]["status"] == "success"
    assert report["record"]["metrics"]["memorySizeMB"] == 128


# --- asynchronous invocation ------------------------------------------------------------------


def test_all_attempts_of_an_event_share_the_request_id_that_was_answered(events: Events) -> None:
    request_id = events.later("Told:live", fail=True)
    eventually(lambda: events.printed(request_id) == 2)


def test_a_success_is_told_to_its_destination(events: Events) -> None:
    queue = events.queue("successes")
    request_id = events.later("Told:live", name="cat")
    record = json.loads(events.received(queue, request_id)["Body"])
    assert record["version"] == "1.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["timestamp"])
    assert record["requestContext"] == {
        "requestId": request_id,
        "functionArn": ACCOUNT.format("lambda", "function:local-Told:live"),
        "condition": "Success",
        "approximateInvokeCount": 1,
    }
    assert record["requestPayload"] == {"name": "cat"}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "1"}
    assert record["responsePayload"] == {"did": "cat", "custom": None}


def test_a_failure_is_told_to_a_topic_after_its_retries(events: Events) -> None:
    queue = events.queue("failures")
    topic = events.client("sns").create_topic(Name="failures")["TopicArn"]
    events.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=ACCOUNT.format("sqs", "failures")
    )
    request_id = events.later("Told:live", fail=True)
    record = json.loads(json.loads(events.received(queue, request_id)["Body"])["Message"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["responsePayload"]["errorType"] == "RuntimeError"


def test_a_failure_is_told_to_a_function_and_the_event_is_a_dead_letter(events: Events) -> None:
    queue = events.queue("letters")
    request_id = events.later("Dead", fail=True, name="dog")
    letter = events.received(queue, request_id)
    assert json.loads(letter["Body"]) == {"fail": True, "name": "dog"}
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes == {"RequestID": request_id, "ErrorCode": "200", "ErrorMessage": "as asked"}
    eventually(lambda: f'"requestId": "{request_id}"' in events.log.read_text())
    assert events.printed(request_id) == 1


def test_a_function_that_reserves_nothing_fails_at_once_without_being_run(events: Events) -> None:
    queue = events.queue("letters")
    request_id = events.later("Closed", name=str(uuid.uuid4()))
    letter = events.received(queue, request_id)
    assert letter["MessageAttributes"]["ErrorCode"]["StringValue"] == "429"
    assert "(ZeroReservedConcurrency)" in events.log.read_text()
    assert events.printed(request_id) == 0


def test_a_throttled_event_waits_until_there_is_room(events: Events) -> None:
    with ThreadPoolExecutor(1) as pool:
        name = str(uuid.uuid4())
        running = pool.submit(events.invoke, "Single", {"seconds": 2, "name": name})
        eventually(lambda: name in events.log.read_text())
        request_id = events.later("Single")
        first = running.result()["ResponseMetadata"]["RequestId"]
    eventually(lambda: events.printed(request_id) == 1)
    log = events.log.read_text()
    assert log.index(f"END RequestId: {first}") < log.index(f"EVENT {request_id} ")


def test_a_destination_that_is_not_served_is_named_at_the_start(events: Events) -> None:
    (notice,) = [n for n in events.info["notices"] if n.startswith("Elsewhere")]
    assert "arn:aws:events" in notice
    assert "only SQS, SNS and Lambda" in notice
