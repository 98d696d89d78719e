"""What `make test` says of the time that it takes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.directory_times import directory_of

TIMED = Path(__file__).parents[1] / "timed.sh"


def timed(times: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", TIMED, *command],
        env={"PATH": "/usr/bin:/bin", "TIMES": str(times)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_part_keeps_its_status_and_its_times_are_added(tmp_path: Path) -> None:
    times = tmp_path / "times"
    times.write_text("types 40 0\nstyle 2 0\nstyle 3 0\n")
    assert timed(times, "types", "sh", "-c", "exit 3").returncode == 3
    assert timed(times).stdout == "\nParts: types 40 s, style 5 s\nFailed: types\n"


def test_nothing_is_said_of_no_parts(tmp_path: Path) -> None:
    assert timed(tmp_path / "times").stdout == ""


@pytest.mark.parametrize(
    ("nodeid", "directory"),
    [
        ("tests/unit/test_a.py::test[a/b]", "unit"),
        ("tests/local/standins/test_a.py::test", "local"),
        ("tests/test_a.py::test", "tests"),
        ("samwire/tests/test_a.py::test", "samwire"),
    ],
)
def test_the_directory_of_a_test(nodeid: str, directory: str) -> None:
    assert directory_of(nodeid) == directory
