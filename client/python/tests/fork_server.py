"""Forks a process for each command that it is asked for, with the command's own imports done.

    python fork_server.py DESCRIPTOR

`DESCRIPTOR` is a socket: `commands.py` holds its other end. It ends with that.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import socket
import sys

COMMANDS = ("parley_client.demo", "parley_client.talk")
DESCRIPTORS = 4
"""Standard input, output and errors of a command, and where its end is told."""


def serve(control: socket.socket) -> None:
    """Start what is asked for; a child returns from here to be the command."""
    for command in COMMANDS:
        importlib.import_module(command)
        del sys.modules[command]  # it runs as `__main__`, as `python -m` has it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who tell of the ends
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 1 << 17, DESCRIPTORS)
        if not request:
            return
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _run_and_tell(json.loads(request), descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)


def _run_and_tell(request: dict[str, object], descriptors: list[int]) -> None:
    """Fork the command, tell its process id and its exit code; the command itself returns."""
    *streams, told = descriptors
    command = os.fork()
    if command == 0:
        os.close(told)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        _become(**request)  # type: ignore[arg-type]  # of the other end's making
        return
    for descriptor in streams:
        os.close(descriptor)
    os.write(told, f"{command}\n".encode())
    _, status = os.waitpid(command, 0)
    os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(module: str, arguments: list[str], environment: dict[str, str]) -> None:
    # Those there are remember what this process was started with, such as files.
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
