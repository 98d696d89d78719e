"""The threat model in docs/security.md: whatever it says is stopped names a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
HEADER = "| who | what they try | how it is stopped | test |\n"
ROWS = [
    row
    for table in PAGE.split(HEADER)[1:]
    for row in table.partition("\n\n")[0].splitlines()
    if not row.startswith("| ---")
]
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def test_there_is_a_threat_model() -> None:
    assert len(ROWS) > 10


@pytest.mark.parametrize("row", ROWS, ids=[row.strip("| ")[:60] for row in ROWS])
def test_every_threat_names_who_what_how_and_tests_that_are_there(row: str) -> None:
    who, what, how, tests = (cell.strip() for cell in row.strip("|").split(" | "))
    assert who
    assert what
    assert how
    named = NAMED.findall(tests)
    assert named
    for file, name in named:
        assert re.search(rf"^(?:async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    assert NAMED.sub("", tests).strip(", ") == "", "every name is of the form `file.py::test`"
