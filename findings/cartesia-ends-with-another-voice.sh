#!/bin/sh
# cartesia 4.2.0 (Python)
# Guess: no_more_inputs() ends a context of the speech socket, and says nothing about its voice, or
#   the one that was used.
# Behaviour: unless the voice was given to context(), the last message names a voice that is written
#   into the SDK, although every send() named another. The API wants all fields of a context's
#   messages to stay the same.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cartesia==4.2.0 websockets==15.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import json
import sys

from cartesia import AsyncCartesia
from websockets.asyncio.server import serve

FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24_000}
MINE = {"mode": "id", "id": "the-voice-that-was-asked-for"}


async def voices(**of_context: object) -> list[object]:
    said: asyncio.Queue[object] = asyncio.Queue()

    async def take(socket) -> None:
        async for message in socket:
            said.put_nowait(json.loads(message)["voice"])

    async with serve(take, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = AsyncCartesia(api_key="x", websocket_base_url=url)
        async with client.tts.websocket_connect() as socket:
            context = socket.context(model_id="sonic-3", output_format=FORMAT, **of_context)
            await context.send(
                model_id="sonic-3", transcript="Hi. ", voice=MINE, output_format=FORMAT, continue_=True
            )
            await context.no_more_inputs()
            return [await asyncio.wait_for(said.get(), 10) for _ in range(2)]


by_send = asyncio.run(voices())
by_context = asyncio.run(voices(voice=MINE))
print("voice by send():", *by_send, sep="\n  ")
print("voice by context() as well:", *by_context, sep="\n  ")
wanted = [MINE, "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"], [MINE, MINE]
sys.exit((by_send, by_context) != wanted)
PYTHON
