#!/bin/sh
# cartesia 4.2.0 (Python)
# Guess: a client with base_url="http://127.0.0.1:PORT" opens its sockets there without TLS.
# Behaviour: those for transcription do. The one for speech keeps host and port and says TLS to them:
#   a plain server gets a ClientHello instead of a request. Only websocket_base_url="ws://…" helps.
# Hurts: who has a stand-in, or a proxy within a private network.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cartesia==4.2.0 websockets==15.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import os
import sys

from cartesia import AsyncCartesia

for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
    os.environ.pop(name, None)
EARS = {"model": "ink-whisper", "encoding": "pcm_s16le", "sample_rate": 16_000}


async def main() -> dict[str, str]:
    first: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    plain = {"api_key": "x", "base_url": f"http://127.0.0.1:{port}", "max_retries": 0}
    client = AsyncCartesia(**plain)
    told = AsyncCartesia(**plain, websocket_base_url=f"ws://127.0.0.1:{port}")
    found = {}
    for name, connect in {
        "transcription": lambda: client.stt.manual_finalize.websocket(**EARS),
        "speech": lambda: client.tts.websocket_connect(),
        "speech, with websocket_base_url": lambda: told.tts.websocket_connect(),
    }.items():
        first.clear()
        try:
            async with connect():
                pass
        except Exception:  # Nobody answers: what was asked is what counts.
            pass
        found[name] = {b"\x16\x03": "TLS", b"GE": "GET"}.get(first[0][:2], repr(first[0][:2]))
        print(f"{name}: the first bytes are {found[name]}")
    server.close()
    return found


sys.exit(list(asyncio.run(main()).values()) != ["GET", "TLS", "GET"])
PYTHON
