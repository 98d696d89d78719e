"""Limits over HTTP: a refusal is a problem that names the limit, and leaves nothing behind."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import boto3
import pytest

from tests.handlers.loading import REGION, Context, items, load, now
from tests.unit.tokens import SECRET, shared_token


@pytest.fixture
def http(aws: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The function, where three turns a minute are allowed: one at once."""
    monkeypatch.setenv("TURNS_PER_MINUTE_PER_TENANT", "3")
    app = load("http_turn")
    yield app
    app.runner._loop.close()


def ask(http: ModuleType, **fields: Any) -> dict[str, Any]:
    answer: dict[str, Any] = http.handler(
        now("http-turn-typed", body=json.dumps({"text": "Hello.", **fields})), Context()
    )
    return answer


@pytest.mark.parametrize("events", [False, True])
def test_a_turn_beyond_the_limit_is_answered_429_and_the_token_stays_good(
    http: ModuleType, events: bool
) -> None:
    first = json.loads(ask(http)["body"])
    session = {name: first[name] for name in ("session_id", "resume_token")}
    for _ in range(3):  # also with the token of the first answer: it has not been replaced
        refused = ask(http, **session, turn_id="t", events=events)
        assert refused["statusCode"] == 429
        assert 0 < int(refused["headers"]["retry-after"]) <= 20
        problem = json.loads(refused["body"])
        assert (problem["code"], problem["retryable"]) == ("rate_limited", True)
        assert "3 turns a minute" in problem["detail"]
        assert problem["limit"] == {"name": "turns_per_minute", "value": 3, "scope": "tenant"}


@pytest.mark.parametrize("attempt", [None, 1, 2])
def test_a_turn_that_was_refused_runs_when_the_same_request_comes_again(
    http: ModuleType, aws: Any, attempt: int | None
) -> None:
    first = json.loads(ask(http)["body"])
    asked = {name: first[name] for name in ("session_id", "resume_token")} | {"turn_id": "t"}
    if attempt is not None:
        asked["attempt"] = attempt
    assert [ask(http, **asked)["statusCode"] for _ in range(2)] == [429, 429]
    aws.delete_item(TableName="table", Key={"pk": {"S": "LIMIT#default"}, "sk": {"S": "USAGE"}})
    answered = ask(http, **asked)
    assert answered["statusCode"] == 200
    answer = json.loads(answered["body"])
    assert answer.get("attempt", 1) == (attempt or 1)
    assert answer["error"]["code"] == "reply_failed", "no provider is there: so far it came"


def test_a_first_turn_beyond_the_limit_leaves_no_session_behind(http: ModuleType, aws: Any) -> None:
    ask(http)
    before = items(aws, "SESSION#")
    assert before, "the turn that may begin has one"
    for turn_id in (None, "t"):
        assert ask(http, turn_id=turn_id)["statusCode"] == 429
    assert items(aws, "SESSION#") == before


def test_of_a_user_s_first_turn_beyond_the_limit_no_list_has_a_session(
    aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = boto3.client("secretsmanager", region_name=REGION)
    manager.create_secret(Name="tokens", SecretString=SECRET)
    monkeypatch.setenv("AUTH_MODE", "secret")
    monkeypatch.setenv("AUTH_SECRET_ARN", "tokens")
    monkeypatch.setenv("TURNS_PER_MINUTE_PER_SUBJECT", "3")
    app = load("http_turn")
    token = shared_token({"sub": "ada", "exp": int(time.time()) + 60})
    statuses = []
    for _ in range(2):
        asked = now("http-turn-typed", body=json.dumps({"text": "Hello."}))
        asked["headers"]["authorization"] = f"Bearer {token}"
        statuses.append(app.handler(asked, Context())["statusCode"])
    app.runner._loop.close()
    assert statuses == [200, 429]
    assert len(items(aws, "OWNER#")) == 1


def test_a_session_too_many_is_answered_429_and_is_not_opened(
    aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSIONS_PER_MINUTE_PER_TENANT", "3")
    monkeypatch.setenv("CONNECTIONS_PER_TENANT", "0")
    app = load("http_turn")
    opened, refused = (app.handler(now("http-session"), Context()) for _ in range(2))
    app.runner._loop.close()
    assert (opened["statusCode"], refused["statusCode"]) == (201, 429)
    problem = json.loads(refused["body"])
    assert problem["limit"] == {"name": "sessions_per_minute", "value": 3, "scope": "tenant"}
    assert int(refused["headers"]["retry-after"]) == -(-problem["retry_after_ms"] // 1000)
    assert len(items(aws, "SESSION#")) == 1
