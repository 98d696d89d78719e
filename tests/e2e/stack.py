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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STANDIN_KEY = "standin-key"
PROVIDER_TIMEOUT_S = 3
"""How long the stack that tests share lets a provider stay silent."""


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
        self.forget()

    def forget(self) -> None:
        """Forget records."""
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
class Standins:
    """The running stand-ins.

    Attributes:
        elevenlabs_url: as Parley's settings take it.
        llm_url: likewise.
        urls: of the other vendors, by name.
    """

    elevenlabs_url: str
    llm_url: str
    urls: Mapping[str, str]
    elevenlabs: Control
    llm: Control

    def control(self, vendor: str) -> Control:
        """The control API of another vendor's stand-in."""
        return Control(self.urls[vendor])

    def reset(self) -> None:
        """Forget faults, delays and records."""
        self.elevenlabs.reset()
        self.llm.reset()
        for vendor in self.urls:
            self.control(vendor).reset()

    def speech(self, text: str) -> bytes:
        """Speech, as 16 kHz PCM."""
        request = urllib.request.Request(
            f"{self.elevenlabs_url}/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/stream"
            "?output_format=pcm_16000",
            data=json.dumps({"text": text}).encode(),
            headers={"xi-api-key": STANDIN_KEY, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return bytes(response.read())


@dataclass(eq=False)
class Stack:
    """A running stack.

    Attributes:
        url: of the WebSocket API.
        info: what `samwire start --json` said.
    """

    url: str
    standins: Standins
    info: dict[str, Any]
    log: Path

    @property
    def elevenlabs(self) -> Control:
        """The stand-in for ElevenLabs."""
        return self.standins.elevenlabs

    @property
    def llm(self) -> Control:
        """The stand-in for a language model."""
        return self.standins.llm

    def renew(self, function: str) -> None:
        """Have the next invocation of a function be a cold start."""
        self._control("DELETE", f"environments/{function}")

    def kill(self, function: str) -> int:
        """Kill a function in the middle of its invocations; return how many."""
        return int(json.loads(self._control("POST", f"environments/{function}/kill"))["killed"])

    def set_variables(self, function: str, variables: Mapping[str, str]) -> None:
        """Have the next invocation of a function be a cold start with other variables."""
        self._control("PUT", f"environments/{function}", {"Variables": dict(variables)})

    def roles(self) -> dict[str, Any]:
        """What the functions' roles may do, by their names."""
        roles: dict[str, Any] = json.loads(self._control("GET", "permissions"))["roles"]
        return roles

    def permit(self, roles: Mapping[str, Any]) -> None:
        """Replace what these roles may do."""
        self._control("PUT", "permissions", {"roles": roles})

    @contextlib.contextmanager
    def without(self, function: str, action: str) -> Iterator[None]:
        """While this lasts, a function may not do something, e.g. `s3:` or `s3:GetObject`."""
        roles = self.roles()
        (name,) = [name for name in roles if f"-{function}Role" in name]
        granted = json.dumps(roles[name])
        assert action in granted
        taken = granted.replace(action, f"none:{action.partition(':')[2]}")
        self.permit({name: json.loads(taken)})
        try:
            yield
        finally:
            self.permit({name: roles[name]})

    def _control(self, method: str, path: str, body: object = None) -> bytes:
        request = urllib.request.Request(
            f"{self.info['lambda_endpoint']}/_local/{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return bytes(response.read())

    def logs(self) -> str:
        """Everything that the stack and its functions have logged so far."""
        return self.log.read_text()

    def logged_since(self, size_bytes: int) -> str:
        """What has been logged since the log was so large."""
        with self.log.open("rb") as file:
            file.seek(size_bytes)
            return file.read().decode(errors="replace")


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


def clean_environment() -> dict[str, str]:
    """This process's variables without those of the developer's AWS account."""
    return {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}


@contextlib.contextmanager
def running_standins(folder: Path) -> Iterator[Standins]:
    """The stand-ins, on ports of the system's choice.

    Args:
        folder: for the log file.
    """
    command = [sys.executable, "-m", "parley_standins", "--exit-with-parent"]
    with process(command, folder / "standins.log", clean_environment()) as ready:
        elevenlabs, llm = str(ready["elevenlabs_url"]), str(ready["llm_url"])
        yield Standins(
            elevenlabs,
            llm,
            ready["urls"],
            Control(elevenlabs),
            Control(llm.removesuffix("/v1")),
        )


@contextlib.contextmanager
def running_stack(
    folder: Path,
    *,
    template: Path = ROOT / "template.yaml",
    parameters: Mapping[str, str] | None = None,
    standins: Standins | None = None,
    prewarm: int = 1,
    static: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Iterator[Stack]:
    """The whole of Parley on this machine, on ports of the system's choice.

    Args:
        folder: for log files.
        template: what is run.
        parameters: over the template's defaults.
        standins: those that it talks to; its own if there are none.
        prewarm: how many environments the functions of a conversation have from the start.
        static: what is served beside the API, as `--static-dir` takes it.
        variables: environment variables that all functions get.
        options: further ones of `samwire start`.
    """
    with contextlib.ExitStack() as own:
        if standins is None:
            standins = own.enter_context(running_standins(folder))
        overrides = {
            "ElevenLabsApiKey": STANDIN_KEY,
            "LlmApiKey": STANDIN_KEY,
            "ElevenLabsBaseUrl": standins.elevenlabs_url,
            "LlmBaseUrl": standins.llm_url,
            **(parameters or {}),
        }
        command = [sys.executable, "-m", "samwire", "start", "--json"]
        command += ["--template", str(template), "--port", "0", "--tls-port", "0"]
        command += ["--prewarm", str(prewarm), *options]
        for function in OF_CONVERSATIONS:  # an import takes a second of one core
            command += ["--prewarm-only", function]
        if variables:
            given = folder / "variables.json"
            given.write_text(json.dumps({"Parameters": dict(variables)}))
            command += ["--env-vars", str(given)]
        for mount in static:
            command += ["--static-dir", mount]
        command += ["--parameter-overrides", *(f"{k}={v}" for k, v in overrides.items())]
        log = folder / "stack.log"
        info = own.enter_context(process(command, log, clean_environment()))
        yield Stack(info["websocket_url"], standins, info, log)
