"""What the functions write to their logs, whatever goes wrong, holds nothing of anybody's.

They run in a process of their own, so that all it writes is seen: log lines, metrics,
warnings and tracebacks alike.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.handlers.loading import KEY, ROOT, VARIABLES
from tests.unit.tokens import SECRET

WORDS = "ultramarine periwinkle"
AUDIO = base64.b64encode(b"\x13\x37" * 60).decode()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """Everything that was written, and what the client got."""
    found = tmp_path_factory.mktemp("driver") / "found.json"
    logged = written_by("log_lines", WORDS, AUDIO, str(found))
    return logged, json.loads(found.read_text())


def written_by(driver: str, *arguments: str, **variables: str) -> str:
    """Everything that a driver wrote."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.handlers.{driver}", *arguments],
        cwd=ROOT,
        env={**os.environ, **VARIABLES, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_logs_hold_nothing_that_was_said_and_nothing_secret(
    run: tuple[str, dict[str, Any]],
) -> None:
    logged, found = run
    for secret in (*WORDS.split(), KEY, AUDIO, AUDIO[:40], found["token"]):
        assert secret not in logged


def test_the_logs_say_what_went_wrong(run: tuple[str, dict[str, Any]]) -> None:
    logged, _ = run
    lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    events = [line["message"] for line in lines if "message" in line]
    for event in ("connected", "message_refused", "message_failed", "turn_ended", "turn_failed"):
        assert event in events
    assert {"request_refused", "request_failed"} <= set(events)
    refused = [line for line in lines if line.get("message") == "message_refused"]
    assert {line["code"] for line in refused} == {"bad_request", "unknown_type"}
    assert all("correlation_id" in line for line in refused)


def test_what_goes_wrong_here_is_internal_and_no_stack_trace_to_the_client(
    run: tuple[str, dict[str, Any]],
) -> None:
    _, found = run
    internal = [frame for frame in found["frames"] if frame.get("code") == "internal"]
    assert len(internal) == 2, "a chunk and a config need the table; a typed turn does not"
    assert "Traceback" not in json.dumps(found["frames"])
    assert "botocore" not in json.dumps(found["frames"])


def test_at_debug_no_library_logs_a_secret_of_functions_that_are_alone() -> None:
    logged = written_by("alone", AUTH_MODE="secret", AUTH_SECRET_ARN="tokens")
    for says in ("token_made", "unhealthy"):
        assert says in logged
    assert KEY not in logged
    assert SECRET not in logged
