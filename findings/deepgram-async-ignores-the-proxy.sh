#!/bin/sh
# deepgram-sdk 7.17.0, websockets 17.4
# Guess: DeepgramClient and AsyncDeepgramClient reach the network the same way: through the proxy that
#   the environment names, as websockets does since its version 15.
# Behaviour: the first does. The second takes the legacy client of websockets wherever it is still
#   there, which knows no proxy: it connects directly, and in a network that lets only the proxy out
#   it fails. It also cannot be imported where a DeprecationWarning is an error.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check deepgram-sdk==7.17.0 websockets==17.4
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import os
import socket
import subprocess
import sys
import threading

from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.environment import DeepgramClientEnvironment

asked: list[str] = []


def listen(name: str) -> int:
    """Take what comes first on a port, and hang up."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            connection, _ = server.accept()
            with connection:
                asked.append(f"{name}: {connection.recv(65536).split()[0].decode()}")

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


host = f"127.0.0.1:{listen('server')}"
for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
    os.environ.pop(name, None)
os.environ["http_proxy"] = os.environ["https_proxy"] = f"http://127.0.0.1:{listen('proxy')}"
local = DeepgramClientEnvironment(
    base=f"http://{host}", production=f"ws://{host}", agent=f"ws://{host}", agent_rest=f"http://{host}"
)
FLUX = {"model": "flux-general-en", "encoding": "linear16", "sample_rate": 16_000}


def connect() -> None:
    with DeepgramClient(api_key="x", environment=local).listen.v2.connect(**FLUX):
        pass


async def connect_async() -> None:
    async with AsyncDeepgramClient(api_key="x", environment=local).listen.v2.connect(**FLUX):
        pass


for attempt in (connect, lambda: asyncio.run(connect_async())):
    try:
        attempt()
    except Exception:  # Nobody answers: who was asked is what counts.
        pass
code = "import deepgram.listen.v2.client"
strict = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
error = (strict.stderr.strip().splitlines() or ["nothing"])[-1]
print("DeepgramClient asks", asked[0])
print("AsyncDeepgramClient asks", asked[1])
print("with -W error:", error)
sys.exit(asked != ["proxy: CONNECT", "server: GET"] or not error.startswith("DeprecationWarning"))
PYTHON
