"""The turn function as API Gateway invokes it: by the messages that begin turns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from parley.principal import ANONYMOUS
from tests.handlers.loading import Context, event, items, load

REQUEST_ID = "PJqCFEqHqRcFd0w="


class Driver:
    """The turn function, beside a message function that opens sessions."""

    def __init__(self, app: Any, message: Any) -> None:
        self.app = app
        self.message = message
        self.posts: list[dict[str, Any]] = message.posts
        app.environment.management_api.post = message.post
        app.environment.management_api.close = lambda *where: self.closed.append(where)
        self.closed: list[Any] = []

    def send(self, name: str = "user-message", **changes: Any) -> list[dict[str, Any]]:
        """Send a message; what was posted."""
        made = event(f"message-{name}")
        made["body"] = json.dumps({**json.loads(made["body"]), **changes})
        return self.invoke(made)

    def invoke(self, made: dict[str, Any]) -> list[dict[str, Any]]:
        """Invoke the function; what was posted."""
        before = len(self.posts)
        assert self.app.handler(made, Context()) == {"statusCode": 200}
        return self.posts[before:]

    @property
    def session(self) -> str:
        """The one session."""
        return ANONYMOUS.session(self.posts[0]["session_id"])

    def turn(self, turn_id: str = "turn-1") -> Any:
        """A turn as the table has it."""
        return self.app.environment.turns.get_turn(self.session, turn_id)


@pytest.fixture
def turn(message: Any, request: pytest.FixtureRequest) -> Iterator[Driver]:
    driver = Driver(load("turn"), message)
    yield driver
    driver.app.runner._loop.close()


def test_a_message_runs_its_turn_under_api_gateway_s_id(turn: Driver) -> None:
    turn.message.send("init")
    posts = turn.send()
    assert posts[-1]["type"] == "turn_end"
    assert {post["turn_id"] for post in posts} == {"turn-1"}
    assert turn.turn().owner == REQUEST_ID
    assert turn.message.turns == [], "nothing is invoked asynchronously"


def test_a_message_that_comes_twice_runs_its_turn_once(turn: Driver) -> None:
    turn.message.send("init")
    assert turn.send(attempt=1) != []
    assert turn.send(attempt=1) == []


def test_an_agent_s_turn_comes_by_an_invocation_of_its_own(turn: Driver) -> None:
    turn.message.send("init")
    asked = {**event("turn-typed"), "session": turn.session}
    assert turn.app.handler(asked, Context()) == {"reason": "failed"}, "no provider is there"
    assert turn.turn().owner == Context.aws_request_id


def test_nothing_runs_before_init(turn: Driver) -> None:
    for name in ("user-message", "audio-start"):
        (error,) = turn.send(name)
        assert (error["type"], error["code"]) == ("error", "not_initialised")
    assert items(turn.message.table, "SESSION#") == []


def test_a_connection_that_sent_no_init_in_time_is_closed(turn: Driver) -> None:
    made = event("message-user-message")
    made["requestContext"]["requestTimeEpoch"] += 61_000
    (error,) = turn.invoke(made)
    assert (error["code"], error["retryable"]) == ("not_initialised", True)
    assert [connection for _, connection in turn.closed] == ["PJqB0fHsqRcCHlw="]


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("user-message", {"text": " "}, "user_message.text"),
        ("user-message", {"turn_id": "agent-greeting"}, "user_message.turn_id"),
        ("audio-start", {"turn_id": "agent-greeting"}, "audio_start.turn_id"),
        ("audio-start", {"format": "mp3"}, "audio_start.format"),
        ("user-message", {"type": "audio_end", "chunks": 1}, "type"),
        ("user-message", {"type": "ping", "sent_at": 1, "text": None}, "type"),
    ],
)
def test_bad_input_is_refused_by_name(
    turn: Driver, name: str, changes: dict[str, Any], field: str
) -> None:
    turn.message.send("init")
    made = event(f"message-{name}")
    body = {**json.loads(made["body"]), **changes}
    made["body"] = json.dumps({key: value for key, value in body.items() if value is not None})
    (error,) = turn.invoke(made)
    assert (error["type"], error["code"], error["field"]) == ("error", "bad_request", field)
    assert turn.turn() is None


def test_a_message_too_large_is_refused(
    message: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("MESSAGE_BYTES", "1024")
    turn: Driver = request.getfixturevalue("turn")
    turn.message.send("init")
    (error,) = turn.send(text="x" * 1024)
    assert error["code"] == "too_large"


def test_an_utterance_whose_end_nobody_would_find_is_refused_with_its_turn(
    message: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("TRANSCRIBER", "whisper")
    turn: Driver = request.getfixturevalue("turn")
    turn.message.send("init")
    (error,) = turn.send("audio-start", endpointing="server_vad")
    assert (error["field"], error["turn_id"]) == ("audio_start.endpointing", "turn-2")


def test_more_turns_than_a_connection_may_ask_for_are_refused_by_name(
    message: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("TURNS_PER_MINUTE_PER_SUBJECT", "1")
    turn: Driver = request.getfixturevalue("turn")
    turn.message.send("init")
    answers = [turn.send(turn_id=f"t{n}") for n in range(30)]
    (told,) = [posts[0] for posts in answers if posts and "seq" not in posts[0]]
    assert (told["code"], told["limit"]["scope"]) == ("rate_limited", "connection")
    assert answers[-1] == [], "it is told once"
    assert turn.turn("t29") is None


def test_a_session_that_has_lasted_too_long_begins_no_turn(
    message: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("MAX_SESSION_MINUTES", "1")
    turn: Driver = request.getfixturevalue("turn")
    turn.message.send("init")
    made = event("message-user-message")
    made["requestContext"]["requestTimeEpoch"] = 4_000_000_000_000
    (ended,) = turn.invoke(made)
    assert (ended["type"], ended["reason"]) == ("session_ended", "too_long")
    assert turn.turn() is None


def test_a_table_that_fails_is_an_internal_error_of_its_turn(turn: Driver) -> None:
    turn.message.send("init")
    turn.message.table.delete_table(TableName="table")
    made = event("message-user-message")
    before = len(turn.posts)
    assert turn.app.handler(made, Context()) == {"statusCode": 500}
    (told,) = turn.posts[before:]
    assert (told["code"], told["turn_id"], told["retryable"]) == ("internal", "turn-1", True)


def test_a_connection_that_is_remembered_is_not_looked_up(
    turn: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn.message.send("init")
    binding = turn.app.arrivals.binding
    binding.remember("PJqB0fHsqRcCHlw=", turn.session)
    monkeypatch.setattr(turn.app.environment.sessions.connections, "get_connection", None)
    assert turn.send()[-1]["type"] == "turn_end"
