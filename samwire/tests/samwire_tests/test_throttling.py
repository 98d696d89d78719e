"""DynamoDB that is too busy, on request, as boto3 meets it."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from samwire.services.aws import AwsServices
from samwire.services.own_key import ACCESS_KEY_ID
from samwire_tests.own_key import signed_put

KEY: dict[str, Any] = {"aws_access_key_id": ACCESS_KEY_ID}
"""That of the services which run."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    services = AwsServices()
    with asyncio.Runner() as runner:
        runner.run(services.start())
        KEY["aws_secret_access_key"] = services.key.secret
        yield services.endpoint
        runner.run(services.stop())


def client(endpoint: str, attempts: int = 1) -> Any:
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        **KEY,
        config=Config(retries={"total_max_attempts": attempts}),
    )


def put(endpoint: str, throttling: object) -> None:
    data = json.dumps({"throttling": throttling}).encode()
    request = signed_put(endpoint + "/_local/faults", data, KEY)
    urllib.request.urlopen(request, timeout=10).close()


@pytest.fixture(autouse=True)
def no_rules(endpoint: str) -> Iterator[None]:
    yield
    put(endpoint, [])


@pytest.mark.parametrize(
    "error",
    ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"],
)
def test_a_rule_answers_with_its_error_as_often_as_it_says(endpoint: str, error: str) -> None:
    put(endpoint, [{"operation": "ListTables", "error": error, "times": 2}])
    dynamodb = client(endpoint)
    for _ in range(2):
        with pytest.raises(ClientError) as busy:
            dynamodb.list_tables()
        assert busy.value.response["Error"]["Code"] == error
        assert busy.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    dynamodb.list_tables()


def test_an_sdk_that_tries_again_gets_through(endpoint: str) -> None:
    put(endpoint, [{"times": 2}])
    answer = client(endpoint, attempts=3).list_tables()
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2


def test_other_operations_are_not_touched(endpoint: str) -> None:
    put(endpoint, [{"operation": "PutItem"}])
    assert client(endpoint).list_tables()["TableNames"] == []


def test_a_seed_makes_chance_repeatable(endpoint: str) -> None:
    runs = []
    for _ in range(2):
        put(endpoint, [{"probability": 0.5, "seed": 7}])
        dynamodb, busy = client(endpoint), []
        for _ in range(20):
            try:
                dynamodb.list_tables()
                busy.append(False)
            except ClientError:
                busy.append(True)
        runs.append(busy)
    assert runs[0] == runs[1]
    assert {True, False} == set(runs[0])


@pytest.mark.parametrize(
    ("throttling", "said"),
    [
        ("often", "throttling: must be a list of rules."),
        (["often"], "throttling: every rule must be an object."),
        ([{"chance": 1}], "throttling: chance is none of"),
        ([{"error": "Tired"}], "error: must be one of ProvisionedThroughputExceededException"),
        ([{"times": 0}], "times: must be a whole number from 1."),
        ([{"probability": 2}], "probability: must be more than 0 and at most 1."),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    endpoint: str, throttling: object, said: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        put(endpoint, throttling)
    assert refused.value.code == 400
    assert said in json.loads(refused.value.read())["message"]
