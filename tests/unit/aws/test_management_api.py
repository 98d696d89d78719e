"""Posting to connections and starting turns, against an HTTP server in AWS's place."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from parley.aws import management_api as connections_module
from parley.aws.management_api import THROTTLE_DELAYS_S, ManagementApi, endpoint_url
from parley.aws.turn_invoker import TurnInvoker
from parley.errors import ConnectionGone
from parley.protocol.turn_request import TurnRequest
from tests.unit.memory import REF
from tests.unit.speech_server import closed_port


class Aws:
    """Answers with the next status, the last one repeats; keeps what it was asked."""

    def __init__(self) -> None:
        self.statuses = [200]
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        aws = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                aws.requests.append((self.command, self.path, headers, body))
                status = aws.statuses.pop(0) if len(aws.statuses) > 1 else aws.statuses[0]
                answer = b"" if status < 300 else b'{"message": "no"}'
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name, value in {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():
        monkeypatch.setenv(name, value)
    found = Aws()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number of tries, without the waiting."""
    monkeypatch.setattr(
        connections_module, "THROTTLE_DELAYS_S", tuple(0.001 for _ in THROTTLE_DELAYS_S)
    )


@pytest.mark.parametrize(
    ("domain", "custom", "url"),
    [
        ("a.execute-api.eu-west-1.amazonaws.com", "", "https://a.execute-api.eu-west-1.amazonaws.com/dev"),
        ("a.execute-api.eu-west-1.amazonaws.com", "talk.example", "https://a.execute-api.eu-west-1.amazonaws.com/dev"),
        ("talk.example", "talk.example", "https://talk.example"),
        ("127.0.0.1:8443", "", "https://127.0.0.1:8443/dev"),
    ],
)  # fmt: skip
def test_where_a_connection_is_posted_to(domain: str, custom: str, url: str) -> None:
    assert endpoint_url(domain, "dev", custom) == url


def test_a_frame_is_posted_as_it_is_to_its_connection(aws: Aws) -> None:
    ManagementApi().post(f"{aws.url}/dev", "PJqB0fHsqRcCHlw=", '{"text":"é"}'.encode())
    ((method, path, headers, body),) = aws.requests
    assert (method, path) == ("POST", "/dev/@connections/PJqB0fHsqRcCHlw%3D")
    assert body == '{"text":"é"}'.encode()
    assert "testing" in headers["authorization"], "it is signed"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_waited_out(aws: Aws, status: int) -> None:
    aws.statuses = [status, status, 200]
    ManagementApi().post(aws.url, "c", b"{}")
    assert len(aws.requests) == 3


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("status", [410, 403, 400, 413])
def test_a_connection_that_is_gone_is_not_tried_again(aws: Aws, status: int) -> None:
    aws.statuses = [status]
    with pytest.raises(ConnectionGone):
        ManagementApi().post(aws.url, "c", b"{}")
    assert len(aws.requests) == 1


@pytest.mark.usefixtures("quick")
def test_what_does_not_pass_is_given_up(aws: Aws) -> None:
    aws.statuses = [429]
    with pytest.raises(ConnectionGone):
        ManagementApi().post(aws.url, "c", b"{}")
    assert len(aws.requests) == len(THROTTLE_DELAYS_S) + 1


@pytest.mark.usefixtures("quick", "aws")
def test_an_endpoint_that_cannot_be_reached_is_a_connection_that_is_gone() -> None:
    with pytest.raises(ConnectionGone):
        ManagementApi().post(f"http://127.0.0.1:{closed_port()}", "c", b"{}")


def test_every_endpoint_keeps_its_own_client(aws: Aws) -> None:
    connections = ManagementApi()
    for path in ("/one", "/two", "/one"):
        connections.post(aws.url + path, "c", b"{}")
    assert [path for _, path, _, _ in aws.requests] == [
        "/one/@connections/c",
        "/two/@connections/c",
        "/one/@connections/c",
    ]


def test_a_turn_is_started_asynchronously(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", aws.url)
    TurnInvoker("turn:live")(TurnRequest(REF, "t", "c", "https://x/dev", 5, text="Hé"))
    ((_, path, headers, body),) = aws.requests
    assert path == "/2015-03-31/functions/turn%3Alive/invocations"
    assert headers["x-amz-invocation-type"] == "Event"
    assert json.loads(body) == {
        "session": REF,
        "turn_id": "t",
        "connection_id": "c",
        "endpoint": "https://x/dev",
        "received_at_ms": 5,
        "text": "Hé",
    }
