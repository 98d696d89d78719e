"""The line of a step, and what is left of a log when a step fails."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from dev.children import follow, last_words
from dev.steps import Steps, wrap


def test_a_step_is_said_before_it_begins_and_its_seconds_after_it() -> None:
    out = io.StringIO()
    with Steps(out).step("Starting"):
        assert out.getvalue() == "Starting …"
    assert re.fullmatch(r"Starting … \d+\.\d s\n", out.getvalue())


def test_a_step_within_a_step_ends_the_one_before() -> None:
    out = io.StringIO()
    steps = Steps(out)
    with steps.step("One"):
        steps.begin("Two")
    assert re.fullmatch(r"One … \d+\.\d s\nTwo … \d+\.\d s\n", out.getvalue())


def test_a_step_that_fails_ends_its_line_and_names_no_seconds() -> None:
    out = io.StringIO()
    with pytest.raises(ValueError, match="no"), Steps(out).step("Starting"):
        raise ValueError("no")
    assert out.getvalue() == "Starting …\n"


def test_progress_is_passed_on_to_the_last_line_and_is_no_reason_of_a_failure(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    log.touch()
    said: list[str] = []
    with follow(log, said.append), log.open("a") as file:
        file.write("start | reading template.yaml\nMessageFunction | start | no\nstart | crea")
        file.flush()
        file.write("ting\nTable: wrong.\n")
    assert said == ["reading template.yaml", "creating"]
    assert last_words(log, 40) == "MessageFunction | start | no\nTable: wrong."


def test_a_sentence_is_broken_at_80_columns_but_no_url_is() -> None:
    url = "http://localhost/" + "x" * 80
    lines = wrap(f"{'word ' * 20}{url}\nnext").splitlines()
    assert lines[-2:] == [url, "next"]
    assert all(len(line) <= 80 for line in lines if line != url)
