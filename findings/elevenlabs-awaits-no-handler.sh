#!/bin/sh
# elevenlabs 2.78.0 (Python)
# Guess: the realtime transcriber of AsyncElevenLabs, all of whose methods are coroutines, takes
#   coroutine functions as handlers of its events, or refuses them.
# Behaviour: connection.on() takes one, and its body never runs: the coroutine is made and dropped.
#   What a handler raises is printed on stdout, as text, and goes nowhere else.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check elevenlabs==2.78.0 websockets==17.4
"$folder/venv/bin/python" -W ignore::RuntimeWarning - <<'PYTHON'
import asyncio
import contextlib
import io
import json
import sys

from elevenlabs import AsyncElevenLabs
from elevenlabs.realtime import AudioFormat, CommitStrategy, RealtimeEvents
from websockets.asyncio.server import serve

HEARD = {"message_type": "committed_transcript", "text": "hello"}


async def vendor(socket) -> None:
    async for message in socket:
        if json.loads(message).get("commit"):
            await socket.send(json.dumps(HEARD))


async def main() -> tuple[list[str], str]:
    ran: list[str] = []
    done = asyncio.Event()

    async def coroutine(_data: object) -> None:
        ran.append("coroutine")

    def broken(_data: object) -> None:
        raise LookupError("of a handler")

    def function(_data: object) -> None:
        ran.append("function")
        done.set()

    async with serve(vendor, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = AsyncElevenLabs(api_key="x", base_url=f"http://127.0.0.1:{port}")
        connection = await client.speech_to_text.realtime.connect({
            "model_id": "scribe_v2_realtime", "audio_format": AudioFormat.PCM_16000,
            "sample_rate": 16_000, "commit_strategy": CommitStrategy.MANUAL,
        })  # fmt: skip
        for handler in (coroutine, broken, function):
            connection.on(RealtimeEvents.COMMITTED_TRANSCRIPT, handler)
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            await connection.commit()
            await asyncio.wait_for(done.wait(), 10)
            for _ in range(20):  # A task, if there were one, would have its turn.
                await asyncio.sleep(0)
        await connection.close()
    return ran, shown.getvalue()


ran, shown = asyncio.run(main())
print("handlers that ran, of a coroutine and a function:", ran)
print("on stdout:", shown.strip())
sys.exit(ran != ["function"] or "of a handler" not in shown)
PYTHON
