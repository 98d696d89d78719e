"""The gateways that `benchmarks/gateway.py` measures, each as a process of its own.

The local stack, serverless-offline with the same handler, and a bare echo.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.stack import process

ROOT = Path(__file__).resolve().parent.parent
ECHO = ROOT / "benchmarks" / "echo"
PACKAGES = ("serverless@3.40.0", "serverless-offline@13.9.0")
"""The last versions that run without an account: from 4 on, `serverless` wants a login."""
INSTALLED = ROOT / ".local" / "serverless-offline-13.9.0"
INSTALL_S, START_S = 300, 60
ENVIRONMENTS = 2
"""Of the function from the start; more follow as they are needed."""


class Unavailable(Exception):
    """A server cannot be had on this machine; says why."""


@dataclass(frozen=True)
class Server:
    """One that echoes.

    Attributes:
        pid: of the process that holds the connections.
    """

    name: str
    url: str
    pid: int

    @property
    def memory_mb(self) -> float | None:
        """Resident memory of that process alone, without its children; on Linux only."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return None
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024


@contextlib.contextmanager
def local_stack(folder: Path) -> Iterator[Server]:
    """The echo on the local API Gateway and Lambda, as a user starts it."""
    command = [sys.executable, "-m", "samwire", "start", "--json", "--quiet", "--port", "0"]
    command += ["--template", str(ECHO / "template.yaml"), "--prewarm", str(ENVIRONMENTS)]
    with process(command, folder / "stack.log", os.environ) as info:
        yield Server("samwire", str(info["apis"]["Api"]["websocket_url"]), int(info["pid"]))


@contextlib.contextmanager
def bare_echo(folder: Path) -> Iterator[Server]:
    """The WebSocket library alone."""
    command = [sys.executable, "-m", "benchmarks.bare_echo"]
    with process(command, folder / "bare.log", os.environ) as info:
        yield Server("bare echo", info["url"], info["pid"])


@contextlib.contextmanager
def serverless_offline(
    folder: Path, *, installed: Path = INSTALLED, path: str | None = None
) -> Iterator[Server]:
    """The echo on serverless-offline, which is installed first if it is not there yet.

    Args:
        installed: where it is, or shall be.
        path: where npm and node are looked for; this environment's and `PATH` if None.

    Raises:
        Unavailable: it cannot be installed or does not start.
    """
    if path is None:
        path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    _install(installed, path)
    for name in ("echo.py", "serverless.yml"):
        shutil.copy(ECHO / name, installed / name)
    http, sockets, functions = _free_ports(3)
    command = [str(installed / "node_modules/.bin/serverless"), "offline", "start"]
    command += ["--host", "127.0.0.1", "--httpPort", str(http)]
    command += ["--websocketPort", str(sockets), "--lambdaPort", str(functions)]
    environment = {
        "PATH": path,
        "HOME": str(folder),  # it keeps settings there
        "VIRTUAL_ENV": sys.prefix,  # whose python3 it runs the handler with
        "SLS_TELEMETRY_DISABLED": "1",
        "SLS_NOTIFICATIONS_MODE": "off",
    }
    log = folder / "serverless-offline.log"
    with log.open("w") as out:
        child = subprocess.Popen(
            command,
            cwd=installed,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_for(f"[websocket] listening on ws://127.0.0.1:{sockets}", log, child)
            yield Server("serverless-offline", f"ws://127.0.0.1:{sockets}", child.pid)
        finally:
            _end(child)


def _install(folder: Path, path: str) -> None:
    if (folder / "node_modules/.bin/serverless").exists():
        return
    npm = shutil.which("npm", path=path)
    if npm is None:
        raise Unavailable("npm is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true}\n')
    print(f"installing {' '.join(PACKAGES)} in {folder} ...", flush=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", *PACKAGES]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"npm took more than {INSTALL_S} s to install it") from None
    if done.returncode:
        raise Unavailable(f"npm could not install it: {done.stderr.strip()[-400:]}")


def _wait_for(text: str, log: Path, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while text not in (said := log.read_text()):
        if child.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"it did not start: {said.strip()[-400:]}")
        time.sleep(0.1)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the process, and with its group the interpreters that it has started."""
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _free_ports(count: int) -> list[int]:
    """Ports that are free now; it takes none of the system's choice by itself."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in found]
