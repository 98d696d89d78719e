"""`make run` as a process: every port that it really listens on keeps other sites' pages out,
nobody reads its keys, and it ends with the stack.

The ports are not listed here: they are found as the kernel has them, so that one that is added
later is tried as well, and fails the test until it is told what it is.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from samwire_tests.open_ports import command, environment_of, family_of, open_ports
from tests.e2e.stack import ROOT
from tests.unit.tokens import SECRET, shared_token

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="finds the open ports in /proc"),
]
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
EVIL = "https://evil.test"
MAIN, MAIN_TLS = "the stack", "the stack, with TLS"
HTTP, HTTP_TLS = "the HTTP API", "the HTTP API, with TLS"
AWS, SPEECH, CHAT = "AWS services", "stand-in for ElevenLabs", "stand-in for a language model"
OTHER = "stand-in for another vendor"
RUNTIME = "Runtime API"
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE


@dataclass(frozen=True)
class Running:
    """`make run` and what it says.

    Attributes:
        kinds: what listens on each port; the rest are Runtime APIs.
        log: of the stack.
    """

    process: subprocess.Popen[str]
    ports: frozenset[tuple[str, int]]
    kinds: dict[int, str]
    log: Path

    def kind(self, port: int) -> str:
        """What listens there."""
        return self.kinds.get(port, RUNTIME)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    names = ("ELEVENLABS_API_KEY", "LLM_API_KEY", "LLM_BASE_URL", "ALLOWED_ORIGINS", "PARLEY_TOKEN")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"AUTH_MODE": "secret", "AUTH_SECRET": SECRET}
    arguments = [sys.executable, "-m", "dev", "--no-demo", "--port", "0"]
    logs = tmp_path_factory.mktemp("logs")
    with subprocess.Popen(
        [*arguments, "--logs", str(logs)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield _described(process, logs / "stack.log")
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def _described(process: subprocess.Popen[str], log: Path) -> Running:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("Ctrl-C"):
            break
    page = re.search(r"The page: +http://localhost:(\d+)/", said)
    assert page is not None, said
    info = _asked(int(page[1]), "/_local/stack.json")
    apis = next(iter(info["http_apis"].values()))
    kinds = {
        _port(info["static_url"]): MAIN,
        _port(info["wss_url"]): MAIN_TLS,
        _port(apis["http_url"]): HTTP,
        _port(apis["https_url"]): HTTP_TLS,
        _port(info["aws_endpoint"]): AWS,
    }
    ports = frozenset(open_ports(process.pid))
    for _, port in ports:  # stand-ins answer this to everybody who has no key
        if port not in kinds:
            status, body = _answer("127.0.0.1", port, False, "GET", "/v1/models", {})
            if status == 401:
                kinds[port] = SPEECH if b"xi" in body or b"detail" in body else CHAT
            elif _answer("127.0.0.1", port, False, "GET", "/_control", {})[0] == 200:
                kinds[port] = OTHER
    return Running(process, ports, kinds, log)


def _port(url: str) -> int:
    found = re.search(r":(\d+)", url)
    assert found is not None
    return int(found[1])


def _asked(port: int, path: str) -> dict[str, Any]:
    status, body = _answer("127.0.0.1", port, False, "GET", path, {})
    assert status == 200
    found: dict[str, Any] = json.loads(body)
    return found


def _answer(
    address: str,
    port: int,
    secure: bool,
    method: str,
    path: str,
    headers: Mapping[str, str | None],
    body: bytes = b"",
) -> tuple[int, bytes]:
    """Status and body of a request that has these headers and no others."""
    given = {"Host": f"localhost:{port}", "Content-Length": str(len(body)), **headers}
    if secure:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            address, port, timeout=20, context=TLS
        )
    else:
        connection = http.client.HTTPConnection(address, port, timeout=20)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_every_port_is_known_and_of_this_machine_alone(running: Running) -> None:
    assert {address for address, _ in running.ports} <= {"127.0.0.1", "::1"}
    kinds = {running.kind(port) for _, port in running.ports}
    assert kinds == {MAIN, MAIN_TLS, HTTP, HTTP_TLS, AWS, SPEECH, CHAT, OTHER, RUNTIME}
    unknown = {port for _, port in running.ports} - running.kinds.keys()
    for port in unknown:  # without its key a Runtime API says this of itself, and nothing else
        status, body = _answer("127.0.0.1", port, False, "GET", "/", {})
        assert (status, json.loads(body)["errorMessage"]) == (
            403,
            "Only the function's own process may ask.",
        )


@pytest.mark.parametrize(
    ("method", "headers", "body"),
    [
        ("GET", {"Host": "evil.test"}, b""),
        ("GET", {"Host": "evil.test", "Origin": "http://evil.test"}, b""),
        ("POST", {"Host": "localhost.evil.test", "Content-Type": "text/plain"}, b"{}"),
        ("GET", {"Host": None}, b""),
        ("GET", {"Origin": EVIL}, b""),
        ("GET", {"Origin": "null"}, b""),
        ("GET", {"Origin": "http://localhost:1"}, b""),
        ("POST", {"Origin": EVIL, "Content-Type": "text/plain"}, b"{}"),
        ("POST", {"Origin": EVIL, "Content-Type": "text/plain", **LINK}, b"{}"),
        ("POST", {"Origin": "null", "Content-Type": "multipart/form-data", **LINK}, b""),
        ("GET", {**LINK, "Sec-Fetch-Dest": "iframe"}, b""),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, b""),
        ("GET", {"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, b""),
    ],
    ids=str,
)
def test_no_page_of_another_site_gets_in(
    running: Running, method: str, headers: dict[str, str | None], body: bytes
) -> None:
    for address, port in sorted(running.ports):
        kind = running.kind(port)
        secure = kind in (MAIN_TLS, HTTP_TLS)
        # The HTTP API takes origins as its template says; a path of its own asks the function.
        asked = ["/sessions" if method == "GET" else "/turns"]
        if kind not in (HTTP, HTTP_TLS):
            asked = [
                "/",
                "/v1/models",
                "/moto-api/data.json",
                "/2018-06-01/runtime/invocation/next",
            ]
        for path in asked:
            status, said = _answer(address, port, secure, method, path, headers, body)
            refused = 400 if headers.get("Host", "") is None and kind != RUNTIME else 403
            assert (kind, path, status) == (kind, path, refused), said


@pytest.mark.parametrize(
    "origin", [EVIL, "null", "http://localhost:1", "http://127.0.0.1.nip.test"]
)
def test_no_page_of_another_site_talks(running: Running, origin: str) -> None:
    token = shared_token({"sub": "ada", "exp": int(time.time()) + 60})
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": f"parley, {token}",
        "Content-Length": None,
    }
    (port,) = [port for port, kind in running.kinds.items() if kind == MAIN]
    status, _ = _answer("127.0.0.1", port, False, "GET", "/dev", {**upgrade, "Origin": origin})
    assert status == 403
    option = f"--parameter-overrides AllowedOrigins={origin}"
    assert option in running.log.read_text(), "the developer is told what lets it in"
    for own in (f"http://{host}:{port}" for host in ("localhost", "127.0.0.1", "[::1]")):
        given = {**upgrade, "Origin": own}
        assert _answer("127.0.0.1", port, False, "GET", "/dev", given)[0] == 101


def test_a_link_leads_to_the_page_and_to_nothing_else(running: Running) -> None:
    for address, port in sorted(running.ports):
        kind = running.kind(port)
        link = {**LINK, "Sec-Fetch-Dest": "document"}
        secure = kind in (MAIN_TLS, HTTP_TLS)
        status, _ = _answer(address, port, secure, "GET", "/", link)
        assert (kind, status) == (kind, 200 if kind in (MAIN, MAIN_TLS) else 403)
        status, _ = _answer(address, port, secure, "GET", "/_local/events.json", link)
        assert (kind, status) == (kind, 403)


def test_the_developers_own_requests_are_answered(running: Running) -> None:
    found: dict[str, set[int]] = {}
    for port, kind in running.kinds.items():
        path = "/health" if kind in (HTTP, HTTP_TLS) else "/"
        status = _answer("127.0.0.1", port, kind in (MAIN_TLS, HTTP_TLS), "GET", path, {})[0]
        found.setdefault(kind, set()).add(status)
    assert found == {
        **{kind: {200} for kind in (MAIN, MAIN_TLS, HTTP, HTTP_TLS)},
        AWS: {403},
        SPEECH: {404},
        CHAT: {404},
        OTHER: {200, 404},  # Cartesia says at `/` that it is there
    }


def test_keys_are_on_no_command_line(running: Running) -> None:
    children = set(family_of(running.process.pid)) - {running.process.pid}
    assert any("samwire start" in command(pid) for pid in children)
    assert not [pid for pid in children if SECRET in command(pid)]
    assert not [pid for pid in children if SECRET in environment_of(pid)]


# The last: nothing is left to ask after it.
def test_the_end_of_the_stack_is_noticed(running: Running) -> None:
    process = running.process
    stack = next(pid for pid in family_of(process.pid) if "samwire start" in command(pid))
    os.kill(stack, signal.SIGKILL)
    assert process.wait(20) == 2
    assert process.stderr is not None
    assert "The stack has ended." in process.stderr.read()
