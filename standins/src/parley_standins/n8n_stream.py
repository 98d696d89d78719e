"""The lines that a workflow of n8n streams."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence

from parley_standins.n8n_settings import N8nOddities

KEEPALIVE = '{"type":"keepalive"}\n'
LOOKS_UP = "Let me look that up."
SEARCHED = "I have searched."
FAILURE = "The service refused the connection"


def stream_reply(pieces: Sequence[str], oddities: N8nOddities) -> Iterator[str]:
    """Yield the lines of a run of the workflow.

    Args:
        pieces: the agent's words.
    """
    if oddities.keeps_alive:
        yield KEEPALIVE
    run = 0
    if oddities.fails in ("before", "recovers"):
        yield _line("error", "tool", content=FAILURE)
        if oddities.fails == "before":
            return
    if oddities.agent_streams:
        if oddities.looks_up:
            yield from _run("agent", run, [LOOKS_UP])
            run += 1
        yield _line("begin", "agent", run)
        if oddities.sub_agent:
            yield from _run("sub-agent", 0, [SEARCHED])
        for piece in pieces:
            yield _line("item", "agent", run, piece)
        if oddities.fails != "after":
            yield _line("end", "agent", run)
    if oddities.fails == "after":
        yield _line("error", "agent", run)
    elif oddities.responds_again:
        text = json.dumps({oddities.field: "".join(pieces)}, ensure_ascii=False)
        yield from _run("respond", 0, [text])


def _run(node: str, run: int, pieces: Sequence[str]) -> Iterator[str]:
    yield _line("begin", node, run)
    for piece in pieces:
        yield _line("item", node, run, piece)
    yield _line("end", node, run)


def _line(kind: str, node: str, run: int = 0, content: str | None = None) -> str:
    # What is not there is left out, as JSON.stringify does with `undefined`.
    chunk = {"type": kind} if content is None else {"type": kind, "content": content}
    metadata: dict[str, str | int] = {
        "nodeId": f"{node}-id",
        "nodeName": node,
        "itemIndex": 0,
        "runIndex": run,
    }
    if kind != "error":
        metadata["timestamp"] = int(time.time() * 1000)
    whole = {**chunk, "metadata": metadata}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")) + "\n"
