"""What the scripts of the peers share: a question a line comes in, a line of JSON a turn goes out.

They run in an environment of their own, which has the framework and nothing of Parley.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
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
        first_byte_s: how long the voice takes to its first byte.
        tool_s: how long the tool takes; None if there is none.
        sessions: how many sessions the process has.
        tokens: whether the voice is given tokens, not sentences, if the framework can.
    """

    llm_url: str
    key: str
    first_byte_s: float
    tool_s: float | None = None
    sessions: int = 1
    tokens: bool = False


def read_setup() -> Setup:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--llm-url", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--first-byte-ms", type=float, required=True)
    parser.add_argument("--tool-ms", type=float)
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--cut", choices=("sentences", "tokens"), default="sentences")
    given = parser.parse_args()
    return Setup(
        given.llm_url,
        given.key,
        given.first_byte_ms / 1000,
        None if given.tool_ms is None else given.tool_ms / 1000,
        given.sessions,
        given.cut == "tokens",
    )


async def run_tool(setup: Setup, order: str) -> dict[str, str]:
    """Take the tool's time, and return its result."""
    await asyncio.sleep(setup.tool_s or 0.0)
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


HoldTurn = Callable[[str], Awaitable[None]]
"""Takes a question; waits until its reply has been spoken."""


async def serve(sessions: Sequence[tuple[Ear, HoldTurn]]) -> None:
    """Hold a turn for each line that comes in, in all sessions at once; say before that all is
    ready.

    Args:
        sessions: what hears each, and what holds its turns.
    """
    loop = asyncio.get_running_loop()
    _print({"ready": True})
    while question := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        began_s = time.process_time()
        first_audio_ms = await asyncio.gather(
            *(_first_audio_ms(ear, hold_turn, question) for ear, hold_turn in sessions)
        )
        cpu_ms = (time.process_time() - began_s) * 1000 / len(sessions)
        _print(
            {
                "first_audio_ms": [round(each, 2) for each in first_audio_ms],
                "cpu_ms": round(cpu_ms, 1),
                "spoken_first": sessions[0][0].spoken,
            }
        )


async def _first_audio_ms(ear: Ear, hold_turn: HoldTurn, question: str) -> float:
    ear.begin()
    turn = asyncio.ensure_future(hold_turn(question))
    first_audio_ms = await ear.first_audio_ms()
    await asyncio.wait_for(turn, TURN_S)
    return first_audio_ms


def _print(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)
