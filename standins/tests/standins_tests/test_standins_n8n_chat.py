"""The n8n stand-in is read by n8n's own chat client as n8n is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from standins_tests.conftest import KEY, Standin

CLIENT = Path(__file__).parents[1] / "n8n-chat"
NODE = Path(sys.executable).with_name("node")
ASKED = "What is two plus three?"
REPLY = "Two plus three is five."


def chat(n8n: Standin, mode: str = "streaming", *, key: str = KEY) -> dict[str, Any]:
    """What the client reads."""
    assert (CLIENT / "node_modules").is_dir(), "n8n's client is missing: `make pytest` installs it"
    command = [str(NODE), "client.js", f"{n8n.url}/webhook/1f-2e/chat", key, "s", ASKED, mode]
    done = subprocess.run(command, cwd=CLIENT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def text_of(read: dict[str, Any], node: str = "agent-id") -> str:
    return "".join(event[3] for event in read["events"] if event[:2] == ["chunk", node])


@pytest.mark.parametrize("written_bytes", [0, 3])
def test_its_parser_reads_a_stream(n8n: Standin, written_bytes: int) -> None:
    n8n.put(oddities={"written_bytes": written_bytes, "keeps_alive": True})
    read = chat(n8n)
    assert text_of(read) == REPLY
    assert read["events"][0] == ["begin", "agent-id", 0]
    assert read["events"][-1] == ["end", "agent-id", 0]
    assert read["hasReceivedChunks"] is True


def test_its_parser_reads_rounds_and_nodes(n8n: Standin) -> None:
    n8n.put(oddities={"looks_up": True, "sub_agent": True, "responds_again": True})
    read = chat(n8n)
    runs = [event[1:] for event in read["events"] if event[0] == "begin"]
    assert runs == [["agent-id", 0], ["agent-id", 1], ["sub-agent-id", 0], ["respond-id", 0]]
    assert json.loads(text_of(read, "respond-id")) == {"output": REPLY}


def test_its_parser_reads_a_failure(n8n: Standin) -> None:
    n8n.put(oddities={"fails": "after"})
    assert chat(n8n)["events"][-2:] == [
        ["chunk", "agent-id", 0, "Error: Unknown error"],
        ["end", "agent-id", 0],
    ]


def test_it_sees_that_nothing_was_streamed(n8n: Standin) -> None:
    n8n.put(oddities={"agent_streams": False})
    assert chat(n8n) == {"events": [], "hasReceivedChunks": False}


@pytest.mark.parametrize("respond_with", ["item", "items"])
def test_it_reads_a_whole_answer(n8n: Standin, respond_with: str) -> None:
    n8n.put(oddities={"respond": "last_node", "respond_with": respond_with})
    read = chat(n8n, "whole")
    assert read["previous"] == {"data": []}
    expected: Any = {"output": REPLY}
    assert read["answer"] == ([expected] if respond_with == "items" else expected)


def test_it_is_told_why_it_is_refused(n8n: Standin) -> None:
    assert "Authorization data is wrong!" in chat(n8n, key="another")["error"]
    n8n.put(oddities={"active": False})
    assert "is not registered" in chat(n8n)["error"]


def test_it_sends_what_the_workflow_reads(n8n: Standin) -> None:
    chat(n8n)
    (record,) = n8n.records()
    assert record["body"] == {
        "action": "sendMessage",
        "sessionId": "s",
        "chatInput": ASKED,
        "metadata": {"instructions": "Be brief."},
    }
