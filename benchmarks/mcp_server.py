"""What an MCP server lists, and how long a call of it takes, as a deployed turn would ask it.

    python -m benchmarks.mcp_server URL [TOOL ARGUMENTS] [--times 20]

For example, once `docs/tools.md`, "An MCP server", has one running:

    python -m benchmarks.mcp_server http://127.0.0.1:8096/mcp convert_time \
      '{"source_timezone": "Europe/Berlin", "time": "16:30", "target_timezone": "Asia/Tokyo"}'
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from dataclasses import dataclass
from typing import Any

from parley.tools.kinds.mcp import build_list, build_tool
from parley.tools.mcp.listed_tools import offered_name
from parley.tools.mcp_server import McpServer
from parley.tools.tool import Invocation, ToolFailed


@dataclass(frozen=True)
class Console:
    """An `McpContext` whose log is the console."""

    private_hosts: frozenset[str]
    region: str = ""

    async def read_secret(self, _name: str, *, fresh: bool = False) -> str:
        return ""

    def log(self, event: str, fields: dict[str, Any]) -> None:
        print(event, fields)


async def measure(url: str, tool: str, arguments: dict[str, Any], times: int) -> None:
    """List the tools, and call one so many times."""
    host = url.split("/")[2]
    console = Console(frozenset({host, host.rpartition(":")[0]}))
    listed = build_list(McpServer("server", url), console)
    begun = time.perf_counter()
    await listed.refresh()
    print(f"listed in {_ms(begun):.0f} ms:")
    for spec in listed.specs:
        print(f"  {spec.name}: {spec.offer.description}")
    name = offered_name("server", tool)
    found = next((each for each in listed.specs if each.name == name), None)
    if found is not None:
        runner = build_tool(found, console)
        taken = []
        try:
            for number in range(times):
                begun = time.perf_counter()
                answer = await runner.call(Invocation(f"key-{number}", arguments, 10))
                taken.append(_ms(begun))
            print(f"{tool}: {statistics.median(taken):.0f} ms (median of {times})")
            print(answer.value)
        except ToolFailed as error:
            print(f"{tool} failed: {error.reason}. {error.told} {error.log_fields}")
    elif tool:
        print(f"There is no {tool}.")
    await listed.close()


def _ms(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000


def main() -> None:
    """Read the command, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("url")
    parser.add_argument("tool", nargs="?", default="")
    parser.add_argument("arguments", nargs="?", default={}, type=json.loads)
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    asyncio.run(measure(options.url, options.tool, options.arguments, options.times))


if __name__ == "__main__":
    main()
