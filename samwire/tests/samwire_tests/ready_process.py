"""A command as a user runs it: a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def ready_process(
    command: list[str], log: Path, env: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Run a process that says it is ready with one JSON line; end it with its group.

    Args:
        log: the file for its standard error.
    """
    with log.open("w") as stderr:
        child = subprocess.Popen(
            command,
            env=dict(env),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            if not line:
                raise RuntimeError(f"{' '.join(command)} did not start:\n{log.read_text()}")
            yield json.loads(line)
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            if child.stdout is not None:
                child.stdout.close()
