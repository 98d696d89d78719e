"""What AWS refuses is refused: with logical id, what is wrong, and who says so; all at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.template.lint import Findings, findings_of
from local.template.loader import load_template
from local.template.reader import read_stack
from tests.e2e.stack import ROOT
from tests.local.faulty import FAULTS, FOLDER, GOOD, faulty, is_about, problems_with, written

OWN = [name for name, fault in FAULTS.items() if "lint" not in fault]
LINTED = [name for name, fault in FAULTS.items() if "lint" in fault]


def test_there_are_enough_to_try() -> None:
    assert len(FAULTS) >= 90


def test_a_good_template_starts_without_a_word() -> None:
    stack = read_stack(FOLDER / "template.yaml", {}, "us-east-1", "localhost:1")
    assert stack.notices == []


@pytest.mark.parametrize("name", OWN)
def test_a_fault_is_refused_with_logical_id_and_source(tmp_path: Path, name: str) -> None:
    found = problems_with(written(tmp_path, faulty(name)))
    about = [problem for problem in found if is_about(problem, FAULTS[name]["at"])]
    assert about, [str(problem) for problem in found]
    assert all(str(problem).endswith("]") for problem in about), "no source"
    assert all(len(str(problem).splitlines()) == 1 for problem in about)


def linted(template: dict[str, Any], region: str = "us-east-1") -> Findings:
    from local.template.lint_worker import matches  # takes seconds

    return findings_of(matches(template, region))


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", LINTED)
def test_what_cfn_lint_knows_is_refused_by_its_rule(name: str) -> None:
    found = linted(faulty(name)).problems
    about = [problem for problem in found if is_about(problem, FAULTS[name]["at"])]
    assert [p for p in about if p.source.startswith(f"cfn-lint {FAULTS[name]['lint']}, https:")]


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("default")
def test_cfn_lint_has_nothing_against_a_good_template_and_warnings_are_notices() -> None:
    found = linted(GOOD, "xx-nowhere-1")
    assert found.problems == []
    assert [notice.split(":")[0] for notice in found.notices] == ["InProduction", "Sizes"]


TEMPLATES = [*sorted((FOLDER.parent).rglob("template.yaml")), ROOT / "template.yaml"]


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.parent.name)
def test_cfn_lint_refuses_no_template_that_is_served(path: Path) -> None:
    """The stacks of the other tests do not ask it."""
    assert linted(load_template(path)).problems == []


def started(template: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`local start` of a template that is refused."""
    command = [sys.executable, "-m", "local", "start", "--port", "0", "--template", str(template)]
    return subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )


SEVERAL = [
    "an integration without a permission",
    "a stage without a deployment",
    "a reserved variable",
    "more than 15 minutes",
    "an attribute that does not exist",
    "a queue that is FIFO and not called so",
    "a DeletionPolicy that is none",
]


@pytest.mark.timeout(180)
def test_all_faults_are_told_at_once_and_nothing_starts(tmp_path: Path) -> None:
    ended = started(written(tmp_path, faulty(*SEVERAL)))
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    lines = ended.stderr.splitlines()
    for name in SEVERAL:
        assert [line for line in lines if line.startswith(f"{FAULTS[name]['at']}: ")], name


@pytest.mark.timeout(180)
def test_who_knows_better_than_cfn_lint_may_leave_it_out(tmp_path: Path) -> None:
    path = written(tmp_path, faulty("a DeletionPolicy that is none", "a reserved variable"))
    ended = started(path, "--no-lint")
    assert [line.split(":")[0] for line in ended.stderr.splitlines()] == ["Function"]
