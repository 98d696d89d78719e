"""What is generated from the protocol is current, and says what the protocol does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from parley.protocol import messages

ROOT = Path(__file__).parents[2]


def test_generated_files_are_current() -> None:
    check = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stdout + "run `make generate`"


EVENTS: list[messages.ServerEvent] = [
    messages.Transcript("t", 1, "hello", final=True),
    messages.ReplyText("t", 2, "Hi"),
    messages.Audio("t", 3, b"\0\0", "pcm_24000", 0, 1, [messages.Word("Hi", 0, 1)]),
    messages.TurnEnd("t", 4, "completed", "Hi", messages.Metrics(total_ms=1.5)),
    messages.Ready("s", "r", False, messages.Settings(speed=1.0), messages.Limits(), 1),
    messages.Ready(
        "s",
        "r",
        True,
        messages.Settings(),
        messages.Limits(),
        1,
        messages.Choices(["voice"], [messages.Voice("v", "Vera")], ["en"]),
        ["responder"],
    ),
    messages.Error("bad_request", "No.", retryable=False, field="x"),
    messages.Pong(1.0),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_events_satisfy_the_json_schema(event: messages.ServerEvent) -> None:
    schema = json.loads((ROOT / "docs" / "protocol.schema.json").read_text())
    wanted = {**schema, "$ref": "#/$defs/ServerEvent"}
    jsonschema.validate(json.loads(messages.encode(event)), wanted)
