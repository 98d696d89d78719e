"""The functions as Lambda loads them: by module name, from their folder, with its variables.

DynamoDB, Secrets Manager and the management API are moto's, in this process. The providers
are not there: what a turn does with working ones is shown in tests/e2e.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec
import pytest

from parley.errors import ConfigurationError, PostRefused
from parley.principal import ANONYMOUS
from tests.handlers.loading import ROOT, Context, event, items, load


@pytest.fixture
def turn(aws: Any) -> Iterator[ModuleType]:
    """The turn function; Lambda never closes its event loop, a test must."""
    app = load("turn")
    app.environment.management_api.post = lambda *_post: None  # there is no API Gateway to take it
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
    assert connect.handler(second, Context())["statusCode"] == 200


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


def test_what_the_deployment_says_of_manners_is_the_message_function_s(
    aws: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("GREETING", "Good evening.")
    monkeypatch.setenv("ASK_AFTER_SILENCE_SECONDS", "8")
    monkeypatch.setenv("CLIENT_CONTEXT", "on")
    message = request.getfixturevalue("message")
    message.send("init")
    (ready,) = message.posts
    assert ready["silence"] == {"ask_after_ms": 8_000}
    assert ready["choices"]["context"] is True
    (greeting,) = message.turns
    assert (greeting.say, greeting.cause) == ("Good evening.", "greeting")


def test_an_utterance_whose_end_nobody_would_find_is_refused_at_once(
    aws: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("TRANSCRIBER", "whisper")
    message = request.getfixturevalue("message")
    message.send("init")
    assert message.posts[0]["choices"]["endpointing"] == ["manual"]
    message.send("audio-start", endpointing="server_vad")
    error = message.posts[-1]
    assert (error["code"], error["field"]) == ("bad_request", "audio_start.endpointing")
    assert (error["turn_id"], message.turns) == ("turn-2", [])
    message.send("audio-start")
    assert [turn.endpointing for turn in message.turns] == ["manual"]


@pytest.mark.parametrize("function", ["connect", "message", "turn", "http_turn", "health"])
def test_no_function_starts_with_a_transcriber_that_cannot_detect_languages(
    aws: Any, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    monkeypatch.setenv("LANGUAGE_DETECTION", "on")
    monkeypatch.setenv("TRANSCRIBER", "cartesia")
    with pytest.raises(ConfigurationError, match="set LanguageDetection to off, or Transcriber"):
        load(function)


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


def test_nothing_works_before_init(message: Any) -> None:
    names = ("user-message", "audio-chunk", "interrupt", "config", "ack")
    for name in names:
        message.send(name)
    codes = [post["code"] for post in message.posts]
    assert dict(zip(names, codes, strict=True)) == dict.fromkeys(names, "not_initialised")
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


@pytest.mark.parametrize("kind", ["user-message", "audio-start"])
def test_a_turn_that_cannot_be_started_is_named(
    message: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    message.send("init")

    def fails(_request: Any) -> None:
        raise OSError("Lambda cannot be reached")

    monkeypatch.setattr(message.messages, "_start_turn", fails)
    assert message.send(kind) == {"statusCode": 500}
    asked = json.loads(event(f"message-{kind}")["body"])
    told = message.posts[-1]
    assert (told["code"], told["turn_id"]) == ("internal", asked["turn_id"])


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


@pytest.mark.parametrize("attempt", [None, 1, 2])
@pytest.mark.parametrize("claimed", [True, False])
def test_a_death_that_could_not_be_told_is_told_when_lambda_tries_again(
    message: Any, attempt: int | None, claimed: bool
) -> None:
    message.send("init")
    session = ANONYMOUS.session(message.posts[0]["session_id"])
    failure = load("failure")
    record = event("failure")
    asked = {**record["requestPayload"], "session": session, "attempt": attempt}
    record["requestPayload"] = asked
    turns, dead = failure.environment.turns, record["requestContext"]["requestId"]
    at_ms = asked["received_at_ms"]
    if claimed:
        turns.acquire_lease(session, "turn-1", dead, attempt=attempt, received_at_ms=at_ms)

    def fails(*_arguments: object) -> None:
        raise OSError("API Gateway cannot be reached")

    failure.recovery._post = fails
    with pytest.raises(OSError, match="cannot be reached"):
        failure.handler(record, Context())
    failure.recovery._post = message.post
    before = len(message.posts)
    assert failure.handler(record, Context()) == {"ended": True}
    error, end = message.posts[before:]
    assert (error["type"], end["type"]) == ("error", "turn_end")
    assert end.get("attempt", 1) == (attempt or 1)
    turns.acquire_lease(session, "turn-1", "next", attempt=3, received_at_ms=at_ms)
    assert failure.handler(record, Context()) == {"ended": False}, "the next attempt runs"


def logged(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """What the functions have logged under a name."""
    return [vars(record) for record in caplog.records if record.getMessage() == name]


def wake_of(message: Any) -> dict[str, Any]:
    """The event of the only wake, as Lambda hands it on."""
    (request,) = message.wakes
    return {"wake": msgspec.to_builtins(request)}


def test_an_init_wakes_the_turn_function_for_its_session(message: Any) -> None:
    message.send("init")
    ready = message.posts[0]
    assert wake_of(message)["wake"] == {
        "session": ANONYMOUS.session(ready["session_id"]),
        "connection_id": event("message-init")["requestContext"]["connectionId"],
        "endpoint": "https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/dev",
    }


def test_a_wake_that_cannot_be_invoked_costs_the_init_nothing(
    message: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_request: Any) -> None:
        raise OSError("Lambda cannot be reached")

    monkeypatch.setattr(message.invoker, "wake", fails)
    assert message.send("init") == {"statusCode": 200}
    assert [post["type"] for post in message.posts] == ["ready"]
    (line,) = logged(caplog, "not_woken")
    assert (line["levelname"], line["error"]) == ("WARNING", "OSError")
    assert "cannot be reached" not in str(line)


def test_the_first_turn_after_a_wake_is_not_cold(
    message: Any,
    turn: ModuleType,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    message.send("init")
    turn.runner._environment.management_api.connect = lambda endpoint, connection_id: None
    assert turn.handler(wake_of(message), Context()) == {"reason": "woken"}
    assert "_aws" not in capsys.readouterr().out, "a wake is no turn"
    (woken,) = logged(caplog, "woken")
    assert (woken["levelname"], woken["was_cold"]) == ("DEBUG", True)
    payload = {**event("turn-typed"), "session": ANONYMOUS.session(message.posts[0]["session_id"])}
    turn.handler(payload, Context())
    (emf,) = [json.loads(x) for x in capsys.readouterr().out.splitlines() if "turn_failed" in x]
    assert emf["cold"] == [0.0]


def test_a_woken_environment_knows_whose_the_connection_is(message: Any, turn: ModuleType) -> None:
    message.send("init")
    turn.runner._environment.management_api.connect = lambda _endpoint, _connection_id: None
    (request,) = message.wakes
    for _ in range(2):  # a warm one, too
        turn.arrivals.binding._bindings.clear()
        turn.handler(wake_of(message), Context())
        message.table.delete_item(
            TableName="table",
            Key={"pk": {"S": f"CONNECTION#{request.connection_id}"}, "sk": {"S": "META"}},
        )
        assert turn.arrivals.binding.find_session(request.connection_id) == request.session


def test_a_wake_in_a_warm_environment_does_nothing(message: Any, turn: ModuleType) -> None:
    message.send("init")
    opened: list[str] = []
    turn.runner._environment.management_api.connect = lambda _endpoint, name: opened.append(name)
    for _ in range(3):
        turn.handler(wake_of(message), Context())
    assert len(opened) == 1


def test_a_wake_goes_on_without_the_part_that_fails(
    message: Any, turn: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_endpoint: str, _connection_id: str) -> None:
        raise PostRefused(403)

    message.send("init")
    ref = ANONYMOUS.session(message.posts[0]["session_id"])
    turn.runner._environment.management_api.connect = fails
    turn.handler(wake_of(message), Context())
    found = [(line["part"], line["error"]) for line in logged(caplog, "not_warm")]
    assert found == [("posts", "PostRefused")]
    assert ref in turn.runner._services.history._known


def test_a_wake_that_failed_is_no_dead_turn(message: Any, caplog: pytest.LogCaptureFixture) -> None:
    message.send("init")
    failure = load("failure")
    failure.recovery._post = message.post
    before = len(message.posts)
    record = {**event("failure"), "requestPayload": wake_of(message)}
    assert failure.handler(record, Context()) == {"ended": False}
    assert message.posts[before:] == []
    assert [line["levelname"] for line in logged(caplog, "wake_failed")] == ["WARNING"]


OF_TOOLS = ["tomllib", "fastjsonschema", "parley.tools.catalog", "parley.tools.registry"]
"""What a deployment without tools has no use for: the file that comes with Parley declares none."""


OF_OTHERS = ["parley.auth", "parley.tools.kinds", "parley.websocket.message_handler"]
"""What no turn over a connection has a use for before something asks for it."""


# Those of a process are loaded one after the other: none may import what is unwanted of any.
@pytest.mark.parametrize(
    ("functions", "unwanted"),
    [
        (
            ["connect", "message", "failure"],
            ["httpx", "websockets", "boto3", "jwt", "cryptography", "parley.turn.turn", "asyncio"],
        ),
        (
            ["turn", "http_turn"],
            ["elevenlabs", "moto", "samwire", "pydantic", "aws_xray_sdk", "boto3", *OF_TOOLS],
        ),
        (["turn"], ["click", "rich", "jwt", "cryptography", "parley.http", *OF_OTHERS]),
        (["health"], ["websockets", "parley.turn.turn", "pydantic", "boto3", *OF_TOOLS]),
    ],
)
def test_a_cold_start_imports_no_more_than_it_needs(
    variables: None, functions: list[str], unwanted: list[str]
) -> None:
    code = f"""
import sys
from tests.handlers.loading import ROOT, load
sys.path.append(str(ROOT / "tools"))
for function in {functions!r}:
    load(function)
    print([(function, name) for name in {unwanted!r} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[]"] * len(functions)
