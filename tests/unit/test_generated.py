"""What is generated from the protocol is current, and says what the protocol does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from parley import protocol

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


EVENTS: list[protocol.ServerEvent] = [
    protocol.Transcript("t", 1, "hello", final=True),
    protocol.ReplyText("t", 2, "Hi"),
    protocol.Audio("t", 3, b"\0\0", "pcm_24000", 0, 1, [protocol.Word("Hi", 0, 1)]),
    protocol.TurnEnd("t", 4, "completed", "Hi", protocol.Metrics(total_ms=1.5)),
    protocol.Ready("s", "r", False, protocol.Settings(speed=1.0), protocol.Limits(), 1),
    protocol.Ready(
        "s",
        "r",
        True,
        protocol.Settings(),
        protocol.Limits(),
        1,
        protocol.Choices(["voice"], [protocol.Voice("v", "Vera")], ["en"]),
        ["responder"],
    ),
    protocol.Error("bad_request", "No.", retryable=False, field="x"),
    protocol.Pong(1.0),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_events_satisfy_the_json_schema(event: protocol.ServerEvent) -> None:
    schema = json.loads((ROOT / "docs" / "protocol.schema.json").read_text())
    wanted = {**schema, "$ref": "#/$defs/ServerEvent"}
    jsonschema.validate(json.loads(protocol.encode(event)), wanted)
