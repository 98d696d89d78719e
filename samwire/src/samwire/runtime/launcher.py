"""What an environment's process runs: AWS's own runtime client, tied to its parent's life.

python -m samwire.runtime.launcher PARENT_PID HANDLER HOSTS [REPORT]

HOSTS is JSON: where the host names of the stack's own APIs lead, see `samwire.runtime.own_hosts`.
REPORT is an open file that is told, before the first event, which modules have been imported.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from samwire.file_limit import limit_the_function
from samwire.parent_process import end_with_parent
from samwire.runtime.own_hosts import lead_home

_VARIABLE = "AWS_LAMBDA_RUNTIME_API"
_NEVER = (10_000_000, 10, 10)
"""So many objects before Python looks for garbage: an import makes fewer, and hardly any of it."""


def main() -> None:
    """Run `awslambdaric` until killed."""
    end_with_parent(int(sys.argv[1]))
    limit_the_function()
    usual = before_any_import(sys.argv[3])
    report = int(sys.argv[4]) if len(sys.argv) > 4 else None
    run_client(sys.argv[2], usual, lambda: _report_modules(report))


def before_any_import(hosts: str) -> tuple[int, int, int]:
    """Prepare this process for a function; return when Python looks for garbage usually.

    Args:
        hosts: JSON, as above.
    """
    lead_home(json.loads(hosts), os.environ.get("AWS_CA_BUNDLE", ""))
    usual = gc.get_threshold()
    gc.set_threshold(*_NEVER)  # a seventh of the time that a function takes to initialise
    return usual


def run_client(
    handler: str, usual: tuple[int, int, int], initialised: Callable[[], None] = lambda: None
) -> None:
    """Run `awslambdaric` with a handler until killed.

    Args:
        usual: when Python looks for garbage from the first event on.
        initialised: called before the first event.
    """
    # The import reads the variable, key and all, for the client in C that takes events and
    # answers. What the function sees from here on is `host:port`, as on Lambda.
    from awslambdaric.__main__ import main as run
    from awslambdaric.lambda_runtime_client import BaseLambdaRuntimeClient

    os.environ[_VARIABLE], _, key = os.environ[_VARIABLE].partition("/")
    _send_the_key(BaseLambdaRuntimeClient, key)

    def begin() -> None:
        initialised()
        _collect_garbage(usual)

    _do_before_the_first_event(BaseLambdaRuntimeClient, begin)
    run(["awslambdaric", handler])


def _send_the_key(client: Any, key: str) -> None:
    """Have the client in Python, which tells of errors at the start, send the key as well.

    It takes the address for a host and a port: a path after it is an `InvalidURL`.
    """
    send = client.call_rapid

    def call_rapid(self: Any, method: str, endpoint: str, *rest: Any, **more: Any) -> Any:
        return send(self, method, f"/{key}{endpoint}", *rest, **more)

    client.call_rapid = call_rapid


def _do_before_the_first_event(client: Any, begin: Callable[[], None]) -> None:
    wait = client.wait_next_invocation

    def wait_next_invocation(self: Any) -> Any:
        client.wait_next_invocation = wait
        begin()
        return wait(self)

    client.wait_next_invocation = wait_next_invocation


def _collect_garbage(usual: tuple[int, int, int]) -> None:
    """Have Python look for garbage as usual, unless the function has decided by itself."""
    if gc.get_threshold() == _NEVER:
        gc.set_threshold(*usual)


def _report_modules(report: int | None) -> None:
    """Tell which modules there are, and where they come from."""
    if report is None:
        return
    found = {
        name: file
        for name, module in list(sys.modules.items())
        if (spec := getattr(module, "__spec__", None)) is not None
        and spec.name == name
        and (file := getattr(module, "__file__", None))
    }
    with open(report, "w") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
