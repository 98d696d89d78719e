"""The programs that `make bench` and `make chaos` run begin, outside pytest's own search path."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.e2e.stack import ROOT


@pytest.mark.parametrize("target", ["bench", "chaos"])
def test_what_make_runs_begins(target: str) -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MAKE") and name != "PYTHONPATH"
    }
    rule = subprocess.run(
        ["make", "--dry-run", target],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    command = rule.splitlines()[-1]
    begun = subprocess.run(
        ["sh", "-c", f"{command} --help"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (begun.returncode, begun.stderr) == (0, "")
