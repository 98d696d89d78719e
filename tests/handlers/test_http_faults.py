"""Faults of ours behind the HTTP API: the log says where, and never what was said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.handlers.loading import Context, event, load

WORDS = "ultramarine periwinkle"


@pytest.mark.parametrize(
    ("function", "name", "method"),
    [
        ("http_turn", "http-session", "put_session"),
        ("sessions", "http-sessions-read", "get_session"),
    ],
)
def test_what_an_exception_says_is_not_logged(
    aws: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    function: str,
    name: str,
    method: str,
) -> None:
    def fails(*_arguments: object) -> None:
        raise ValueError(f"cannot write {WORDS}")

    app = load(function)
    monkeypatch.setattr(app.environment.sessions, method, fails)
    asked = event(name)
    asked["headers"]["x-resume-token"] = "token"
    answer = app.handler(asked, Context())
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (500, "internal")
    (record,) = [each for each in caplog.records if each.message == "request_failed"]
    assert vars(record)["error"] == "ValueError"
    assert vars(record)["where"]
    assert record.exc_info is None
    assert WORDS not in str(vars(record))
    if function == "http_turn":
        app.runner._loop.close()  # Lambda never does, a test must
