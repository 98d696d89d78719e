"""A server for long conversations, in a process of its own so that its memory is not the client's.

It remembers nothing but the turn it last broke off. A reply to `LOST` ends with the connection
in its middle, the first time; one to `ENDLESS` goes on until it is interrupted.

    python soak_server.py     prints its address, and serves until it is ended
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import AsyncIterator

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from scripted_server import READY, Json

ENDLESS = "Talk on."
LOST = "Speak as the line breaks."
CHUNK_MS = 100
REPLY_CHUNKS = 40
REPLY_MS = REPLY_CHUNKS * CHUNK_MS
_AUDIO = base64.b64encode(b"\1" * (16 * 2 * CHUNK_MS)).decode()
_LAST_SEQ = REPLY_CHUNKS + 2


@contextlib.asynccontextmanager
async def soak_server() -> AsyncIterator[str]:
    """The address of one that runs meanwhile."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


class _Script:
    def __init__(self) -> None:
        self._lost = ""

    async def serve(self, socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in socket:
                message = json.loads(frame)
                for event in self._answers(message):
                    await socket.send(json.dumps(event))
                if self._breaks(message):
                    self._lost = message["turn_id"]
                    socket.transport.abort()

    def _breaks(self, message: Json) -> bool:
        return message.get("text") == LOST and message["turn_id"] != self._lost

    def _answers(self, message: Json) -> list[Json]:
        turn_id = message.get("turn_id", "")
        match message["type"]:
            case "init":
                received = message.get("received", {})
                came_back = received.get("turn_id") == self._lost != ""
                rest = _reply(self._lost)[received["seq"] :] if came_back else []
                return [{**READY, "resumed": "session_id" in message}, *rest]
            case "user_message" if self._breaks(message):
                return _reply(turn_id)[: REPLY_CHUNKS // 2]
            case "user_message" if message["text"] == ENDLESS:
                return _reply(turn_id)[:-1]
            case "user_message" | "audio_end":
                return _reply(turn_id)
            case "interrupt":
                return [_end(turn_id, "interrupted")]
            case "end":
                return [{"type": "session_ended", "session_id": READY["session_id"]}]
        return []


def _reply(turn_id: str) -> list[Json]:
    audio = [
        {
            "type": "audio",
            "turn_id": turn_id,
            "seq": number + 2,
            "audio": _AUDIO,
            "format": "pcm_16000",
            "start_ms": number * CHUNK_MS,
            "duration_ms": CHUNK_MS,
        }
        for number in range(REPLY_CHUNKS)
    ]
    text = {"type": "reply_text", "turn_id": turn_id, "seq": 1, "delta": "So it is."}
    return [text, *audio, _end(turn_id, "completed")]


def _end(turn_id: str, reason: str) -> Json:
    return {
        "type": "turn_end",
        "turn_id": turn_id,
        "seq": _LAST_SEQ,
        "reason": reason,
        "text": "So it is.",
        "metrics": {},
    }


async def _main() -> None:
    async with serve(_Script().serve, "127.0.0.1", 0) as server:
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/dev", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
