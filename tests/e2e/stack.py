"""Starts the stand-ins and the local stack as a user would, each as its own process.

Tests talk to it from outside only: WebSockets, HTTP and the stand-ins' control API.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STANDIN_KEY = "standin-key"


@dataclass
class Control:
    """A stand-in's control API: delays, faults and what it has been sent."""

    url: str

    def put(self, **settings: Any) -> None:
        """Set delays and faults; what is not named keeps its value."""
        self._call("PUT", "/_control", settings)

    def reset(self) -> None:
        """Forget faults, delays and records."""
        self._call("DELETE", "/_control")
        self._call("DELETE", "/_requests")

    def requests(self, after: int = 0) -> list[dict[str, Any]]:
        """What has been received and sent, oldest first."""
        records = json.loads(self._call("GET", f"/_requests?after={after}"))
        found = records["requests"] if isinstance(records, dict) else records
        return list(found)

    def audio(self, record_id: object, direction: str) -> bytes:
        """The raw audio of one record, `in` or `out`."""
        return self._call("GET", f"/_requests/{record_id}/audio?direction={direction}")

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return bytes(response.read())


@dataclass
class Stack:
    """A running stack.

    Attributes:
        url: of the WebSocket API.
        info: what `local start --json` said.
    """

    url: str
    elevenlabs: Control
    llm: Control
    info: dict[str, Any]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)

    def logs(self) -> str:
        """Everything that the stack and its functions have logged so far."""
        return self.log.read_text()


@contextlib.contextmanager
def process(command: list[str], log: Path, env: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """A process that says it is ready with one JSON line; ended with its group."""
    with log.open("w") as stderr:
        child = subprocess.Popen(
            command,
            cwd=ROOT,
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


OF_CONVERSATIONS = ("ConnectFunction", "MessageFunction", "TurnFunction", "DisconnectFunction")


@contextlib.contextmanager
def running_stack(
    folder: Path,
    *,
    parameters: Mapping[str, str] | None = None,
    standin_options: tuple[str, ...] = (),
    prewarm: int = 1,
    static: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """The whole of Parley on this machine, on ports of the system's choice.

    Args:
        folder: for log files.
        parameters: over the template's defaults.
        standin_options: command-line options of the stand-ins.
        prewarm: how many environments the functions of a conversation have from the start.
        static: what is served beside the API, as `--static` takes it.
        variables: environment variables that all functions get.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    standins = [sys.executable, "-m", "local.standins", "--exit-with-parent", *standin_options]
    with process(standins, folder / "standins.log", environment) as ready:
        overrides = {
            "ElevenLabsApiKey": STANDIN_KEY,
            "LlmApiKey": STANDIN_KEY,
            "ElevenLabsBaseUrl": ready["elevenlabs_url"],
            "LlmBaseUrl": ready["llm_url"],
            **(parameters or {}),
        }
        command = [sys.executable, "-m", "local", "start", "--json"]
        command += ["--template", str(ROOT / "template.yaml"), "--port", "0", "--tls-port", "0"]
        command += ["--prewarm", str(prewarm)]
        for function in OF_CONVERSATIONS:  # an import takes a second of one core
            command += ["--prewarm-only", function]
        if variables:
            given = folder / "variables.json"
            given.write_text(json.dumps({"Parameters": dict(variables)}))
            command += ["--env-vars", str(given)]
        for mount in static:
            command += ["--static", mount]
        command += ["--parameter-overrides", *(f"{k}={v}" for k, v in overrides.items())]
        log = folder / "stack.log"
        with process(command, log, environment) as info:
            llm_root = str(ready["llm_url"]).removesuffix("/v1")
            yield Stack(
                url=info["websocket_url"],
                elevenlabs=Control(ready["elevenlabs_url"]),
                llm=Control(llm_root),
                info=info,
                log=log,
            )
