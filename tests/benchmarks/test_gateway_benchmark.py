"""The benchmark of the gateway measures what it says, with a few messages instead of many."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from benchmarks import gateway
from benchmarks.echo_servers import (
    Server,
    Unavailable,
    bare_echo,
    local_stack,
    serverless_offline,
)
from benchmarks.first_audio import Series
from benchmarks.gateway import Outcome

FEW_FILES = 256
"""What a shell on macOS allows."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    folder = tmp_path_factory.mktemp("gateway")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_FILES, hard))
    try:
        with local_stack(folder) as local, bare_echo(folder) as bare:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            yield [local, bare]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_every_server_is_measured_in_every_way_without_an_error(
    servers: list[Server], capsys: pytest.CaptureFixture[str]
) -> None:
    results = await gateway.measure(servers, echoes=10, connections=12, seconds=0.2)
    gateway.show(results)
    for name, figures in results.as_json().items():
        counts = {key: figures[key]["n"] for key in ("echo", "handshake", "held_echo", "stream")}
        assert counts == {"echo": 10, "handshake": 12, "held_echo": 12, "stream": 60}, name
        assert not any(figures[key]["errors"] for key in counts), name
    assert "times as long as bare echo" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="reads the limit of another process")
def test_the_stack_holds_more_connections_than_the_shell_allows_files(
    servers: list[Server],
) -> None:
    soft, hard = resource.prlimit(servers[0].pid, resource.RLIMIT_NOFILE)
    assert soft > FEW_FILES or soft == hard == FEW_FILES


async def error_frames(socket: ServerConnection) -> None:
    async for _ in socket:
        await socket.send('{"message": "Internal server error", "requestId": "x"}')


async def hang_up(socket: ServerConnection) -> None:
    await socket.recv()


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (error_frames, "ValueError: 'Internal server error' came back"),
        (hang_up, "ConnectionError: the connection was closed"),
    ],
)
async def test_what_goes_wrong_is_counted_and_is_no_sample(behaviour: Any, error: str) -> None:
    async with serve(behaviour, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = await gateway.opened(Server("broken", f"ws://127.0.0.1:{port}", 0))
        outcome = Outcome(Series("broken"))
        await outcome.note(client.echo(1))
        await client.close()
    assert (outcome.errors, outcome.series.samples) == ({error: 1}, [])


async def test_messages_start_at_their_times_though_those_before_have_not_ended() -> None:
    begun: list[int] = []
    everyone = asyncio.Event()

    async def wait_for_the_last(number: int, _due_s: float) -> None:
        begun.append(number)
        if number == 4:
            everyone.set()
        await everyone.wait()

    await asyncio.wait_for(gateway.paced(5, 1000, wait_for_the_last), 5)
    assert begun == [0, 1, 2, 3, 4]


def test_without_npm_it_says_that_serverless_offline_cannot_be_had(tmp_path: Path) -> None:
    other = serverless_offline(tmp_path, installed=tmp_path / "none", path=str(tmp_path))
    with pytest.raises(Unavailable, match="npm is not installed"), other:
        pass
