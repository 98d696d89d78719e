"""Calls of a service: what is tried again, how often, and what the caller is told.

Each case runs through botocore's client too, against the same server: who calls cannot tell them
apart.
"""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import threading
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from parley.aws import service
from parley.aws.dynamodb import DynamoDB
from parley.aws.failures import (
    CallFailed,
    ConnectionLost,
    NoCredentials,
    ReadTimedOut,
    ServiceError,
)
from parley.aws.log_redaction import LOG_EVENT
from parley.aws.secrets_manager import SecretsManager
from parley.aws.service import CallRules, Service
from parley.storage.table import Table
from tests.unit.aws.conftest import ScriptedAws, answer, close, refusal

KEY = {"pk": {"S": "a"}, "sk": {"S": "b"}}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow at once."""
    monkeypatch.setattr(random, "random", lambda: 0.0)


def ours(aws: ScriptedAws, rules: CallRules = service.CALLS) -> DynamoDB:
    return DynamoDB(rules, aws.url)


def theirs(aws: ScriptedAws) -> Any:
    config = Config(retries={"mode": "standard", "total_max_attempts": 4}, read_timeout=5)
    return Session().create_client("dynamodb", endpoint_url=aws.url, config=config)


FOUND = answer(body=b'{"Item":{"pk":{"S":"a"}}}')
CASES: dict[str, tuple[list[Any], int]] = {
    "an answer": ([FOUND], 1),
    "5xx": ([answer(500), answer(502), answer(503), FOUND], 4),
    "504": ([answer(504), FOUND], 2),
    "too often": ([answer(500)], 4),
    "501": ([answer(501)], 1),
    "throttled": ([refusal("ThrottlingException"), FOUND], 2),
    "over capacity": ([refusal("ProvisionedThroughputExceededException"), FOUND], 2),
    "always throttled": ([refusal("RequestLimitExceeded")], 4),
    "in progress": ([refusal("TransactionInProgressException"), FOUND], 2),
    "a limit": ([refusal("LimitExceededException"), FOUND], 2),
    "429": ([answer(429, b""), FOUND], 2),
    "a timeout there": ([refusal("RequestTimeoutException"), FOUND], 2),
    "closed": ([close, FOUND], 2),
    "always closed": ([close], 4),
    "a wrong checksum": ([answer(x_amz_crc32="1"), FOUND], 2),
    "a condition": ([refusal("ConditionalCheckFailedException")], 1),
    "a conflict": ([refusal("TransactionConflictException")], 1),
    "expired": ([refusal("ExpiredTokenException")], 1),
    "not allowed": ([refusal("AccessDeniedException")], 1),
    "signed wrongly": ([refusal("InvalidSignatureException", 403)], 1),
    "no table": ([refusal("ResourceNotFoundException")], 1),
    "invalid": ([refusal("ValidationException")], 1),
    "without a body": ([answer(400, b"")], 1),
    "a page of a proxy": ([answer(403, b"<html>")], 1),
}


def outcome(client: Any) -> Any:
    """What a call comes to: the answer's item, or what the caller is told."""
    try:
        return client.get_item(TableName="t", Key=KEY).get("Item")
    except (ClientError, ServiceError) as error:
        known = error.response["ResponseMetadata"]
        code = error.response["Error"]["Code"]
        return error.operation_name, str(code), known["HTTPStatusCode"], known["RetryAttempts"]
    except (BotoCoreError, CallFailed):
        return "no answer"


@pytest.mark.parametrize("name", CASES)
def test_a_call_comes_to_what_botocore_s_comes_to(scripted: ScriptedAws, name: str) -> None:
    steps, tries = CASES[name]
    scripted.steps = list(steps)
    found = outcome(ours(scripted))
    assert len(scripted.requests) == tries
    scripted.steps = list(steps)
    assert found == outcome(theirs(scripted))
    assert len(scripted.requests) == 2 * tries


def test_a_write_that_another_region_was_faster_with_is_tried_again(
    scripted: ScriptedAws,
) -> None:
    for client in (ours(scripted), theirs(scripted)):
        scripted.requests.clear()
        scripted.steps = [refusal("ReplicatedWriteConflictException", 409), answer()]
        client.put_item(TableName="t", Item=KEY)
        assert len(scripted.requests) == 2


