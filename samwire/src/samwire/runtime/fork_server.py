"""A process that has imported what a function needs, and forks its environments from itself.

python -m samwire.runtime.fork_server PARENT_PID HANDLER HOSTS

It has the function's variables, and talks over the socket on its standard input, a JSON object in
each packet. It is told what to import, then asked for environments; every request brings the
variables of one, and the pipe for its output. It is single-threaded, and reports what ends.

An environment runs AWS's own runtime client, as `samwire.runtime.launcher` does. What its handler's
module does when it is imported, it does after the fork, in the environment.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from samwire.file_limit import limit_the_function
from samwire.parent_process import end_with_parent
from samwire.runtime.definitions import Definitions
from samwire.runtime.launcher import before_any_import, run_client

MAX_PACKET_BYTES = 128 * 1024


class Unsafe(Exception):
    """A module that must be imported in each environment; a sentence that says why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name


def main() -> None:
    """Serve until nobody needs it."""
    end_with_parent(int(sys.argv[1]))
    control = socket.socket(fileno=os.dup(0))
    _lead_standard_input_nowhere()
    usual = before_any_import(sys.argv[3])
    client = _import_client_without_its_connection()
    plan = json.loads(control.recv(MAX_PACKET_BYTES))
    try:
        imported = preload(plan["installed"], plan["own"])
    except Unsafe as unsafe:
        control.send(json.dumps({"unsafe": unsafe.name, "why": str(unsafe)}).encode())
        return
    _settle()
    control.send(json.dumps({"ready": imported}).encode())
    if _serve(control):
        _connect(client)
        run_client(sys.argv[2], usual)


def preload(installed: Iterable[str], own: Mapping[str, str]) -> int:
    """Import modules, before environments are forked; return how many there are.

    Args:
        installed: names of modules of installed packages.
        own: files of the function's and its layers' modules, by name: imported as far as they only
            define things.

    Raises:
        Unsafe: an import did what each environment must do by itself.
    """
    defining = Definitions({name: Path(file) for name, file in own.items()}).only_define()
    with _output_kept() as output:
        for name in [*installed, *defining]:
            if name not in sys.modules:
                before = _held(output)
                with contextlib.suppress(Exception):  # whoever needs it is told by it
                    importlib.import_module(name)
                _check(name, before, _held(output))
    return len(sys.modules)


def _import_client_without_its_connection() -> Any:
    """Import AWS's runtime client, but for its part in C: that reads the address, and only once."""
    sys.modules["runtime_client"] = cast("ModuleType", None)  # what an import of it then says
    from awslambdaric import bootstrap, lambda_runtime_client  # noqa: F401  # all of it

    del sys.modules["runtime_client"]
    return lambda_runtime_client


def _connect(client: Any) -> None:
    """Do what the client's import does in a process of its own."""
    client.runtime_client = importlib.import_module("runtime_client")
    client.runtime_client.initialize_client(client._user_agent())


def _held(output: int) -> dict[str, Any]:
    """Return what a fork does not hand on, or hands on to all."""
    return {
        "starts a thread": len(os.listdir("/proc/self/task")),
        "opens a file or socket": set(os.listdir("/proc/self/fd")),
        "starts a process": Path(f"/proc/self/task/{os.getpid()}/children").read_text(),
        "prints": os.fstat(output).st_size,
        "changes a variable of the environment": dict(os.environ),
        "handles a signal": [signal.getsignal(number) for number in _SIGNALS],
        "sets a timer": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
    }


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR1)


def _check(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for what, value in after.items():
        if value != before[what]:
            raise Unsafe(name, f"the import of {name} {what}")


@contextlib.contextmanager
def _output_kept() -> Iterator[int]:
    """Lead what is printed to a file in memory; gives its descriptor."""
    kept = os.memfd_create("output")
    saved = [os.dup(1), os.dup(2)]
    os.dup2(kept, 1)
    os.dup2(kept, 2)
    try:
        yield kept
    finally:
        sys.stdout.flush()
        for number, file in enumerate(saved, 1):
            os.dup2(file, number)
            os.close(file)
        os.close(kept)


def _settle() -> None:
    """Have environments share what is there: the collector would write to every object."""
    gc.collect()
    gc.freeze()


def _serve(control: socket.socket) -> bool:
    """Fork environments; return True in each of them, and exit here when all have ended."""
    children: dict[int, tuple[int, int]] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    is_asked = True
    while is_asked or children:
        for file, _event in poll.poll():
            if file in children:
                poll.unregister(file)
                number, pid = children.pop(file)
                os.close(file)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _tell(control, {"ended": number, "status": status})
                continue
            packet, files, _flags, _sender = socket.recv_fds(control, MAX_PACKET_BYTES, 1)
            if not packet:
                poll.unregister(control)
                is_asked = False
                continue
            asked = json.loads(packet)
            pid = os.fork()
            if pid == 0:
                _become(asked, files[0], control, children)
                return True
            os.close(files[0])
            watched = os.pidfd_open(pid)
            children[watched] = (asked["number"], pid)
            poll.register(watched, select.POLLIN)
    sys.exit()


def _become(
    asked: Mapping[str, Any], output: int, control: socket.socket, others: Iterable[int]
) -> None:
    """Make this process an environment of its own."""
    parent = os.getppid()
    os.setsid()
    end_with_parent(parent)
    for number in (1, 2):
        os.dup2(output, number)
    os.close(output)
    for file in others:
        os.close(file)
    _forget_what_differs()
    os.environ.clear()
    os.environ.update(asked["variables"])
    limit_the_function()
    _tell(control, {"started": asked["number"], "pid": os.getpid()})
    control.close()


def _forget_what_differs() -> None:
    """Begin anew what Python itself does not begin anew after a fork: it seeds `random` alone."""
    modules: dict[str, Any] = dict(sys.modules)
    if "tempfile" in modules:
        modules["tempfile"].tempdir = None
    if "numpy.random" in modules:
        modules["numpy.random"].seed()


def _tell(control: socket.socket, message: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody needs to know any more
        control.send(json.dumps(message).encode())


def _lead_standard_input_nowhere() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


if __name__ == "__main__":
    main()
