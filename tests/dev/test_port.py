"""The port of `make run`: looked at by any Python, before anything is installed or imported."""

from __future__ import annotations

import os
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import ROOT

LONGEST_S = 0.5
"""Of a processor: on a busy machine it takes longer."""


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def refusal(module: str, *arguments: str) -> str:
    """What a command says when it refuses, run by a Python that has no packages."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("command", [["dev", "--port"], ["dev.port"]], ids=" ".join)
def test_a_port_in_use_is_said_with_its_holder_and_the_way_out(
    taken: int, command: list[str]
) -> None:
    said = refusal(*command, str(taken))
    assert said.startswith(f"Port {taken} is in use by process {os.getpid()} (")
    other = re.search(r"make run PORT=(\d+)$", said.strip())
    assert other is not None
    with socket.create_server(("127.0.0.1", int(other[1]))):
        pass
    assert max(map(len, said.splitlines())) <= 80


def test_it_is_said_at_once(taken: int) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    refusal("dev", "--port", str(taken))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < LONGEST_S


def test_a_port_that_is_taken_on_ipv6_alone_is_in_use_too() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        assert "is in use" in refusal("dev.port", str(server.getsockname()[1]))


@pytest.mark.parametrize("port", ["65536", "-1", "x", "", "3001.5", "²"])
def test_what_is_no_port_is_refused(port: str) -> None:
    said = refusal("dev", f"--port={port}")
    assert f"argument --port: expected a number from 0 to 65535; got {port!r}." in said


def test_make_is_told_of_its_own_setting() -> None:
    assert refusal("dev.port", "x") == "PORT: expected a number from 0 to 65535; got 'x'.\n"


@pytest.mark.parametrize("port", ["0", None], ids=["any", "a free one"])
def test_a_free_port_is_not_refused(port: str | None) -> None:
    if port is None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = str(server.getsockname()[1])
    done = subprocess.run(
        [sys.executable, "-S", "-m", "dev.port", port], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_python_without_packages_says_where_they_come_from() -> None:
    assert (
        refusal("dev", "--port", "0") == "What this needs is not installed: make run installs it.\n"
    )


@pytest.mark.parametrize("by_make", [True, False], ids=["option of make", "environment"])
def test_make_run_looks_at_the_port_before_it_installs_anything(
    taken: int, by_make: bool, tmp_path: Path
) -> None:
    chosen = f"PORT={taken}"
    make = ["make", "run", f"VENV={tmp_path / 'none'}", f"PYTHON={sys.executable}"]
    done = subprocess.run(
        [*make, chosen] if by_make else ["env", chosen, *make],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"Port {taken} is in use by process {os.getpid()} (")
    assert list(tmp_path.iterdir()) == []
