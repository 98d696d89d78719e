"""The command `local` of before says where it went."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

SCRIPT = Path(sysconfig.get_path("scripts"), "local")


@pytest.mark.parametrize("command", [[sys.executable, "-m", "local"], [str(SCRIPT)]])
@pytest.mark.parametrize("rest", [[], ["start", "--port", "0"], ["--help"]])
def test_the_old_command_says_in_a_sentence_where_it_went(
    command: list[str], rest: list[str]
) -> None:
    ended = subprocess.run([*command, *rest], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    for new in ("`samwire start`", "`parley-standins`", "`make run`"):
        assert new in ended.stderr
