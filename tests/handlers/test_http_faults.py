"""Faults of ours behind the HTTP API: the log says where, and never what was said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.handlers import test_functions
from tests.handlers.test_functions import Context, event, load

aws = test_functions.aws
WORDS = "ultramarine periwinkle"


@pytest.mark.parametrize(
    ("function", "name", "method"),
    [
        ("http_turn", "http-session", "put_session"),
        ("sessions", "http-sessions-read", "session"),
    ],
)
def test_what_an_exception_says_is_not_logged(
    aws: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    function: str,
    name: str,
    method: str,
) -> None:
    def fails(*_arguments: object) -> None:
        raise ValueError(f"cannot write {WORDS}")

    app = load(function)
    monkeypatch.setattr(app.environment.store, method, fails)
    answer = app.handler(event(name), Context())
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (500, "internal")
    logged = capsys.readouterr().out
    (line,) = [json.loads(line) for line in logged.splitlines() if "request_failed" in line]
    assert line["error"] == "ValueError"
    assert line["where"]
    assert WORDS not in logged
    if function == "http_turn":
        app.runner._loop.close()  # Lambda never does, a test must
