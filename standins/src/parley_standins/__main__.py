"""`python -m parley_standins`: all stand-ins, until a signal or the parent's end.

Prints one JSON line when they are ready: `{"elevenlabs_url", "llm_url", "urls", "voices",
"engines", "missing", "pid"}`. `urls` has those of `parley_standins.vendors`, by name: `tools` is
that of `tool_services`. `engines` are who speaks and who hears, `missing` is why others do not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import msgspec
from aiohttp import web

from parley_standins.elevenlabs_app import elevenlabs_app
from parley_standins.engines import Engines
from parley_standins.faults import ChatDelays, ChatSettings, SpeechDelays, SpeechSettings
from parley_standins.openai_chat import chat_app
from parley_standins.vendors import SERVERS, build_app
from parley_standins.voices import VOICES

DEFAULT_KEY = "standin-key"
HIGHEST_PORT = 65535
PARENT_POLL_S = 0.5
SHUTDOWN_S = 1.0
"""How long requests that are still running may take when the stand-ins end."""

_DELAYS = (SpeechDelays, ChatDelays)
D = TypeVar("D", SpeechDelays, ChatDelays)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="parley-standins",
        description="Stand-ins for every provider that Parley can use.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    for option in ("--elevenlabs-port", "--llm-port"):
        parser.add_argument(option, type=_port, default=0, metavar="N", help="0: any free port")
    parser.add_argument(
        "--api-key", default=DEFAULT_KEY, help="that every stand-in takes but the chat's"
    )
    parser.add_argument("--llm-api-key", default=DEFAULT_KEY, help="that the chat stand-in takes")
    parser.add_argument(
        "--pair",
        choices=("small", "natural"),
        default="small",
        help="small: espeak-ng and PocketSphinx; natural: hibari and Moonshine, where they are",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="DIR", help="with Moonshine's, for --pair natural"
    )
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="end when the starting process does"
    )
    for kind in _DELAYS:
        for name in kind.__struct_fields__:
            option = f"--{name.replace('_', '-')}"
            parser.add_argument(option, type=float, default=0, metavar=name.rsplit("_", 1)[-1])
    return parser.parse_args(argv)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= HIGHEST_PORT):
        raise argparse.ArgumentTypeError(
            f"must be a whole number from 0 to {HIGHEST_PORT}, not {text!r}"
        )
    return int(text)


async def serve(options: argparse.Namespace, parent: int) -> None:
    """Run the servers until a signal, or until the parent is gone.

    Args:
        parent: the process that started this one.
    """
    speech = _delays(options, SpeechDelays)
    chat = _delays(options, ChatDelays)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, over.set)
    async with contextlib.AsyncExitStack() as stack:
        chosen = Engines(options.pair, options.weights)
        engines = await stack.enter_async_context(chosen.running())
        elevenlabs = elevenlabs_app(options.api_key, SpeechSettings(delays=speech), engines)
        llm = chat_app(options.llm_api_key, ChatSettings(delays=chat))
        elevenlabs_url = await stack.enter_async_context(
            serve_app(elevenlabs, options.host, options.elevenlabs_port)
        )
        llm_url = await stack.enter_async_context(serve_app(llm, options.host, options.llm_port))
        urls = {}
        for name in SERVERS:
            vendor = build_app(name, options.api_key, engines)
            urls[name] = await stack.enter_async_context(serve_app(vendor, options.host, 0))
        ready = {
            "elevenlabs_url": elevenlabs_url,
            "llm_url": f"{llm_url}/v1",
            "urls": urls,
            "voices": {voice.voice_id: voice.name for voice in VOICES.values()},
            "engines": {"voice": engines.speaker.engine, "ears": engines.recognizer.engine},
            "missing": engines.missing,
            "pid": os.getpid(),
        }
        print(json.dumps(ready), flush=True)
        watched = options.exit_with_parent
        watch_task = asyncio.create_task(watch_parent(parent, over)) if watched else None
        await over.wait()
        if watch_task:
            watch_task.cancel()


@contextlib.asynccontextmanager
async def serve_app(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Serve an application; gives its URL."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0]
        yield f"http://{host}:{bound[1]}"
    finally:
        await runner.cleanup()


def _delays(options: argparse.Namespace, kind: type[D]) -> D:
    return msgspec.convert({name: getattr(options, name) for name in kind.__struct_fields__}, kind)


async def watch_parent(parent: int, over: asyncio.Event) -> None:
    """Set the event when this process has another parent than that."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells of a parent's end
        await asyncio.sleep(PARENT_POLL_S)
    over.set()


def main() -> int:
    """Run the command."""
    # First of all: a parent may be gone as soon as it has read that the stand-ins are ready.
    parent = os.getppid()
    options = arguments()
    try:
        asyncio.run(serve(options, parent))
    except msgspec.ValidationError as error:
        print(f"A delay is out of range: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"Can't listen: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
