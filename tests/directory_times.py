"""Tells at the end of a run how many tests each directory has, and how long they take.

The hooks of `tests/conftest.py`; the times are sums, whatever runs at the same time.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

_seconds: defaultdict[str, float] = defaultdict(float)
_tests: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add the setup, the call or the teardown of a test."""
    directory = directory_of(report.nodeid)
    _seconds[directory] += report.duration
    _tests[directory] += report.when == "setup"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line per directory, the slowest first."""
    if len(_seconds) < 2:
        return
    terminalreporter.section("time of each directory")
    for directory, seconds in sorted(_seconds.items(), key=lambda each: -each[1]):
        terminalreporter.write_line(f"{seconds:6.0f} s {_tests[directory]:6} {directory}")


def directory_of(nodeid: str) -> str:
    """Return the directory below `tests/`, or the distribution that has tests of its own."""
    first, *rest = nodeid.partition("::")[0].split("/")
    return rest[0] if first == "tests" and len(rest) > 1 else first
