"""What an environment's process runs: AWS's own runtime client, tied to its parent's life.

python -m samwire.runtime.launcher PARENT_PID HANDLER HOSTS

HOSTS is JSON: where the host names of the stack's own APIs lead, see `samwire.runtime.own_hosts`.
"""

from __future__ import annotations

import gc
import json
import os
import sys
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
    lead_home(json.loads(sys.argv[3]), os.environ.get("AWS_CA_BUNDLE", ""))
    usual = gc.get_threshold()
    gc.set_threshold(*_NEVER)  # a seventh of the time that a function takes to initialise
    # The import reads the variable, key and all, for the client in C that takes events and
    # answers. What the function sees from here on is `host:port`, as on Lambda.
    from awslambdaric.__main__ import main as run
    from awslambdaric.lambda_runtime_client import BaseLambdaRuntimeClient

    os.environ[_VARIABLE], _, key = os.environ[_VARIABLE].partition("/")
    _send_the_key(BaseLambdaRuntimeClient, key)
    _collect_garbage_from_the_first_event(BaseLambdaRuntimeClient, usual)
    run(["awslambdaric", sys.argv[2]])


def _send_the_key(client: Any, key: str) -> None:
    """Have the client in Python, which tells of errors at the start, send the key as well.

    It takes the address for a host and a port: a path after it is an `InvalidURL`.
    """
    send = client.call_rapid

    def call_rapid(self: Any, method: str, endpoint: str, *rest: Any, **more: Any) -> Any:
        return send(self, method, f"/{key}{endpoint}", *rest, **more)

    client.call_rapid = call_rapid


def _collect_garbage_from_the_first_event(client: Any, usual: tuple[int, int, int]) -> None:
    """Have Python look for garbage as usual, unless the function has decided by itself."""
    wait = client.wait_next_invocation

    def wait_next_invocation(self: Any) -> Any:
        client.wait_next_invocation = wait
        if gc.get_threshold() == _NEVER:
            gc.set_threshold(*usual)
        return wait(self)

    client.wait_next_invocation = wait_next_invocation


if __name__ == "__main__":
    main()
