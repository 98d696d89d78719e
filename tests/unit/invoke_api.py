"""Lambda's Invoke API over HTTP, with handlers of the test's process behind it."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from awslambdaric.lambda_context import LambdaContext

Handler = Callable[[Any, LambdaContext], Any]


@dataclass(frozen=True)
class Refusal:
    """An answer of Lambda's in place of an invocation."""

    code: str
    status: int


@dataclass
class InvokeApi:
    """The API. Each invocation gets the next step, and the last one repeats.

    Attributes:
        steps: a handler that runs, a refusal, or None for a connection that breaks.
        invoked: the functions' names.
        sent: the invocations' headers.
    """

    steps: list[Handler | Refusal | None]
    url: str = ""
    invoked: list[str] = field(default_factory=list)
    sent: list[dict[str, str]] = field(default_factory=list)

    def answer(self, name: str, headers: dict[str, str], body: bytes) -> tuple[int, Any, str]:
        """Return status, payload and what the error header has."""
        self.invoked.append(name)
        self.sent.append(headers)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if step is None:
            raise ConnectionAbortedError
        if isinstance(step, Refusal):
            return step.status, {"Type": "User", "Message": "no"}, step.code
        context = json.loads(base64.b64decode(headers.get("x-amz-client-context", "bnVsbA==")))
        try:
            return 200, step(json.loads(body), LambdaContext("id", context, None, 0)), ""
        except Exception as error:
            found = getattr(error, "exception_type", type(error).__name__)  # of a FaultException
            return 200, {"errorMessage": str(error), "errorType": found}, "Unhandled"


@contextlib.contextmanager
def invoke_api(*steps: Handler | Refusal | None) -> Iterator[InvokeApi]:
    """The API, at a port of 127.0.0.1."""
    api = InvokeApi(list(steps))

    class Requests(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            name = unquote(self.path.split("/functions/")[1].split("/invocations")[0])
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            try:
                status, payload, error = api.answer(name, headers, body)
            except ConnectionAbortedError:
                self.close_connection = True
                return
            content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if error:
                kind = "X-Amz-Function-Error" if status == 200 else "x-amzn-ErrorType"
                self.send_header(kind, error)
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(content)

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
