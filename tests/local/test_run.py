"""`local run` as a process: what it gives to the stack, and what it does when that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.__main__ import options_of
from local.log_writer import LogWriter
from local.template.intrinsics import TemplateError

SECRET = "a-secret-of-more-than-thirty-two-characters"
pytestmark = pytest.mark.timeout(120)


def children(pid: int) -> dict[int, str]:
    """The command lines of a process's children and of theirs."""
    found: dict[int, str] = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found[int(child)] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
        found |= children(int(child))
    return found


def environment_of(pid: int) -> str:
    """What a process was started with."""
    return Path(f"/proc/{pid}/environ").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_keys_are_on_no_command_line_and_the_end_of_the_stack_is_noticed(tmp_path: Path) -> None:
    environment = {**os.environ, "AUTH_MODE": "secret", "AUTH_SECRET": SECRET}
    command = [sys.executable, "-m", "local", "run", "--no-demo", "--port", "0"]
    with subprocess.Popen(
        [*command, "--logs", str(tmp_path)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stderr is not None
            assert any(line.startswith("Ctrl-C") for line in running.stdout), "it runs"
            lines = children(running.pid)
            stack = next(pid for pid, line in lines.items() if "local start" in line)
            assert not [line for line in lines.values() if SECRET in line]
            assert not [pid for pid in lines if SECRET in environment_of(pid)]
            os.kill(stack, signal.SIGKILL)
            assert running.wait(20) == 2
            assert "The stack has ended." in running.stderr.read()
        finally:
            running.kill()


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "is not valid JSON"), ("[]", "expected an object"), (None, "No such file")],
)
def test_a_parameter_file_that_is_none_is_one_sentence(
    tmp_path: Path, content: str | None, said: str
) -> None:
    file = tmp_path / "parameters.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(TemplateError, match=said):
        options_of(["--parameter-file", str(file)], LogWriter(None, None))


def test_what_the_command_line_says_counts_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "parameters.json"
    file.write_text('{"A": "of the file", "B": 2}')
    line = ["--parameter-file", str(file), "--parameter-overrides", "A=of the line"]
    options = options_of(line, LogWriter(None, None))
    assert options.parameters == {"A": "of the line", "B": "2"}
