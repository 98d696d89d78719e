"""What the functions are loaded beside: the table, the secret, and a connected message function."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from parley.providers import call
from parley.providers.retry import RetrySchedule
from parley.turn import delivery
from tests.handlers.loading import (
    NO_ACK_WAIT_S,
    QUICK_RETRIES_S,
    VARIABLES,
    Context,
    create_secret,
    event,
    load,
)
from tests.moto_table import client, create_table, mock_aws, moto_server


@pytest.fixture(scope="module")
def services() -> Iterator[Any]:
    """Clients of DynamoDB and Secrets Manager, both empty, and the URL of both."""
    with mock_aws(), moto_server() as url:
        yield client("dynamodb"), client("secretsmanager"), url


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch, services: tuple[Any, Any, str]) -> None:
    """The environment of the functions."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", services[2])
    # No provider comes to be there in two seconds.
    monkeypatch.setattr(call, "RetrySchedule", lambda _: RetrySchedule(QUICK_RETRIES_S))
    # No client is there to acknowledge a turn, and each wait reads the inbox all the time.
    monkeypatch.setattr(delivery, "ACK_WAIT_S", NO_ACK_WAIT_S)


@pytest.fixture
def aws(services: tuple[Any, Any, str], variables: None) -> Iterator[Any]:
    """The table and the secret; the client looks into the table."""
    dynamodb, secrets, _ = services
    create_table(dynamodb)
    create_secret(secrets)
    yield dynamodb
    for name in dynamodb.list_tables()["TableNames"]:  # but a test may have deleted it
        dynamodb.delete_table(TableName=name)
    for secret in secrets.list_secrets()["SecretList"]:
        secrets.delete_secret(SecretId=secret["ARN"], ForceDeleteWithoutRecovery=True)


@pytest.fixture
def message(aws: Any) -> Any:
    """The message function, with what it posts, starts and wakes in lists."""
    app = load("message")
    posted: list[dict[str, Any]] = []
    started: list[Any] = []
    woken: list[Any] = []

    def take(_endpoint: str, _connection_id: str, frame: bytes) -> None:
        posted.append(json.loads(frame))

    app.environment.management_api.post = take
    app.messages._start_turn = started.append
    app.turn_invoker.wake = woken.append
    load("connect").handler(event("connect"), Context())

    class Driver:
        table = aws
        posts = posted
        turns = started
        wakes = woken
        invoker = app.turn_invoker
        messages = app.messages
        post = staticmethod(take)

        def send(self, name: str, **changes: Any) -> dict[str, Any]:
            made = event(f"message-{name}")
            made["body"] = json.dumps({**json.loads(made["body"]), **changes})
            found: dict[str, Any] = app.handler(made, Context())
            return found

    return Driver()
