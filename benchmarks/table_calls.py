"""How often a turn asks the table, by operation: what it costs on AWS, and what it waits for.

A relay between the functions and the local DynamoDB counts what passes. `--tools` counts a turn
that calls a tool, beside one that does not.

    python -m benchmarks.table_calls [--turns 6] [--tools]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.e2e.raw import RawClient, opened
from tests.e2e.stack import Stack, running_stack

FUNCTIONS = ("ConnectFunction", "MessageFunction", "TurnFunction")
WARM_UP = 2
SETTLED_S = 1.0
"""After a turn, until what it still writes has been written."""
ENDED_BY_THE_TRANSPORT = ("transfer-encoding", "content-length", "connection")


class Relay:
    """Passes requests on, and counts them by operation.

    Args:
        upstream: URL of the local DynamoDB.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream.rstrip("/")
        self.counts: Counter[str] = Counter()
        self.url = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Pass requests on until the block ends."""
        async with aiohttp.ClientSession(auto_decompress=False) as self._session:
            app = web.Application(client_max_size=1 << 24)
            app.router.add_route("*", "/{path:.*}", self._pass)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield
            finally:
                await runner.cleanup()

    async def _pass(self, request: web.Request) -> web.Response:
        self.counts[request.headers.get("X-Amz-Target", "").partition(".")[2]] += 1
        # The host stays as it was signed.
        async with self._session.request(
            request.method,
            self._upstream + request.path_qs,
            headers=request.headers,
            data=await request.read(),
        ) as answer:
            headers = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() not in ENDED_BY_THE_TRANSPORT
            }
            body = await answer.read()
            return web.Response(status=answer.status, headers=headers, body=body)


async def count_turns(
    client: RawClient, relay: Relay, question: str, turns: int
) -> dict[str, float]:
    """Return how often each operation is called in a typed turn: medians."""
    counted: list[Counter[str]] = []
    for _ in range(WARM_UP + turns):
        await asyncio.sleep(SETTLED_S)
        relay.counts.clear()
        reply = await client.say(question)
        assert reply.end["reason"] == "completed", reply.errors
        await asyncio.sleep(SETTLED_S)
        counted.append(relay.counts.copy())
    names = sorted(set().union(*counted[WARM_UP:]))
    return {name: statistics.median(each[name] for each in counted[WARM_UP:]) for name in names}


async def measure(stack: Stack, questions: dict[str, str], turns: int) -> None:
    """Count, and print a row for each kind of turn."""
    relay = Relay(stack.info["dynamodb_endpoint"])
    async with relay.running():
        for function in FUNCTIONS:
            stack.set_variables(function, {"AWS_ENDPOINT_URL_DYNAMODB": relay.url})
        async with opened(stack.url) as client:
            for kind, question in questions.items():
                found = await count_turns(client, relay, question, turns)
                each = ", ".join(f"{count:g} {name}" for name, count in found.items())
                print(f"{kind}: {sum(found.values()):g} calls: {each}", flush=True)


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--tools", action="store_true", help="of a turn that calls a tool, too")
    options = parser.parse_args()
    questions = {"typed turn": "What is two plus three?"}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = Path(name)
        if options.tools:
            from benchmarks.tool_stack import running_tool_stack

            questions["typed turn with a tool"] = "Where is order A-123?"
            stack = running.enter_context(running_tool_stack(folder))
        else:
            stack = running.enter_context(running_stack(folder, prewarm=0))
        asyncio.run(measure(stack, questions, options.turns))


if __name__ == "__main__":
    main()
