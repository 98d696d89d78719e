"""The stand-ins, run as their command, and the clients that the tests use."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

KEY = "standin-key"
VOICE = "21m00Tcm4TlvDq8ikWAM"


@dataclass
class Standin:
    """One stand-in and its control API."""

    url: str
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, timeout=20)

    def put(self, **settings: Any) -> None:
        self.http.put("/_control", json=settings).raise_for_status()

    def reset(self) -> None:
        self.http.delete("/_control").raise_for_status()
        self.http.delete("/_requests").raise_for_status()

    def records(self) -> list[dict[str, Any]]:
        return list(self.http.get("/_requests").json()["requests"])

    def audio(self, record_id: int, direction: str) -> bytes:
        response = self.http.get(f"/_requests/{record_id}/audio", params={"direction": direction})
        return response.raise_for_status().content

    def ended_record(self) -> dict[str, Any]:
        """The only socket's record, once its connection is over."""
        for _ in range(100):
            (record,) = [r for r in self.records() if r["kind"] == "websocket"]
            if record["ended_ms"] is not None:
                return record
            time.sleep(0.02)
        raise AssertionError(f"the connection did not end: {record}")


@dataclass
class Standins:
    """All, and the process that they run in.

    Attributes:
        vendors: those of `parley_standins.vendors`, by name.
    """

    elevenlabs: Standin
    llm: Standin
    vendors: dict[str, Standin]
    process: subprocess.Popen[str]


@contextlib.contextmanager
def running(*options: str) -> Iterator[Standins]:
    """The command, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "parley_standins", *options],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        assert ready["pid"] == process.pid
        elevenlabs = Standin(ready["elevenlabs_url"])
        llm = Standin(ready["llm_url"].removesuffix("/v1"))
        vendors = {name: Standin(url) for name, url in ready["urls"].items()}
        with contextlib.ExitStack() as stack:
            for standin in (elevenlabs, llm, *vendors.values()):
                stack.enter_context(standin.http)
            yield Standins(elevenlabs, llm, vendors, process)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture(scope="session")
def shared() -> Iterator[Standins]:
    with running("--exit-with-parent") as standins:
        yield standins


@pytest.fixture
def elevenlabs(shared: Standins) -> Iterator[Standin]:
    shared.elevenlabs.reset()
    yield shared.elevenlabs
    shared.elevenlabs.reset()


@pytest.fixture
def llm(shared: Standins) -> Iterator[Standin]:
    shared.llm.reset()
    yield shared.llm
    shared.llm.reset()


@pytest.fixture
def n8n(shared: Standins) -> Iterator[Standin]:
    shared.vendors["n8n"].reset()
    yield shared.vendors["n8n"]
    shared.vendors["n8n"].reset()


@pytest.fixture
def speech(shared: Standins) -> Callable[..., bytes]:
    """Speech as 16-bit PCM, made by the stand-in."""

    def spoken(text: str, rate: int = 16_000, voice: str = VOICE, **body: Any) -> bytes:
        response = shared.elevenlabs.http.post(
            f"/v1/text-to-speech/{voice}/stream",
            params={"output_format": f"pcm_{rate}"},
            json={"text": text, **body},
            headers={"xi-api-key": KEY},
        )
        assert response.status_code == 200, response.text
        return response.content

    return spoken


class Socket:
    """A WebSocket that speaks JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, **frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    async def receive(self) -> dict[str, Any]:
        return await self.receive_within(15)

    async def receive_within(self, limit_s: float) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(self.connection.recv(), limit_s))
        return frame

    async def until(self, wanted: Callable[[dict[str, Any]], Any]) -> list[dict[str, Any]]:
        """Frames up to and with the first that is wanted."""
        frames = [await self.receive()]
        while not wanted(frames[-1]):
            frames.append(await self.receive())
        return frames

    async def hear(self, pcm: bytes, *, rate: int = 16_000, pause_s: float = 0.0) -> None:
        """Send audio to a transcription, 100 ms at a time."""
        step = rate // 10 * 2
        for at in range(0, len(pcm), step):
            await self.send(
                message_type="input_audio_chunk",
                audio_base_64=base64.b64encode(pcm[at : at + step]).decode(),
                commit=False,
                sample_rate=rate,
                previous_text=None,
            )
            await asyncio.sleep(pause_s)

    async def commit(self) -> None:
        await self.send(message_type="input_audio_chunk", audio_base_64="", commit=True)

    async def committed(self) -> str:
        frames = await self.until(lambda f: f["message_type"] == "committed_transcript")
        return str(frames[-1]["text"])

    async def close_code(self) -> int | None:
        """Wait for the server to close."""
        await asyncio.wait_for(self.connection.wait_closed(), 10)
        return self.connection.close_code


@contextlib.asynccontextmanager
async def socket_to(
    standin: Standin, path: str, *, key: str | None = KEY, **query: Any
) -> AsyncIterator[Socket]:
    """An open WebSocket to a stand-in."""
    url = httpx.URL(standin.url + path, params=query)
    headers = {"xi-api-key": key} if key else {}
    address = "ws" + str(url).removeprefix("http")
    async with connect(
        address, additional_headers=headers, max_size=2**24, close_timeout=0.5
    ) as connection:
        yield Socket(connection)


def word_error_rate(said: str, heard: str) -> float:
    """Levenshtein distance in words, over the number of words said."""
    reference, hypothesis = said.split(), heard.split()
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        previous, row[0] = row[:], i
        for j, other in enumerate(hypothesis, 1):
            row[j] = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (word != other))
    return row[-1] / len(reference)
