"""Looks at a port before anything is installed or imported for it.

    python -m dev.port [PORT]

It needs the standard library alone: `make run` asks it before there is an environment.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from dev.steps import wrap

DEFAULT_PORT = 3001
OTHER_PORTS = range(4000, 4100, 10)
"""One of them is proposed where the port is taken."""
HIGHEST_PORT = 65535
_HOSTS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
"""What the emulator listens on."""
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A machine without IPv6."""
_LISTENING = "0A"
_LONGEST_COMMAND = 40
_LONGEST_SEARCH_S = 0.2


class PortRefused(Exception):
    """A port cannot be had; says why and what to do."""


def port_number(text: str) -> int:
    """Read a port, for argparse.

    Raises:
        ArgumentTypeError: it is no number from 0 to 65535.
    """
    if not (text.isascii() and text.isdigit() and int(text) <= HIGHEST_PORT):
        raise argparse.ArgumentTypeError(
            f"expected a number from 0 to {HIGHEST_PORT}; got {text!r}."
        )
    return int(text)


def check_port(port: int) -> None:
    """Make sure that the emulator can have a port; 0 is always free.

    Raises:
        PortRefused: another process has it, or the system gives it to nobody.
    """
    if not port:
        return
    error = _error_of_binding(port)
    if error is None:
        return
    other = next((other for other in OTHER_PORTS if not _error_of_binding(other)), 0)
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(port)
        by = f" by {holder}" if holder else ""
        raise PortRefused(
            f"Port {port} is in use{by}. Stop that, or choose another: make run PORT={other}"
        )
    raise PortRefused(
        f"Port {port} cannot be used ({error.strerror}). Choose another: make run PORT={other}"
    )


def _error_of_binding(port: int) -> OSError | None:
    for family, host in _HOSTS:
        with contextlib.ExitStack() as opened:
            try:
                probe = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                probe.listen(1)
            except OSError as error:
                if error.errno not in _NO_SUCH_ADDRESS:
                    return error
    return None


def holder_of(port: int) -> str:
    """Say who listens on a port, as far as this user may know; empty where that is nothing."""
    if Path("/proc/net/tcp").exists():
        return _holder_in_proc(port)
    return _holder_by_lsof(port)


def _holder_in_proc(port: int) -> str:
    inodes = dict(_listeners_in_proc(port))
    until = time.monotonic() + _LONGEST_SEARCH_S
    for process in Path("/proc").iterdir():
        if time.monotonic() > until:
            break
        if process.name.isdigit() and _holds(process, inodes):
            return _shown(process.name, _command_of(process))
    return f"a process of the user {_name_of(min(inodes.values()))}" if inodes else ""


def _holds(process: Path, inodes: Mapping[str, int]) -> bool:
    """Whether a process has one of these sockets; False where this user may not know."""
    with contextlib.suppress(OSError):
        for descriptor in os.scandir(process / "fd"):
            if os.readlink(descriptor.path).removeprefix("socket:[").rstrip("]") in inodes:
                return True
    return False


def _command_of(process: Path) -> str:
    with contextlib.suppress(OSError):
        program, *rest = (process / "cmdline").read_text(errors="replace").rstrip("\0").split("\0")
        return shlex.join([Path(program).name, *rest])
    return ""


def _listeners_in_proc(port: int) -> Iterator[tuple[str, int]]:
    """Inode and user of each socket that listens on a port."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                _, local, _, state, _, _, _, user, _, inode, *_ = line.split()
                if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                    yield inode, int(user)


def _name_of(user: int) -> str:
    import pwd

    with contextlib.suppress(KeyError):
        return pwd.getpwuid(user).pw_name
    return str(user)


def _holder_by_lsof(port: int) -> str:
    lsof = shutil.which("lsof")
    if lsof is None:
        return ""
    command = [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LONGEST_SEARCH_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = {line[0]: line[1:] for line in done.stdout.splitlines()[:2] if line}
    return _shown(found["p"], found.get("c", "")) if "p" in found else ""


def _shown(process_id: str, command: str) -> str:
    if len(command) > _LONGEST_COMMAND:
        command = command[: _LONGEST_COMMAND - 1] + "…"
    return f"process {process_id} ({command})" if command else f"process {process_id}"


def main() -> int:
    """Check the port of the command line, which `make` has as `PORT`; returns the exit code."""
    try:
        check_port(port_number(sys.argv[1]) if sys.argv[1:] else DEFAULT_PORT)
    except argparse.ArgumentTypeError as refusal:
        print(wrap(f"PORT: {refusal}"), file=sys.stderr)
        return 2
    except PortRefused as refusal:
        print(wrap(str(refusal)), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
