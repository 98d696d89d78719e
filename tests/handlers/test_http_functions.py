"""The functions of the HTTP API as Lambda loads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from parley.principal import ANONYMOUS
from tests.handlers.loading import KEY, Context, event, items, load, now


@pytest.fixture
def http(aws: Any) -> Iterator[ModuleType]:
    """The function of turns over HTTP; Lambda never closes its event loop, a test must."""
    app = load("http_turn")
    yield app
    app.runner._loop.close()


def told(answer: dict[str, Any], status: int) -> dict[str, Any]:
    """What an answer over HTTP says."""
    assert answer["statusCode"] == status, answer
    found: dict[str, Any] = json.loads(answer["body"])
    return found


def test_a_session_is_opened_over_http(http: ModuleType, aws: Any) -> None:
    opened = told(http.handler(now("http-session"), Context()), 201)
    assert opened["settings"]["speed"] == 1.1
    assert opened["settings"]["voice"]
    (session,) = items(aws, "SESSION#")
    assert session["pk"]["S"] == f"SESSION#{ANONYMOUS.session(opened['session_id'])}"
    assert opened["resume_token"] not in json.dumps(session), "only its hash is kept"


@pytest.mark.parametrize("name", ["http-turn-typed", "http-turn-spoken"])
def test_a_turn_whose_providers_are_not_there_is_answered_all_the_same(
    http: ModuleType, name: str
) -> None:
    answer = told(http.handler(now(name), Context()), 200)
    assert (answer["reason"], answer["error"]["retryable"]) == ("failed", True)
    assert answer["session_id"]
    assert answer["resume_token"]


def test_an_interruption_over_http_needs_its_session(http: ModuleType) -> None:
    told(http.handler(event("http-interrupt"), Context()), 404)


def test_a_turn_leaves_its_figures_as_metrics_over_http_too(
    http: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    http.handler(now("http-turn-typed"), Context())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    (emf,) = [line for line in lines if "turn_failed" in line]
    assert emf["turn"] == "typed"


def test_a_table_that_fails_is_a_problem_and_no_stack_trace(http: ModuleType, aws: Any) -> None:
    aws.delete_table(TableName="table")
    answer = http.handler(now("http-turn-typed"), Context())
    assert told(answer, 500)["code"] == "internal"
    assert "Traceback" not in answer["body"]
    assert "botocore" not in answer["body"]


@pytest.fixture
def health(aws: Any) -> Iterator[ModuleType]:
    """The health function."""
    app = load("health")
    yield app
    app.loop.close()


def test_health_by_itself_asks_nobody(health: ModuleType, aws: Any) -> None:
    aws.delete_table(TableName="table")
    found = told(health.handler(event("http-health"), Context()), 200)
    assert found["status"] == "ok"
    assert "checks" not in found


def test_deep_health_says_what_does_not_work(health: ModuleType) -> None:
    deep = {**event("http-health"), "queryStringParameters": {"deep": "1"}}
    answer = health.handler(deep, Context())
    found = told(answer, 503)
    working = {name: check["ok"] for name, check in found["checks"].items()}
    assert found["status"] == "failing"
    providers = dict.fromkeys(("transcriber", "responder", "synthesizer"), False)
    assert working == {"table": True, "secret": True, **providers}
    assert KEY not in answer["body"]
    assert health.handler(deep, Context()) == answer, "kept for a while"


def test_deep_health_says_what_is_wrong_in_the_file_of_tools(
    aws: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tools.toml").write_text("[order_status]\nlambda = 'order-status'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    app = load("health")
    deep = {**event("http-health"), "queryStringParameters": {"deep": "1"}}
    found = told(app.handler(deep, Context()), 503)["checks"]["tools"]
    app.loop.close()
    assert found["ok"] is False
    assert found["detail"].startswith("tools.toml: order_status: description: expected text")


def of_session(name: str, ready: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A sample event about the session that a connection was told of."""
    found = event(name)
    headers = {**found["headers"], "x-resume-token": ready["resume_token"]}
    parameters = {"session_id": ready["session_id"]}
    return {**found, "headers": headers, "pathParameters": parameters, **changes}


def test_a_session_is_read_and_erased_over_http(message: Any, aws: Any) -> None:
    message.send("init")
    message.send("audio-chunk")
    sessions, ready = load("sessions"), message.posts[0]
    answer = sessions.handler(of_session("http-sessions-read", ready), Context())
    assert answer["statusCode"] == 200
    assert answer["headers"]["content-type"].startswith("text/vtt")
    assert answer["headers"]["cache-control"] == "no-store"
    gone = sessions.handler(of_session("http-sessions-erase", ready), Context())
    assert (gone["statusCode"], gone["body"]) == (204, "")
    assert ready["session_id"] not in str(items(aws, ""))


def test_where_nobody_is_known_nobody_gets_a_list(aws: Any) -> None:
    problem = told(load("sessions").handler(event("http-sessions-list"), Context()), 401)
    assert "authentication is off" in problem["detail"]
