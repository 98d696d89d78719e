"""`make run` is stopped and started again, and the page goes on with its conversation."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Open
from tests.browser.page import type_message, until_played
from tests.e2e.stack import ROOT

LAST = "Ctrl-C stops everything."


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def run(port: int, folder: Path) -> Iterator[str]:
    """A run, until this is left: what it has said when everything serves."""
    command = [sys.executable, "-m", "dev", "--port", str(port), "--demo", "no"]
    command += ["--standins", "small", "--logs", str(folder), "--db-path", str(folder / "data")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        try:
            while LAST not in said and (line := process.stdout.readline()):
                said += line
            yield said
        finally:
            process.terminate()
            process.wait(30)


@pytest.mark.timeout(180)
def test_the_page_goes_on_with_its_session_after_a_restart(
    browser: Browser, opened: Open, tmp_path: Path
) -> None:
    port = free_port()
    with run(port, tmp_path) as said:
        assert LAST in said
        page = opened(browser, f"http://localhost:{port}/")
        type_message(page, "My name is Alice.")
        expect(page.locator(".turn").first).to_contain_text("Alice", timeout=20_000)
        page.locator(".turn[data-state=done]").wait_for(timeout=20_000)
        until_played(page)
    page.wait_for_selector("#state:not([data-state=ready])", timeout=20_000)
    with run(port, tmp_path):
        # It has come back by itself; nobody has reloaded it.
        page.wait_for_selector("#state[data-state=ready]", timeout=60_000)
        type_message(page, "What is my name?")
        expect(page.locator(".turn").nth(1)).to_contain_text("Your name is Alice", timeout=30_000)
