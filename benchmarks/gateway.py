"""How quick the local API Gateway and Lambda are, and how much they bear.

A two-way echo through `samwire start`, beside the same handler on serverless-offline and an
echo with nothing behind it, in turns within the same run, over loopback: the round trip of
single messages, many connections held at once, and a steady stream of messages. Without npm
or its packages the column of serverless-offline is left out.

    python -m benchmarks.gateway [--echoes 500] [--connections 1000] [--seconds 10] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from benchmarks.echo_servers import (
    Server,
    Unavailable,
    bare_echo,
    local_stack,
    serverless_offline,
)
from benchmarks.first_audio import Series
from samwire.file_limit import allow_the_stack

ROUNDS = 5
"""Of each measurement of single messages, the servers in turns: what else the machine does
meets all of them."""
PAUSE_S = 0.01
"""Between single messages, so that the environment does come to stand still."""
WARM_UP = 30
CONNECTIONS_PER_S = 100
"""A fifth of what an account may open."""
MESSAGES_PER_S = 300
STREAM_CONNECTIONS = 50
ANSWER_S = 10.0
"""How long a message may take before it counts as lost."""
FAILURES = (OSError, WebSocketException, TimeoutError, ValueError)


@dataclass
class Outcome:
    """What came of many messages or handshakes.

    Attributes:
        series: milliseconds of those that succeeded.
        errors: how often each thing went wrong.
    """

    series: Series
    errors: dict[str, int] = field(default_factory=dict)

    async def note(self, work: Awaitable[float]) -> None:
        """Wait for one, and count it."""
        try:
            self.series.add(await work)
        except FAILURES as problem:
            kind = f"{type(problem).__name__}: {problem}"
            self.errors[kind] = self.errors.get(kind, 0) + 1

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        figures = self.series.as_json() if self.series.samples else {}
        return {**figures, "errors": self.errors}


@dataclass
class Held:
    """Many connections at once: their handshakes, one echo of each, and the memory in MB."""

    handshakes: Outcome
    echoes: Outcome
    empty_mb: float | None
    full_mb: float | None


class Echoes:
    """One connection whose answers may come in any order: each message has a number."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._reading = asyncio.create_task(self._read())

    async def echo(self, number: int, due_s: float | None = None) -> float:
        """Send a message; milliseconds until it is back.

        Args:
            due_s: when it was to be sent, so that waiting here counts; now if None.

        Raises:
            ValueError: something else came back.
        """
        body = json.dumps({"action": "echo", "number": number})
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        began = time.perf_counter() if due_s is None else due_s
        try:
            await self.socket.send(body)
            said = await asyncio.wait_for(answer, ANSWER_S)
        finally:
            del self._waiting[number]
        took_ms = (time.perf_counter() - began) * 1000
        if said != body:
            # Of an error frame the sentence alone: with its ids no two would be the same.
            raise ValueError(f"{_fields(said).get('message', said)!r} came back")
        return took_ms

    async def close(self) -> None:
        """Close the connection."""
        await self.socket.close()
        await self._reading

    async def _read(self) -> None:
        problem: Exception = ConnectionError("the connection was closed")
        try:
            async for said in self.socket:
                self._answered(str(said))
        except WebSocketException as closed:
            problem = closed
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(problem)

    def _answered(self, said: str) -> None:
        number = _fields(said).get("number")
        if number is None:  # an error frame does not say what it is about: the eldest gets it
            number = min(self._waiting, default=None)
        waiting = self._waiting.get(number) if number is not None else None
        if waiting is not None and not waiting.done():
            waiting.set_result(said)


def _fields(said: str) -> dict[str, Any]:
    try:
        found = json.loads(said)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def opened(server: Server) -> Echoes:
    """A new connection."""
    return Echoes(await connect(server.url, open_timeout=ANSWER_S, compression=None, proxy=None))


async def paced(count: int, per_s: float, start: Callable[[int, float], Awaitable[None]]) -> None:
    """Start so many at a steady rate, whether or not those before have ended; wait for all.

    Args:
        start: takes a number and the time that it was due at.
    """
    began = time.perf_counter()
    tasks = []
    for number in range(count):
        due_s = began + number / per_s
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        tasks.append(asyncio.ensure_future(start(number, due_s)))
    await asyncio.gather(*tasks)


