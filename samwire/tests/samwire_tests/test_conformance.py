"""The table of what the local API Gateway does: every row names a test, or says why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from samwire.gateway.options import Assumptions

TESTS = Path(__file__).parent
DOCS = TESTS.parents[1] / "docs"
ROWS = [
    line
    for line in (DOCS / "conformance.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| API Gateway |", "| Lambda |"))
]
REASONS = ("not ", "no test: ", "no effect", "has no effect", "does not ")


def test_every_test_that_is_named_is_there() -> None:
    file, missing = "", []
    for row in ROWS:
        for name in re.findall(r"`(test_[a-z0-9_]+(?:\.py)?)`", row):
            if name.endswith(".py"):
                file = name
            elif f"def {name}(" not in (TESTS / file).read_text():
                missing.append(f"{file} {name}")
    assert missing == []


@pytest.mark.parametrize("row", ROWS)
def test_every_row_names_a_test_or_a_reason(row: str) -> None:
    _, sure, here = (cell.strip() for cell in row.strip("|").split(" | "))
    assert sure
    assert "`test_" in here or here.startswith(REASONS)


@pytest.mark.parametrize("page", ["guide.md", "conformance.md"])
def test_every_assumption_is_in_the_documentation(page: str) -> None:
    text = (DOCS / page).read_text()
    names = [name.replace("_", "-") for name in Assumptions.__dataclass_fields__]
    assert [name for name in names if f"`{name}`" not in text] == []
