"""What AWS refuses is refused: with logical id, what is wrong, and who says so; all at once."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from samwire.template.lint import Findings, findings_of
from samwire.template.loader import load_template
from samwire.template.reader import read_stack
from samwire_tests.app_stack import refused_here
from samwire_tests.faulty import FAULTS, FOLDER, GOOD, faulty, is_about, problems_with, written

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


Lint = Callable[[dict[str, Any], str], Findings]


@pytest.fixture(scope="module")
def linted() -> Iterator[Lint]:
    """cfn-lint, which makes its rules once here: for one template, they take half of the time."""
    from cfnlint.rules import Rules  # takes seconds

    from samwire.template.lint_worker import matches

    with pytest.MonkeyPatch.context() as patch:
        made_once = functools.cache(Rules.create_from_directory)
        patch.setattr(Rules, "create_from_directory", staticmethod(made_once))
        yield lambda template, region: findings_of(matches(template, region))


def side_by_side(names: list[str]) -> dict[str, tuple[str, ...]]:
    """Each of some faults, with those that it is looked for together with.

    A rule that is broken once in a template can only mean the one fault.
    """
    groups: list[list[str]] = []
    for name in names:
        rule = FAULTS[name]["lint"]
        fits = (g for g in groups if rule not in [FAULTS[each]["lint"] for each in g])
        if (group := next(fits, None)) is None:
            groups.append(group := [])
        group.append(name)
    return {name: tuple(group) for group in groups for name in group}


TOGETHER = side_by_side(LINTED)


@pytest.fixture(scope="module")
def lint_of(linted: Lint) -> Callable[..., Findings]:
    """What cfn-lint says of the template with some faults; asked once."""
    return functools.cache(lambda *names: linted(faulty(*names), "us-east-1"))


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", LINTED)
def test_what_cfn_lint_knows_is_refused_by_its_rule(
    name: str, lint_of: Callable[..., Findings]
) -> None:
    found = lint_of(*TOGETHER[name]).problems
    about = [problem for problem in found if is_about(problem, FAULTS[name]["at"])]
    assert [p for p in about if p.source.startswith(f"cfn-lint {FAULTS[name]['lint']}, https:")]


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("default")
def test_cfn_lint_has_nothing_against_a_good_template_and_warnings_are_notices(
    linted: Lint,
) -> None:
    found = linted(GOOD, "xx-nowhere-1")
    assert found.problems == []
    assert [notice.split(":")[0] for notice in found.notices] == ["InProduction", "Sizes"]


TEMPLATES = sorted(FOLDER.parent.rglob("template.yaml"))


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.parent.name)
def test_cfn_lint_refuses_no_template_that_is_served(path: Path, linted: Lint) -> None:
    """The stacks of the other tests do not ask it."""
    assert linted(load_template(path), "us-east-1").problems == []


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
    path = written(tmp_path, faulty(*SEVERAL))
    command = [sys.executable, "-m", "samwire", "start", "--port", "0", "--template", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    lines = ended.stderr.splitlines()
    for name in SEVERAL:
        assert [line for line in lines if line.startswith(f"{FAULTS[name]['at']}: ")], name


def test_who_knows_better_than_cfn_lint_may_leave_it_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, faulty("a DeletionPolicy that is none", "a reserved variable"))
    said = refused_here(path, capsys, "--no-lint")
    assert [line.split(":")[0] for line in said.splitlines()] == ["Function"]
