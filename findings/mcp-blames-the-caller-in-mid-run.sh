#!/bin/sh
# mcp 2.3.0
# Guess: status 400 with -32600 ("invalid request") says that the request was refused, so that nothing
#   has run, and that it may be sent again, for instance in a session.
# Behaviour: a tool that asks the client something in mid-run (`ctx.elicit`), of a client that cannot
#   be asked, fails so after it has acted. The answer is the one to a request that nobody understood,
#   but for its id: that is the call's. A client that falls back to `initialize` at a 400 runs the tool
#   twice.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mcp==2.3.0
"$folder/venv/bin/python" - <<'PYTHON'
import threading
import time

import httpx2
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from pydantic import BaseModel

server = MCPServer("shop", log_level="CRITICAL")
booked = []


class Seats(BaseModel):
    seats: int


@server.tool()
async def book(ctx: Context) -> str:
    booked.append("a table")
    return (await ctx.elicit("How many seats?", Seats)).action


running = uvicorn.Server(uvicorn.Config(server.streamable_http_app(), port=0, log_level="critical"))
thread = threading.Thread(target=running.run)
thread.start()
while not running.started:
    time.sleep(0.01)
url = f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}/mcp"
meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "finding", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
headers = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "book",
}
call = {
    "jsonrpc": "2.0",
    "id": 7,
    "method": "tools/call",
    "params": {"name": "book", "arguments": {}, "_meta": meta},
}
answers = [httpx2.post(url, headers=headers, json=call) for _ in range(2)]
alone = httpx2.post(url, headers={**headers, "Accept": "application/json"}, json=call)
running.should_exit = True
thread.join()
answer = answers[0].json()
print("a tool that has booked, and then asks:", answers[0].status_code, answer)
print("booked by the same id, sent twice:", booked)
print("Accept: application/json alone:", alone.status_code)
raise SystemExit(
    not (
        answers[0].status_code == 400
        and (answer["error"]["code"], answer["id"]) == (-32600, 7)
        and len(booked) == 2
        and alone.status_code == 406
    )
)
PYTHON
