"""What is generated from the protocol is current, and says what the protocol does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import jsonschema
import pytest

from parley.errors import ErrorCode
from parley.protocol import messages as protocol

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "layers" / "parley" / "parley"


def test_generated_files_are_current() -> None:
    check = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stdout + "run `make generate`"


def first_column(title: str) -> set[str]:
    """What the first cells of the table below a title of docs/protocol.md name as code."""
    page = (ROOT / "docs" / "protocol.md").read_text()
    section = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)}


def test_the_page_explains_every_error_code() -> None:
    assert first_column("Errors") - {"retryable"} == set(get_args(ErrorCode))


def test_the_page_explains_every_limit() -> None:
    named = first_column("Limits") - {"scope", "connection"}
    source = "".join(path.read_text() for path in LIBRARY.rglob("*.py"))
    used = set(re.findall(r'"(\w+_per_(?:second|minute|day)|utterance_seconds)"', source))
    kinds = re.search(r"^RequestKind = Literal\[(.*)\]", source, re.MULTILINE)
    assert kinds is not None
    used |= {f"{kind}_per_minute" for kind in re.findall(r"\w+", kinds[1])}
    # More pings are answered without looking; the handshake alone counts connections.
    assert named == used - {"pings_per_minute"} | {"connections"}


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