def test_an_error_may_be_named_in_a_header(scripted: ScriptedAws) -> None:
    scripted.steps = [answer(410, b"", x_amzn_errortype="GoneException:http://x/")]
    with pytest.raises(ServiceError) as raised:
        Service("execute-api", scripted.url).call("PostToConnection", "/")
    assert (raised.value.code, raised.value.status) == ("GoneException", 410)


def test_the_requests_are_the_same(scripted: ScriptedAws) -> None:
    item = {**KEY, "blob": {"B": bytes(range(256))}, "n": {"N": "1"}, "set": {"SS": ["a"]}}
    for client in (ours(scripted), theirs(scripted)):
        client.put_item(TableName="t", Item=item)
        client.transact_write_items(TransactItems=[{"Put": {"TableName": "t", "Item": item}}])
    bodies = [json.loads(body) for _, body in scripted.requests]
    tokens = [body.pop("ClientRequestToken") for body in (bodies[1], bodies[3])]
    assert len({*tokens}) == 2, "a transaction that is repeated by mistake is done once"
    assert bodies[:2] == bodies[2:]
    for own, other in ((0, 2), (1, 3)):
        heads = [
            {
                name.lower(): value
                for name, value in (
                    line.split(": ", 1) for line in scripted.requests[n][0].split("\r\n")[1:]
                )
            }
            for n in (own, other)
        ]
        for name in ("content-type", "x-amz-target", "host", "accept-encoding"):
            assert heads[0].get(name) == heads[1].get(name), name


def test_a_repeated_transaction_has_the_same_token(scripted: ScriptedAws) -> None:
    scripted.steps = [answer(500), answer()]
    ours(scripted).transact_write_items(TransactItems=[])
    first, second = (json.loads(body)["ClientRequestToken"] for _, body in scripted.requests)
    assert first == second


def waiting(ended: threading.Event) -> Callable[[socket.socket], None]:
    """A step that answers nothing."""

    def wait(_connection: socket.socket) -> None:
        ended.wait(10)

    return wait


def test_a_slow_answer_is_asked_for_again(scripted: ScriptedAws) -> None:
    ended = threading.Event()
    scripted.steps = [waiting(ended), FOUND]
    assert outcome(ours(scripted, CallRules(read_timeout_s=0.05))) == {"pk": {"S": "a"}}
    ended.set()
    assert len(scripted.requests) == 2


def test_what_stays_slow_is_given_up(scripted: ScriptedAws) -> None:
    ended = threading.Event()
    scripted.steps = [waiting(ended)]
    with pytest.raises(ReadTimedOut):
        ours(scripted, CallRules(read_timeout_s=0.02)).get_item(TableName="t", Key=KEY)
    ended.set()
    assert len(scripted.requests) == 4


def test_a_checksum_that_is_right_is_no_trouble(scripted: ScriptedAws) -> None:
    body = b'{"Item":{"pk":{"S":"a"}}}'
    scripted.steps = [answer(body=body, x_amz_crc32=str(zlib.crc32(body)))]
    assert outcome(ours(scripted)) == {"pk": {"S": "a"}}
    assert len(scripted.requests) == 1


def test_a_service_that_stays_away_is_soon_asked_no_more_than_once_a_call(
    scripted: ScriptedAws,
) -> None:
    tries = []
    for client in (ours(scripted), theirs(scripted)):
        scripted.requests.clear()
        scripted.steps = [answer(500)]
        for _ in range(20):
            with pytest.raises((ServiceError, ClientError)):
                client.get_item(TableName="t", Key=KEY)
        tries.append(len(scripted.requests))
        scripted.steps = [answer()]
        for _ in range(14):
            client.get_item(TableName="t", Key=KEY)
        scripted.steps = [answer(500)]
        scripted.requests.clear()
        with pytest.raises((ServiceError, ClientError)):
            client.get_item(TableName="t", Key=KEY)
        tries.append(len(scripted.requests))
    assert tries == [55, 2, 55, 2]


@pytest.mark.parametrize(
    ("step", "drawn", "paused"),
    [
        (answer(500), 1.0, [0.05, 0.1, 0.2]),
        (refusal("Throttling"), 1.0, [1.0, 2.0, 4.0]),
        (refusal("Throttling"), 0.5, [0.5, 1.0, 2.0]),
        (answer(503, x_amz_retry_after="700"), 0.0, [0.7] * 3),
        (answer(503, x_amz_retry_after="90000"), 1.0, [5.05, 5.1, 5.2]),
        (answer(503, x_amz_retry_after="soon"), 0.0, [0.0] * 3),
    ],
)
def test_the_pauses_grow_and_are_drawn_by_lot(
    scripted: ScriptedAws,
    monkeypatch: pytest.MonkeyPatch,
    step: bytes,
    drawn: float,
    paused: list[float],
) -> None:
    monkeypatch.setattr(random, "random", lambda: drawn)
    pauses: list[float] = []
    scripted.steps = [step]
    with pytest.raises(ServiceError):
        Service("lambda", scripted.url, sleep=pauses.append).call("Invoke", "/")
    assert pauses == pytest.approx(paused)


