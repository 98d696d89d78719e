"""How a workflow of the n8n stand-in is set up, and what it can be told to do worse."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from parley_standins.faults import Fault, Milliseconds


class N8nDelays(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Of every workflow.

    Attributes:
        handshake_ms: before the status and the headers.
        first_item_ms: until the agent's first words, or the whole answer.
        item_ms: between two pieces of its words.
    """

    handshake_ms: Milliseconds = 0
    first_item_ms: Milliseconds = 0
    item_ms: Milliseconds = 0


class N8nFaults(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Of runs of a workflow; OPTIONS and `/healthz` never fail."""

    webhook: Fault | None = None


class N8nOddities(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The workflow behind every path: what its author chose, well or badly.

    Attributes:
        respond: the trigger's `Respond`, or `Response Mode`.
        respond_with: what the Respond to Webhook node sends, or the last node returns.
        field: where the reply stands in JSON.
        auth: the trigger's authentication. The key is the header's value (header), the token after
            `Bearer` (jwt), or the password of the user `parley` (basic).
        header: the header's name (header).
        method: the one that the Webhook node takes.
        active: the workflow is active.
        public: the Chat Trigger is public.
        armed: the next call of a test URL is answered.
        agent_streams: the agent's own switch is on.
        looks_up: the agent uses a tool, in a round of its own.
        sub_agent: the agent has another one work for it, which streams too.
        responds_again: a Respond to Webhook node behind the agent streams the same text.
        fails: a node fails before the agent's words or after them, or the workflow goes on.
        keeps_alive: a line that only keeps the connection open comes before everything else.
        written_bytes: the network's cut: so many bytes at once; 0: a line.
    """

    respond: Literal["streaming", "last_node", "respond_node", "immediately", "response_nodes"] = (
        "streaming"
    )
    respond_with: Literal["item", "items", "text", "file", "redirect", "nothing"] = "item"
    field: str = "output"
    auth: Literal["none", "header", "basic", "jwt", "no_credential"] = "header"
    header: str = "Authorization"
    method: Literal["POST", "GET"] = "POST"
    active: bool = True
    public: bool = True
    armed: bool = False
    agent_streams: bool = True
    looks_up: bool = False
    sub_agent: bool = False
    responds_again: bool = False
    fails: Literal["", "before", "after", "recovers"] = ""
    keeps_alive: bool = False
    written_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0


class N8nSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """All of what the n8n stand-in's control API sets."""

    delays: N8nDelays = N8nDelays()
    faults: N8nFaults = N8nFaults()
    oddities: N8nOddities = N8nOddities()
