"""Where `make` gets the Python 3.13 from that `sam build` needs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "python313.sh"
UV = """
case "$*" in
  "python find"*) [ -e "$HOME/lib/python3.13" ] && echo "$HOME/lib/python3.13" ;;
  "python install --quiet 3.13") mkdir "$HOME/lib" && mv "$HOME/unpacked" "$HOME/lib/python3.13" ;;
esac
"""
PYTHON = """
case "$2" in
  *version_info*) exit 0 ;;
  *) echo "/where/it/is/bin/python3.13" ;;
esac
"""


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh{text}")
    path.chmod(0o755)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A machine whose only programs are those of its `bin`."""
    (tmp_path / "bin").mkdir()
    for name in ("dirname", "mkdir", "mv"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / "bin" / name).symlink_to(found)
    return tmp_path


def looked_for(home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", SCRIPT],
        env={"HOME": str(home), "PATH": str(home / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_that_is_there_is_taken(home: Path) -> None:
    program(home / "bin" / "python3.13", PYTHON)
    found = looked_for(home)
    assert (found.returncode, found.stdout, found.stderr) == (0, "/where/it/is/bin\n", "")


def test_where_there_is_none_uv_installs_one(home: Path) -> None:
    program(home / "bin" / "uv", UV)
    program(home / "unpacked", PYTHON)
    found = looked_for(home)
    assert (found.returncode, found.stdout) == (0, "/where/it/is/bin\n")
    assert "uv python install 3.13" in found.stderr


@pytest.mark.parametrize("uv", [None, "\nexit 1\n"])
def test_where_none_can_be_had_a_sentence_says_what_to_install(home: Path, uv: str | None) -> None:
    if uv is not None:
        program(home / "bin" / "uv", uv)
    found = looked_for(home)
    assert (found.returncode, found.stdout) == (1, "")
    assert "sam build needs Python 3.13 with pip. Install it (" in found.stderr
