"""What the functions are loaded beside: the table, the secret, and a connected message function."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.session import Session
from moto import mock_aws

from parley import clients
from tests.handlers.loading import KEY, REGION, Context, event, load


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The table and the secret; the client looks into the table."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "TABLE_NAME": "table",
        "TURN_FUNCTION": "turn",
        "SECRET_ARN": "keys",
        "ELEVENLABS_BASE_URL": "http://127.0.0.1:9",
        "LLM_BASE_URL": "http://127.0.0.1:9",
        "POWERTOOLS_SERVICE_NAME": "parley",
        "POWERTOOLS_METRICS_NAMESPACE": "Parley",
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
    }.items():
        monkeypatch.setenv(name, value)
    # moto answers only sessions that were made after it was imported; another test file may
    # have imported the library before.
    monkeypatch.setattr(clients, "_session", Session())
    with mock_aws():
        client = boto3.client("dynamodb", region_name=REGION)
        client.create_table(
            TableName="table",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
        )
        boto3.client("secretsmanager", region_name=REGION).create_secret(
            Name="keys",
            SecretString=json.dumps({"elevenlabs_api_key": KEY, "llm_api_key": KEY}),
        )
        yield client


@pytest.fixture
def message(aws: Any) -> Any:
    """The message function, with what it posts and starts in lists."""
    app = load("message")
    posted: list[dict[str, Any]] = []
    started: list[Any] = []

    def take(_endpoint: str, _connection_id: str, frame: bytes) -> None:
        posted.append(json.loads(frame))

    app.environment.connections.post = take
    app.messages._start_turn = started.append
    load("connect").handler(event("connect"), Context())

    class Driver:
        table = aws
        posts = posted
        turns = started
        post = staticmethod(take)

        def send(self, name: str) -> dict[str, Any]:
            found: dict[str, Any] = app.handler(event(f"message-{name}"), Context())
            return found

    return Driver()
