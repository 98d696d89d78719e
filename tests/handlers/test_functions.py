"""The functions as Lambda loads them: by module name, from their folder, with its variables.

DynamoDB, Secrets Manager and the management API are moto's, in this process. The providers
are not there: what a turn does with working ones is shown in tests/e2e.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.session import Session
from moto import mock_aws

from parley import clients
from parley.principal import ANONYMOUS

ROOT = Path(__file__).parents[2]
KEY = "sk-a-key-that-nobody-may-see"
REGION = "us-east-1"


@dataclass
class Context:
    """What Lambda hands a handler besides the event."""

    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:123456789012:function:function"
    aws_request_id: str = "52fdfc07-2182-154f-163f-5f0f9a621d72"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


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


def load(function: str) -> ModuleType:
    """The function's module, fresh, as a cold start has it."""
    path = ROOT / "functions" / function / "app.py"
    spec = importlib.util.spec_from_file_location(f"{function}_app", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def event(name: str) -> dict[str, Any]:
    """A sample event."""
    found: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return found


def items(client: Any, prefix: str) -> list[dict[str, Any]]:
    """The table's items whose partition key begins so."""
    found = client.scan(TableName="table")["Items"]
    return [item for item in found if item["pk"]["S"].startswith(prefix)]


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


@pytest.fixture
def turn(aws: Any) -> Iterator[ModuleType]:
    """The turn function; Lambda never closes its event loop, a test must."""
    app = load("turn")
    yield app
    app.runner._loop.close()


def test_a_connection_too_many_is_refused_until_another_has_ended(
    aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTIONS_PER_TENANT", "1")
    now_ms, connect = int(time.time() * 1000), load("connect")
    first, second = event("connect"), event("connect")
    for made, name in ((first, "first="), (second, "second=")):
        made["requestContext"] |= {"connectionId": name, "connectedAt": now_ms}
    assert connect.handler(first, Context())["statusCode"] == 200
    assert connect.handler(second, Context()) == {"statusCode": 429}
    assert [item["pk"]["S"] for item in items(aws, "CONNECTION#")] == ["CONNECTION#first="]
    over = event("disconnect")
    over["requestContext"] |= {"connectionId": "first=", "connectedAt": now_ms}
    load("disconnect").handler(over, Context())
    assert connect.handler(second, Context()) == {"statusCode": 200}


def test_connect_notes_the_connection_and_disconnect_forgets_it(aws: Any) -> None:
    assert load("connect").handler(event("connect"), Context())["statusCode"] == 200
    (connection,) = items(aws, "CONNECTION#")
    assert "expires_at" in connection
    assert load("disconnect").handler(event("disconnect"), Context()) == {"statusCode": 200}
    assert items(aws, "CONNECTION#") == []


def test_init_opens_a_session(message: Any) -> None:
    message.send("init")
    (ready,) = message.posts
    assert ready["type"] == "ready"
    assert ready["settings"]["speed"] == 1.1
    assert ready["settings"]["voice"]
    bound, session = items(message.table, "SESSION#")
    assert ready["resume_token"] not in json.dumps(session), "only its hash is kept"
    assert "resumable_until" in session
    assert "expires_at" not in session, "its history is found and erased through it"
    assert "expires_at" in bound


def test_a_typed_turn_is_started_with_what_it_needs(message: Any) -> None:
    message.send("init")
    message.send("user-message")
    (request,) = message.turns
    assert request.text == "What time is it?"
    assert request.session == ANONYMOUS.session(message.posts[0]["session_id"])
    assert request.endpoint == "https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/dev"
    assert request.received_at_ms == 1701245043512


def test_audio_goes_to_the_inbox_of_the_bound_session(message: Any) -> None:
    message.send("init")
    for name in ("audio-chunk", "audio-start", "audio-chunk", "audio-end", "interrupt"):
        message.send(name)
    session = ANONYMOUS.session(message.posts[0]["session_id"])
    found = {
        item["sk"]["S"].removeprefix("TURN#turn-2#"): item
        for item in items(message.table, f"SESSION#{session}")
        if item["sk"]["S"].startswith("TURN#turn-2#")
    }
    assert set(found) == {"IN#audio#000001", "IN#end"}
    assert len(found["IN#audio#000001"]["audio"]["B"]) == 320
    assert all("expires_at" in item for item in found.values())
    (request,) = message.turns
    assert request.spoken


@pytest.mark.parametrize("name", ["user-message", "audio-chunk", "interrupt", "config", "ack"])
def test_nothing_works_before_init(message: Any, name: str) -> None:
    message.send(name)
    assert [post["code"] for post in message.posts] == ["not_initialised"]
    assert message.turns == []


def test_config_ping_ack_and_end(message: Any) -> None:
    for name in ("init", "config", "ping", "ack", "end"):
        assert message.send(name) == {"statusCode": 200}
    kinds = [post["type"] for post in message.posts]
    assert kinds == ["ready", "config_updated", "pong", "session_ended"]
    assert message.posts[1]["settings"]["speed"] == 0.9


def test_a_table_that_fails_is_an_internal_error_and_no_stack_trace(message: Any) -> None:
    message.send("init")
    message.table.delete_table(TableName="table")
    assert message.send("audio-chunk") == {"statusCode": 500}
    assert message.posts[-1]["code"] == "internal"
    assert message.posts[-1]["retryable"] is True
    assert "Traceback" not in json.dumps(message.posts)


def test_a_turn_without_its_session_fails_in_good_order(turn: ModuleType) -> None:
    assert turn.handler(event("turn-typed"), Context()) == {"reason": "failed"}


def test_a_turn_runs_once(message: Any, turn: ModuleType) -> None:
    message.send("init")
    message.send("user-message")
    (request,) = message.turns
    payload = {**event("turn-typed"), "session": request.session}
    assert turn.handler(payload, Context()) == {"reason": "failed"}, "no provider is there"
    assert turn.handler(payload, Context()) == {"reason": "already_claimed"}


def test_every_turn_leaves_its_figures_as_metrics(
    message: Any, turn: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    message.send("init")
    payload = {**event("turn-typed"), "session": ANONYMOUS.session(message.posts[0]["session_id"])}
    turn.handler(payload, Context())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    (emf,) = [line for line in lines if "turn_failed" in line]
    assert emf["turn"] == "typed"
    assert emf["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Parley"
    for name in ("dispatch_ms", "prepare_ms", "total_ms", "retries", "cold"):
        assert name in emf


def test_a_turn_whose_function_died_is_ended_and_its_client_told(message: Any) -> None:
    message.send("init")
    session = ANONYMOUS.session(message.posts[0]["session_id"])
    failure = load("failure")
    failure.recovery._post = message.post
    record = event("failure")
    record["requestPayload"]["session"] = session
    before = len(message.posts)
    assert failure.handler(record, Context()) == {"ended": True}
    error, end = message.posts[before:]
    assert (error["type"], error["code"], error["turn_id"]) == ("error", "internal", "turn-1")
    assert (end["type"], end["reason"], end["seq"]) == ("turn_end", "failed", 0)
    assert end["retryable"] is True
    assert failure.handler(record, Context()) == {"ended": False}, "once"


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


def now(name: str, **changes: Any) -> dict[str, Any]:
    """A sample event of this moment: a turn must be answered soon after it was asked."""
    found = event(name)
    found["requestContext"]["timeEpoch"] = int(time.time() * 1000)
    return {**found, **changes}


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
    assert working == {"table": True, "secret": True, "elevenlabs": False, "llm": False}
    assert KEY not in answer["body"]
    assert health.handler(deep, Context()) == answer, "kept for a while"


@pytest.mark.parametrize(
    ("function", "unwanted"),
    [
        ("connect", ["httpx", "websockets", "boto3", "jwt", "cryptography"]),
        ("message", ["httpx", "websockets", "boto3", "parley.turn", "asyncio"]),
        ("failure", ["httpx", "websockets", "boto3", "parley.turn", "asyncio"]),
        ("turn", ["elevenlabs", "moto", "local", "pydantic", "aws_xray_sdk"]),
        ("http_turn", ["elevenlabs", "moto", "local", "pydantic", "aws_xray_sdk"]),
        ("health", ["websockets", "parley.turn", "pydantic"]),
    ],
)
def test_a_cold_start_imports_no_more_than_it_needs(
    aws: Any, function: str, unwanted: list[str]
) -> None:
    code = f"import sys, app; print([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "functions" / function,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


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