def test_an_error_says_what_botocore_s_says(scripted: ScriptedAws) -> None:
    body = (
        b'{"__type":"x#ConditionalCheckFailedException","Message":"no",'
        b'"Item":{"pk":{"S":"a"},"b":{"B":"AAEC"}}}'
    )
    scripted.steps = [answer(400, body, x_amzn_requestid="r1")]
    with pytest.raises(ServiceError) as raised:
        ours(scripted).put_item(TableName="t", Item=KEY)
    error = raised.value
    assert (error.code, error.status) == ("ConditionalCheckFailedException", 400)
    assert error.response["Error"]["Message"] == "no"
    assert error.response["ResponseMetadata"]["RequestId"] == "r1"
    assert error.response["Item"] == {"pk": {"S": "a"}, "b": {"B": b"\x00\x01\x02"}}
    assert "no" not in str(error).split(), "what it quotes may be what a user has said"


def test_a_transaction_says_which_condition_did_not_hold(scripted: ScriptedAws) -> None:
    body = (
        b'{"__type":"x#TransactionCanceledException","CancellationReasons":'
        b'[{"Code":"None"},{"Code":"ConditionalCheckFailed","Message":"m"}]}'
    )
    scripted.steps = [answer(400, body)]
    found = Table(ours(scripted), "t").transact({"Key": KEY}, KEY)
    assert found is not None
    assert (found.update, found.put) == (False, True)


def test_without_credentials_nothing_is_sent(
    scripted: ScriptedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setattr("parley.aws.clients.find_credentials", lambda: None)
    with pytest.raises(NoCredentials):
        ours(scripted).get_item(TableName="t", Key=KEY)
    assert scripted.requests == []


def test_the_trace_goes_on_as_with_botocore(
    scripted: ScriptedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "turn")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
    for client in (ours(scripted), theirs(scripted)):
        client.get_item(TableName="t", Key=KEY)
        head = scripted.requests[-1][0].lower()
        assert f"\r\nx-amzn-trace-id: {trace.lower()}" in head
        assert "signedheaders=" in head
        assert "trace" not in head.partition("signedheaders=")[2].partition(",")[0]


def test_a_line_break_in_what_is_signed_makes_no_other_header(scripted: ScriptedAws) -> None:
    os.environ["_X_AMZN_TRACE_ID"] = "Root=1\r\nX-Evil: 1"
    os.environ["AWS_LAMBDA_FUNCTION_NAME"] = "turn"
    try:
        ours(scripted).get_item(TableName="t", Key=KEY)
    finally:
        del os.environ["_X_AMZN_TRACE_ID"], os.environ["AWS_LAMBDA_FUNCTION_NAME"]
    assert "\r\nx-evil" not in scripted.requests[0][0].lower()


def test_a_secret_is_read(scripted: ScriptedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", scripted.url)
    scripted.steps = [answer(body=b'{"Name":"n","SecretString":"s3cret","CreatedDate":1.5}')]
    assert SecretsManager().get_secret_value(SecretId="arn") == {"SecretString": "s3cret"}
    ((head, body),) = scripted.requests
    assert json.loads(body) == {"SecretId": "arn"}
    assert "x-amz-target: secretsmanager.GetSecretValue" in head
    assert "/us-east-1/secretsmanager/aws4_request" in head


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"Item":3}', b'{"Item":{"b":{"B":"!"}}}'])
def test_what_is_no_answer_of_the_table_is_none(scripted: ScriptedAws, body: bytes) -> None:
    scripted.steps = [answer(body=body)]
    with pytest.raises(ConnectionLost):
        ours(scripted).get_item(TableName="t", Key=KEY)


def test_who_calls_aws_logs_neither_events_nor_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOG_EVENT, "true")
    monkeypatch.setattr(logging.getLogger("httpx"), "level", logging.DEBUG)
    SecretsManager()
    assert os.environ[LOG_EVENT] == "false"
    assert logging.getLogger("httpx").level == logging.WARNING
