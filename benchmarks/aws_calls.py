"""What a call of AWS costs in processor time, by who makes it.

A server in another process answers at once. Every client sends the same frame of 25 KB, signed by
Parley's signer where it has none of its own, and reads the same answer. `parse` is the answer
alone.

    python -m benchmarks.aws_calls [--calls 300] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import http.client
import io
import multiprocessing
import os
import socket
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any

import h11
import httpcore
import httpx
import urllib3
from botocore.config import Config
from botocore.session import Session

from parley.aws.dynamodb import DynamoDB
from parley.aws.http1 import AnswerParser
from parley.aws.management_api import ManagementApi
from parley.aws.signature import Credentials, Scope, sign

ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Tue, 01 Dec 2026 12:00:00 GMT\r\n"
    b"Content-Type: application/x-amz-json-1.0\r\nContent-Length: 2\r\nConnection: keep-alive\r\n"
    b"x-amzn-RequestId: 0123456789ABCDEF\r\nx-amz-crc32: 2745614147\r\n\r\n{}"
)
FRAME = b"x" * 25_000
PATH = "/dev/@connections/PJqB0fHsqRcCHlw%3D"
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "t" * 400,
    "AWS_DEFAULT_REGION": "us-east-1",
}
ITEM = {"pk": {"S": "SESSION#s"}, "sk": {"S": "TURN#t"}, "state": {"S": "running"}}
Call = Callable[[], Any]


def serve(ready: Connection) -> None:
    """Answer every request on a port that is told through `ready`."""

    def answer(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = connection.makefile("rb")
        while reader.readline():
            size = 0
            while (line := reader.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    size = int(line.split(b":")[1])
            reader.read(size)
            connection.sendall(ANSWER)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready.send(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()


def signed() -> dict[str, str]:
    """The headers of a post."""
    credentials = Credentials(*list(ACCOUNT.values())[:3])
    headers = {"host": "127.0.0.1", "content-type": "application/octet-stream"}
    scope = Scope("us-east-1", "execute-api")
    return {**headers, **sign(credentials, scope, "POST", PATH, headers, FRAME, time.time())}


def blocking_h11(port: int) -> Call:
    """h11 over a socket."""
    connection, protocol = socket.create_connection(("127.0.0.1", port)), h11.Connection(h11.CLIENT)

    def call() -> None:
        headers = [*signed().items(), ("content-length", str(len(FRAME)))]
        request = h11.Request(method="POST", target=PATH, headers=headers)
        connection.sendall(
            b"".join(
                protocol.send(event) or b""
                for event in (request, h11.Data(data=FRAME), h11.EndOfMessage())
            )
        )
        while not isinstance(event := protocol.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                protocol.receive_data(connection.recv(65536))
        protocol.start_next_cycle()

    return call


def blocking_calls(port: int) -> dict[str, Call]:
    """What calls from a thread, by name."""
    url = f"http://127.0.0.1:{port}"
    config = Config(retries={"mode": "standard"}, parameter_validation=False)
    session = Session()
    posts: Any = session.create_client("apigatewaymanagementapi", endpoint_url=f"{url}/dev")
    their_table: Any = session.create_client("dynamodb", endpoint_url=url, config=config)
    our_table, ours = DynamoDB(endpoint=url), ManagementApi()
    pool = urllib3.HTTPConnectionPool("127.0.0.1", port)
    client = http.client.HTTPConnection("127.0.0.1", port)

    def over_http_client() -> None:
        client.request("POST", PATH, FRAME, signed())
        client.getresponse().read()

    return {
        "post, botocore": lambda: posts.post_to_connection(ConnectionId="c=", Data=FRAME),
        "post, urllib3": lambda: pool.urlopen("POST", PATH, FRAME, signed(), retries=False).data,
        "post, http.client": over_http_client,
        "post, h11": blocking_h11(port),
        "post, Parley": lambda: ours.post(f"{url}/dev", "c=", FRAME),
        "put_item, botocore": lambda: their_table.put_item(TableName="t", Item=ITEM),
        "put_item, Parley": lambda: our_table.put_item(TableName="t", Item=ITEM),
    }


class _Answered:
    """A socket for `http.client` that has an answer already."""

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(ANSWER)


def parsers() -> dict[str, Call]:
    """What reads an answer that is there, by name."""

    def by_h11() -> None:
        protocol = h11.Connection(h11.CLIENT)
        protocol.send(h11.Request(method="POST", target="/", headers=[("host", "h")]))
        protocol.send(h11.EndOfMessage())
        protocol.receive_data(ANSWER)
        while not isinstance(protocol.next_event(), h11.EndOfMessage):
            pass

    def by_http_client() -> None:
        answer = http.client.HTTPResponse(_Answered())  # type: ignore[arg-type]  # no socket
        answer.begin()
        answer.read()

    return {
        "parse, http.client": by_http_client,
        "parse, h11": by_h11,
        "parse, Parley": lambda: AnswerParser().feed(ANSWER),
    }


def cpu_ms(call: Call, calls: int) -> float:
    """Return the processor time of a call."""
    began = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - began) * 1000 / calls


async def cpu_ms_on_loop(call: Callable[[], Awaitable[Any]], calls: int) -> float:
    """Return the processor time of a call on the event loop."""
    began = time.process_time()
    for _ in range(calls):
        await call()
    return (time.process_time() - began) * 1000 / calls


async def measure_on_loop(port: int, calls: int) -> dict[str, float]:
    """Return the processor time of what calls on the event loop."""
    url = f"http://127.0.0.1:{port}{PATH}"
    async with httpx.AsyncClient() as client, httpcore.AsyncConnectionPool() as pool:

        async def by_httpcore() -> None:
            headers = [*signed().items(), ("content-length", str(len(FRAME)))]
            await pool.request("POST", url, headers=headers, content=FRAME)

        ways: dict[str, Callable[[], Awaitable[Any]]] = {
            "post, httpx, on the loop": lambda: client.post(url, content=FRAME, headers=signed()),
            "post, httpcore, on the loop": by_httpcore,
        }
        return {name: await cpu_ms_on_loop(call, calls) for name, call in ways.items()}


async def measure_in_threads(ways: dict[str, Call], calls: int) -> dict[str, float]:
    """Return the processor time of calls that the event loop has threads make."""
    found = {}
    for name, call in ways.items():
        in_thread = functools.partial(asyncio.to_thread, call)
        found[f"{name}, in a thread"] = await cpu_ms_on_loop(in_thread, calls)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    os.environ.update(ACCOUNT)
    ready, told = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(told,), daemon=True)
    server.start()
    found: dict[str, list[float]] = {}
    with contextlib.closing(ready):
        port = ready.recv()
        ways = blocking_calls(port)
        for _ in range(options.rounds + 1):  # the first one warms up
            one = {name: cpu_ms(call, options.calls) for name, call in (ways | parsers()).items()}
            one |= asyncio.run(measure_on_loop(port, options.calls))
            one |= asyncio.run(measure_in_threads(ways, options.calls))
            for name, value in one.items():
                found.setdefault(name, []).append(value)
    server.terminate()
    print(f"{'ms of processor time a call':36s} {'median':>8s} {'min':>8s} {'max':>8s}")
    for name in sorted(found):
        kept = found[name][1:]
        print(f"{name:36s} {statistics.median(kept):8.3f} {min(kept):8.3f} {max(kept):8.3f}")


if __name__ == "__main__":
    main()