async def round_trips(servers: list[Server], count: int) -> dict[str, Outcome]:
    """Single messages, one after the other, on one warm connection of each server."""
    outcomes = {server.name: Outcome(Series(server.name)) for server in servers}
    clients = {server.name: await opened(server) for server in servers}
    for client in clients.values():
        for number in range(WARM_UP):
            await client.echo(number)
    for _ in range(ROUNDS):
        for name, client in clients.items():
            for number in range(max(1, count // ROUNDS)):
                await asyncio.sleep(PAUSE_S)
                await outcomes[name].note(client.echo(number))
    for client in clients.values():
        await client.close()
    return outcomes


async def held(server: Server, count: int) -> Held:
    """Many connections, all open; then one message on each."""
    result = Held(
        Outcome(Series("handshake")), Outcome(Series("echo")), server.memory_mb, full_mb=None
    )
    clients: list[Echoes] = []

    async def handshake() -> float:
        began = time.perf_counter()
        clients.append(await opened(server))
        return (time.perf_counter() - began) * 1000

    await paced(count, CONNECTIONS_PER_S, lambda _n, _due: result.handshakes.note(handshake()))
    everyone = list(clients)
    await paced(
        len(everyone),
        MESSAGES_PER_S,
        lambda number, due_s: result.echoes.note(everyone[number].echo(number, due_s)),
    )
    result.full_mb = server.memory_mb
    await paced(len(everyone), CONNECTIONS_PER_S * 2, lambda number, _due: everyone[number].close())
    return result


async def stream(server: Server, seconds: float, connections: int = STREAM_CONNECTIONS) -> Outcome:
    """Messages at a steady rate, spread over some connections."""
    outcome = Outcome(Series("stream"))
    clients = [await opened(server) for _ in range(connections)]
    await paced(
        round(seconds * MESSAGES_PER_S),
        MESSAGES_PER_S,
        lambda number, due_s: outcome.note(clients[number % connections].echo(number, due_s)),
    )
    for client in clients:
        await client.close()
    return outcome


@dataclass
class Results:
    """Everything that was measured, by the server's name."""

    echoes: dict[str, Outcome]
    held: dict[str, Held]
    streams: dict[str, Outcome]

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {
            name: {
                "echo": outcome.as_json(),
                "handshake": self.held[name].handshakes.as_json(),
                "held_echo": self.held[name].echoes.as_json(),
                "empty_mb": self.held[name].empty_mb,
                "full_mb": self.held[name].full_mb,
                "stream": self.streams[name].as_json(),
            }
            for name, outcome in self.echoes.items()
        }


async def measure(servers: list[Server], echoes: int, connections: int, seconds: float) -> Results:
    """All figures of all servers."""
    results = Results(await round_trips(servers, echoes), {}, {})
    for server in servers:
        results.streams[server.name] = await stream(server, seconds)
        results.held[server.name] = await held(server, connections)
    return results


def show(results: Results) -> None:
    """The tables."""
    _head("single messages, one after the other")
    for name, outcome in results.echoes.items():
        _row(name, outcome)
    mine = results.echoes["samwire"].series.median
    for name, outcome in results.echoes.items():
        if name != "samwire":
            print(f"samwire takes {mine / outcome.series.median:.1f} times as long as {name}")
    _head(f"{MESSAGES_PER_S} messages a second over {STREAM_CONNECTIONS} connections")
    for name, outcome in results.streams.items():
        _row(name, outcome)
    _head(f"many connections, {CONNECTIONS_PER_S} new ones a second, then an echo on each")
    for name, each in results.held.items():
        _row(f"{name}: handshake", each.handshakes)
        _row(f"{name}: echo", each.echoes)
        if each.empty_mb is not None and each.full_mb is not None:
            print(f"{name}: {each.empty_mb:.0f} MB before, {each.full_mb:.0f} MB with them open")


def _head(title: str) -> None:
    print(
        f"\n{title}\n{'ms':32s}{'median':>9s}{'min':>9s}{'p90':>9s}{'p99':>9s}{'max':>9s}", end=""
    )
    print(f"{'n':>7s}{'errors':>8s}")


def _row(name: str, outcome: Outcome) -> None:
    series = outcome.series
    values = [0.0] * 5
    if series.samples:
        p90, p99 = series.percentile(0.9), series.percentile(0.99)
        values = [series.median, min(series.samples), p90, p99, max(series.samples)]
    columns = "".join(f"{value:9.2f}" for value in values)
    print(f"{name:32s}{columns}{len(series.samples):7d}{sum(outcome.errors.values()):8d}")
    for problem, times in outcome.errors.items():
        print(f"    {times} x {problem}")


def main() -> None:
    """Measure and print; with `--json`, write the figures to a file too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--echoes", type=int, default=500)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        servers = [
            stack.enter_context(local_stack(folder)),
            stack.enter_context(bare_echo(folder)),
        ]
        try:
            servers.append(stack.enter_context(serverless_offline(folder)))
        except Unavailable as reason:
            print(f"without serverless-offline: {reason}")
        allow_the_stack()  # this process too; not before the stack, which must do it itself
        measuring = measure(servers, options.echoes, options.connections, options.seconds)
        results = asyncio.run(measuring)
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=2) + "\n")


if __name__ == "__main__":
    main()
