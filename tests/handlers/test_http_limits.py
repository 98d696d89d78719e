"""Limits over HTTP: a turn that may not begin is a problem, and costs no token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.handlers.loading import Context, load, now


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
