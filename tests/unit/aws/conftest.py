"""An account, and a server in AWS's place that does as it is told."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

ACCOUNT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
}
Step = bytes | Callable[[socket.socket], None]


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Lambda gives a function, and nothing of the developer's."""
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)


def answer(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """The bytes of an answer."""
    named = {"content-length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} So\r\n{lines}\r\n".encode() + body


def refusal(code: str, status: int = 400, **headers: str) -> bytes:
    """The bytes of an answer that refuses a call of DynamoDB."""
    body = f'{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"no"}}'
    return answer(status, body.encode(), **headers)


def close(connection: socket.socket) -> None:
    """Close the connection without an answer."""
    connection.close()


@dataclass
class ScriptedAws:
    """Takes a step for each request: an answer's bytes, or something done to its connection.

    Attributes:
        steps: the last one repeats.
        requests: head and body of what came.
        connections: how many were opened.
    """

    steps: list[Step] = field(default_factory=lambda: [answer()])
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    connections: int = 0
    url: str = ""
    open: list[socket.socket] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def close_all(self) -> None:
        """Close every connection, as a server does with those that are idle."""
        for each in self.open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _next(self) -> Step:
        return self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]

    def serve(self, connection: socket.socket) -> None:
        """Serve one connection."""
        received = bytearray()
        with contextlib.suppress(OSError), connection:
            while True:
                while b"\r\n\r\n" not in received:
                    data = connection.recv(65536)
                    if not data:
                        return
                    received += data
                head, _, rest = bytes(received).partition(b"\r\n\r\n")
                size = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                )
                while len(rest) < size:
                    rest += connection.recv(65536)
                received = bytearray(rest[size:])
                with self.changed:
                    self.requests.append((head.decode("latin-1"), rest[:size]))
                    step = self._next()
                    self.changed.notify_all()
                if isinstance(step, bytes):
                    connection.sendall(step)
                else:
                    step(connection)


@contextlib.contextmanager
def scripted_aws(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedAws]:
    """A server, over TLS if it has a certificate."""
    aws = ScriptedAws()
    threads: list[threading.Thread] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                aws.connections += 1
                try:
                    if tls is not None:
                        connection = tls.wrap_socket(connection, server_side=True)
                except OSError:
                    connection.close()
                    continue
                aws.open.append(connection)
                threads.append(threading.Thread(target=aws.serve, args=(connection,), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        scheme = "https" if tls else "http"
        aws.url = f"{scheme}://localhost:{listener.getsockname()[1]}"
        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield aws
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join(5)
            aws.close_all()
            for each in threads:
                each.join(5)
            for connection in aws.open:
                connection.close()


@pytest.fixture
def scripted() -> Iterator[ScriptedAws]:
    """A server without TLS."""
    with scripted_aws() as found:
        yield found
