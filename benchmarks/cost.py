"""What AWS charges for one minute of talk, counted from a real conversation.

The local stack runs, and the Python client talks to it: five turns, six seconds of speech each at
the speed of a microphone, and six seconds of reply, played to its end. What AWS bills is counted
where it happens: messages and invocations by samwire's journal, units of the table by a relay in
front of it, processor time by the functions' processes. The first conversation finds the functions
cold. Its initialisation is shared by the minutes of a conversation of five. The others are warm,
and the one of the median sum is shown.

A function has the share of a processor that its memory buys: what its process computes here is
charged as so much longer, and what it waits for as long as it waits here. Providers take as long
as real ones: transcript 280 ms, model 300 ms and 10 ms a token, voice 150 ms.

    python -m benchmarks.cost [--tree PATH] [--minutes 3] [--detail] [--write] [--json FILE]

`--write` puts the table into docs/costs.md; the next of `benchmarks/minute_price.py` has its sum.
`--tree` counts another checkout of this repository, which has an environment of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks.billed_table import BilledRelay
from benchmarks.minute_bill import Minute, detail, markdown, middle, rows

ROOT = Path(__file__).resolve().parent.parent
TURNS = 5
SPEECH_S = 6.0
RATE_HZ = 16_000
SETTLED_S = 4.0
"""After the connection has ended, until what the functions still do is done."""
QUESTION = (
    "Could you please tell me what the weather will be like on the coast tomorrow afternoon, "
    "because I would like to go sailing?"
)
REPLY = (
    "Tomorrow afternoon will be sunny, with a light wind from the west. "
    "That is lovely weather for sailing."
)
DELAYS_MS = {"tts_first_byte_ms": 150, "stt_final_ms": 280}
FIRST_TOKEN_S, TOKEN_S = 0.3, 0.01
KEY = "standin-key"
COSTS = ROOT / "docs" / "costs.md"
BEGIN, END = "<!-- minute: counted by benchmarks/cost.py -->", "<!-- /minute -->"


class Model:
    """A chat endpoint whose every reply is as long."""

    url = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer until the block ends."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        tokens = re.findall(r"\s*\S+", REPLY)
        await asyncio.sleep(FIRST_TOKEN_S)
        for token in tokens:
            await self._send(response, [{"index": 0, "delta": {"content": token}}])
            await asyncio.sleep(TOKEN_S)
        await self._send(response, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
        if (asked.get("stream_options") or {}).get("include_usage"):
            sizes = {"prompt_tokens": 100, "completion_tokens": len(tokens)}
            await self._send(response, [], usage={**sizes, "total_tokens": 100 + len(tokens)})
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _send(self, response: web.StreamResponse, choices: Any, **more: Any) -> None:
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
        await response.write(
            f"data: {json.dumps({**chunk, 'choices': choices, **more})}\n\n".encode()
        )


@contextlib.asynccontextmanager
async def process(
    tree: Path, log: Path, *arguments: str
) -> AsyncIterator[tuple[dict[str, Any], int]]:
    """A module of a tree, which says in a line of JSON that it is ready; and its process id."""
    environment = {name: v for name, v in os.environ.items() if not name.startswith("AWS_")}
    with log.open("w") as stderr:
        child = await asyncio.create_subprocess_exec(
            str(tree / ".venv/bin/python"), "-m", *arguments,
            cwd=tree, env=environment, stdout=asyncio.subprocess.PIPE, stderr=stderr,
            limit=1 << 22,
        )  # fmt: skip
        try:
            assert child.stdout is not None
            line = await child.stdout.readline()
            if not line:
                raise RuntimeError(f"{' '.join(arguments)} did not start:\n{log.read_text()}")
            yield json.loads(line), child.pid
        finally:
            child.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), 15)


@dataclass
class Watched:
    """A running stack, and what has been seen of it.

    Attributes:
        control: URL of what only the emulator has.
        pid: of the emulator.
        names: logical ids of the functions, by their names.
        traced: which of them begin traces.
    """

    url: str
    control: str
    pid: int
    relay: BilledRelay
    names: dict[str, str]
    traced: frozenset[str]
    last_id: int = 0
    entries: list[dict[str, Any]] = field(default_factory=list)

    def look(self) -> None:
        """Read what is new in the journal, which keeps the latest only."""
        url = f"{self.control}/_local/events.json?after={self.last_id}"
        with urllib.request.urlopen(url, timeout=30) as response:
            found = json.loads(response.read())
        if found:
            if self.last_id and found[0]["id"] != self.last_id + 1:
                raise RuntimeError("the journal has dropped entries")
            self.last_id = found[-1]["id"]
        self.entries += found

    async def minute(self, work: Any) -> Minute:
        """Count what happens while something is done, and until all of it is over."""
        before = self._cpu_ms()
        self.look()
        self.entries.clear()
        self.relay.bill.take()
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.wait([task], timeout=1.0)
            await asyncio.to_thread(self.look)
        task.result()
        await asyncio.sleep(SETTLED_S)
        await self.relay.settled()
        await asyncio.to_thread(self.look)
        minute = Minute(table=self.relay.bill.take(), traced=self.traced)
        minute.note(self.entries)
        for name, cpu_ms in self._cpu_ms().items():
            if name in minute.functions:
                minute.functions[name].cpu_ms = cpu_ms - before.get(name, 0.0)
        return minute

    def _cpu_ms(self) -> dict[str, float]:
        """Return the processor time of each function's processes so far."""
        found: dict[str, float] = {}
        for pid in _descendants(self.pid):
            variables = _variables(pid)
            name = self.names.get(variables.get("AWS_LAMBDA_FUNCTION_NAME", ""))
            if name is not None:
                found[name] = found.get(name, 0.0) + _used_ms(pid)
        return found


