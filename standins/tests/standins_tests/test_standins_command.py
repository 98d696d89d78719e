"""`python -m parley_standins` as a process: how it starts and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from parley_standins.__main__ import main, watch_parent
from standins_tests.conftest import Standins, running


def children(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    return [child for child, parent in pairs if parent == pid]


def alive(pid: int) -> bool:
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(listed.stdout.strip()) and not listed.stdout.strip().startswith("Z")


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 15
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "left behind"
        time.sleep(0.05)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_it_leaves_no_worker_behind(signum: signal.Signals) -> None:
    with running() as standins:
        ends_without_workers(standins, signum)


def ends_without_workers(standins: Standins, signum: signal.Signals) -> None:
    """Send a signal and see its end, and that of its workers."""
    workers = children(standins.process.pid)
    assert len(workers) == 2
    standins.process.send_signal(signum)
    code = standins.process.wait(20)
    assert code == (-signal.SIGKILL if signum == signal.SIGKILL else 0)
    wait_until_gone(workers)


async def test_a_parent_that_went_before_it_was_watched_is_noticed() -> None:
    over = asyncio.Event()
    async with asyncio.timeout(5):
        await watch_parent(os.getppid() + 1, over)
    assert over.is_set()


def test_it_ends_with_its_parent() -> None:
    script = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-m', 'parley_standins',"
        " '--exit-with-parent'], stdout=subprocess.PIPE); p.stdout.readline(); print(p.pid)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    wait_until_gone([int(done.stdout)])


def test_delays_and_keys_are_options_and_sigterm_ends_it() -> None:
    with running("--tts-first-byte-ms", "40", "--llm-token-ms", "10", "--api-key", "k1") as both:
        delays = both.elevenlabs.http.get("/_control").json()["delays"]
        assert delays["tts_first_byte_ms"] == 40
        assert both.llm.http.get("/_control").json()["delays"]["llm_token_ms"] == 10
        voices = both.elevenlabs.http.get("/v1/voices", headers={"xi-api-key": "k1"})
        assert voices.status_code == 200
        assert both.elevenlabs.http.get("/v1/voices").status_code == 401
        ends_without_workers(both, signal.SIGTERM)


def test_a_delay_that_makes_no_sense_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["standins", "--llm-token-ms", "-5"])
    assert main() == 2
    assert "out of range" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--elevenlabs-port", "--llm-port"])
@pytest.mark.parametrize("port", ["-1", "65536", "web"])
def test_what_is_no_port_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, option: str, port: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["standins", f"{option}={port}"])
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr().err
    assert f"argument {option}: must be a whole number from 0 to 65535, not '{port}'" in said


def test_its_first_line_has_the_services_behind_tools(shared: Standins) -> None:
    answer = shared.vendors["tools"].http.get("/_control/ledger")
    assert answer.json()["effects"] == 0
