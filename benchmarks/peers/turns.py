"""What the scripts of the peers share: a question a line comes in, a line of JSON a turn goes out.

They run in an environment of their own, which has the framework and nothing of Parley.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

MODEL = "standin"
SAMPLE_RATE = 24000
SILENCE = bytes(SAMPLE_RATE // 10 * 2)
"""A tenth of a second."""
TURN_S = 20.0
"""How long a turn may take."""
INSTRUCTIONS = "You are a friendly voice assistant. Answer in short, spoken sentences."
TOOL = "order_status"
DESCRIPTION = "Where an order is. Use it when the user asks about a delivery."
ARGUMENT = {"type": "string", "description": "Order number such as A-123"}


@dataclass(frozen=True)
class Setup:
    """What is asked, and how slow the parts are.

    Attributes:
        llm_url: of an OpenAI-compatible chat endpoint.
        key: its API key.
        tool_s: how long the tool takes.
        first_byte_s: how long the voice takes to its first byte.
    """

    llm_url: str
    key: str
    tool_s: float
    first_byte_s: float


def read_setup() -> Setup:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--llm-url", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--tool-ms", type=float, required=True)
    parser.add_argument("--first-byte-ms", type=float, required=True)
    given = parser.parse_args()
    return Setup(given.llm_url, given.key, given.tool_ms / 1000, given.first_byte_ms / 1000)


async def run_tool(setup: Setup, order: str) -> dict[str, str]:
    """Take the tool's time, and return its result."""
    await asyncio.sleep(setup.tool_s)
    return {"order": order, "status": "on its way", "depot": "Leeds"}


class Ear:
    """Notes when the first audio of a turn comes, and what was to be spoken first."""

    def __init__(self) -> None:
        self.began = 0.0
        self.spoken = ""
        self._heard: asyncio.Future[float] = asyncio.Future()

    def begin(self) -> None:
        """Begin a turn."""
        self.spoken = ""
        self._heard = asyncio.get_running_loop().create_future()
        self.began = time.perf_counter()

    def note_text(self, text: str) -> None:
        """Note what the voice is to speak."""
        self.spoken = self.spoken or text

    def note_audio(self) -> None:
        """Note that audio has come."""
        if not self._heard.done():
            self._heard.set_result((time.perf_counter() - self.began) * 1000)

    async def first_audio_ms(self) -> float:
        """Wait for the first audio."""
        return await asyncio.wait_for(asyncio.shield(self._heard), TURN_S)


async def serve(ear: Ear, hold_turn: Callable[[str], Awaitable[None]]) -> None:
    """Hold a turn for each line that comes in; say before that all is ready.

    Args:
        hold_turn: takes a question; waits until its reply has been spoken.
    """
    loop = asyncio.get_running_loop()
    _print({"ready": True})
    while question := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        ear.begin()
        turn = asyncio.ensure_future(hold_turn(question))
        first_audio_ms = await ear.first_audio_ms()
        await asyncio.wait_for(turn, TURN_S)
        _print({"first_audio_ms": round(first_audio_ms, 2), "spoken_first": ear.spoken})


def _print(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)