def _descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield int(child)
                yield from _descendants(int(child))


def _variables(pid: int) -> dict[str, str]:
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return {}
    return dict(each.split("=", 1) for each in raw.split("\0") if "=" in each)


def _used_ms(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def _own_client(info: dict[str, Any]) -> Any:
    import botocore.session

    session = botocore.session.Session(profile="local-stack")
    session.set_config_variable("config_file", info["aws_config_file"])
    return session.create_client("dynamodb", endpoint_url=info["dynamodb_endpoint"])


def function_ids(tree: Path) -> list[str]:
    """Return the logical ids of a tree's functions."""
    found, name = [], ""
    for line in (tree / "template.yaml").read_text().splitlines():
        if match := re.fullmatch(r"  (\w+):", line):
            name = match[1]
        elif line.strip() == "Type: AWS::Serverless::Function":
            found.append(name)
    return found


def traced_functions(tree: Path) -> frozenset[str]:
    """Return the logical ids of the functions of a tree that begin traces."""
    found, name, usual = set(), "", False
    functions = function_ids(tree)
    for line in (tree / "template.yaml").read_text().splitlines():
        if match := re.fullmatch(r"  (\w+):", line):
            name = match[1]
            if usual and name in functions:
                found.add(name)
        elif match := re.fullmatch(r"(    |      )Tracing: (\w+)", line):
            if match[1] == "    ":
                usual = match[2] == "Active"
            elif match[2] != "Active":
                found.discard(name)
            else:
                found.add(name)
    return frozenset(found)


async def _speech(url: str) -> bytes:
    """Return the question in sound: so long exactly, with silence at its end."""

    def ask() -> bytes:
        request = urllib.request.Request(
            f"{url}/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/stream?output_format=pcm_16000",
            data=json.dumps({"text": QUESTION}).encode(),
            headers={"xi-api-key": KEY, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return bytes(response.read())

    wanted = int(SPEECH_S * RATE_HZ) * 2
    return (await asyncio.to_thread(ask))[:wanted].ljust(wanted, b"\0")


async def converse(tree: Path, url: str, pcm: Path) -> None:
    """Hold the conversation over the tree's client.

    Raises:
        RuntimeError: a turn did not go as it should.
    """
    child = await asyncio.create_subprocess_exec(
        str(tree / ".venv/bin/python"),
        str(ROOT / "benchmarks/cost_conversation.py"),
        cwd=tree,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    script = {"url": url, "pcm": str(pcm), "turns": TURNS}
    out, _ = await child.communicate(json.dumps(script).encode())
    turns = json.loads(out) if child.returncode == 0 else []
    if [each["reason"] for each in turns] != ["completed"] * TURNS:
        raise RuntimeError(f"the conversation failed: {turns}")
    replied_s = sum(each["audio_ms"] for each in turns) / 1000
    print(f"a conversation with {replied_s:.1f} s of replies", file=sys.stderr, flush=True)


async def measure(tree: Path, minutes: int, overrides: Sequence[str]) -> list[Minute]:
    """Hold as many conversations, and one before them that finds everything cold."""
    functions, model = function_ids(tree), Model()
    relay = BilledRelay(functions)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(relay.running())
            await stack.enter_async_context(model.running())
            standins, _ = await stack.enter_async_context(
                process(tree, folder / "standins.log", "parley_standins", "--exit-with-parent")
            )
            voice = standins["elevenlabs_url"]
            _put(voice, {"delays": DELAYS_MS})
            pcm = folder / "question.pcm"
            pcm.write_bytes(await _speech(voice))
            given = folder / "variables.json"
            each = {f: {"AWS_ENDPOINT_URL_DYNAMODB": relay.urls[f]} for f in functions}
            given.write_text(json.dumps(each))
            info, pid = await stack.enter_async_context(
                process(
                    tree, folder / "stack.log", "samwire", "start", "--json",
                    "--template", str(tree / "template.yaml"), "--port", "0", "--tls-port", "0",
                    "--env-vars", str(given), "--parameter-overrides",
                    f"ElevenLabsApiKey={KEY}", f"LlmApiKey={KEY}", f"ElevenLabsBaseUrl={voice}",
                    f"LlmBaseUrl={model.url}", "LlmModel=fake", *overrides,
                )
            )  # fmt: skip
            relay.lead_to(info["dynamodb_endpoint"], _own_client(info))
            names = {name: logical_id for logical_id, name in info["functions"].items()}
            watched = Watched(
                info["websocket_url"],
                info["lambda_endpoint"],
                pid,
                relay,
                names,
                traced_functions(tree),
            )
            found = []
            try:
                for _ in range(1 + minutes):
                    found.append(await watched.minute(converse(tree, watched.url, pcm)))
            except RuntimeError:
                print(_troubles(folder / "stack.log"), file=sys.stderr)
                raise
            return found


def _troubles(log: Path) -> str:
    """Return the lines of a log that speak of trouble."""
    lines = log.read_text().splitlines()
    return "\n".join(line for line in lines if '"WARNING"' in line or '"ERROR"' in line)


def _put(url: str, settings: object) -> None:
    request = urllib.request.Request(
        f"{url}/_control",
        method="PUT",
        data=json.dumps(settings).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()


def main() -> None:
    """Count, and print the table of docs/costs.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tree", type=Path, default=ROOT, help="another checkout")
    parser.add_argument("--minutes", type=int, default=3, help="beside the first, which is cold")
    parser.add_argument("--detail", action="store_true", help="what the table was asked for, too")
    parser.add_argument("--write", action="store_true", help="into docs/costs.md")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--parameter-overrides", nargs="*", default=[], metavar="KEY=VALUE", help="the template's"
    )
    options = parser.parse_args()
    tree = options.tree.resolve()
    cold, *warm = asyncio.run(measure(tree, options.minutes, options.parameter_overrides))
    init_usd = sum(use.init_usd for use in cold.functions.values())
    minute, sums = middle(warm, init_usd)
    table = markdown(rows(minute, init_usd))
    print(table)
    if options.write:
        costs = COSTS.read_text()
        before, rest = costs.split(BEGIN, 1)
        after = rest[rest.index(END) :]
        COSTS.write_text(f"{before}{BEGIN}\n{table}\n{after}")
    shown = ", ".join(f"{usd:.5f}" for usd in sums)
    print(f"\nSums of {len(sums)} minutes: {shown} USD. Cold starts: {init_usd:.6f} USD.")
    if options.detail:
        print(f"\n{detail(minute)}")
    if options.json:
        bill = {row.what: row.usd for row in rows(minute, init_usd)}
        options.json.write_text(json.dumps({"sums": sums, "usd": bill}, indent=2) + "\n")


if __name__ == "__main__":
    main()
