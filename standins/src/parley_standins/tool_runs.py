"""Running a ledger's tool for a request, with the delay and the fault that are set."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from parley_standins.fault_injection import Dropped, reset_connection, stall
from parley_standins.faults import Controls, Milliseconds, Status
from parley_standins.tool_ledger import TOOLS, Ledger, ToolRefused


class ToolFault(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One way to fail. Exactly one of `status`, `cut`, `stall` and `says` is set.

    Attributes:
        times: for how many calls; `always` until it is taken back.
        when: before the tool has its effect, or after it.
        status: answer with this HTTP status.
        cut: reset the TCP connection.
        stall: say nothing more.
        says: the tool itself says that it failed, in these words; never after its effect.
    """

    times: Annotated[int, msgspec.Meta(ge=1)] | Literal["always"] = 1
    when: Literal["before", "after"] = "after"
    status: Status | None = None
    cut: bool = False
    stall: bool = False
    says: str = ""

    def __post_init__(self) -> None:
        if sum((self.status is not None, self.cut, self.stall, bool(self.says))) != 1:
            raise ValueError("a fault is one of status, cut, stall, says")


class ToolDelays(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Of calls: before the effect and after it."""

    before_ms: Milliseconds = 0
    after_ms: Milliseconds = 0


class ToolFaults(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Of calls; the lists of tools never fail."""

    run: ToolFault | None = None


class ToolOddities(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How the services are set up.

    Attributes:
        secret: that webhooks are signed with: `whsec_` and base64, or any text.
        dedups: idempotent tools do nothing for a key that they know.
        versions: of MCP that are spoken.
        page_size: of the list of MCP's tools; 0: all at once.
        events: MCP answers calls as a stream of events.
        mcp_key: MCP wants the key that the stand-ins take.
    """

    secret: str = "whsec_cGFybGV5IHN0YW5kLWluIHdlYmhvb2sga2V5"  # noqa: S105 - of a stand-in
    dedups: bool = True
    versions: tuple[Literal["2026-07-28", "2025-11-25"], ...] = ("2026-07-28", "2025-11-25")
    page_size: Annotated[int, msgspec.Meta(ge=0)] = 0
    events: bool = False
    mcp_key: bool = False


class ToolSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """All of what the control API of the services sets."""

    delays: ToolDelays = ToolDelays()
    faults: ToolFaults = ToolFaults()
    oddities: ToolOddities = ToolOddities()


class FailedWith(Exception):
    """A fault that is answered with an HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"Status {status}, on demand.")
        self.status = status


@dataclass(frozen=True, slots=True)
class ToolRuns:
    """Runs the tools, and keeps the ledger."""

    ledger: Ledger
    controls: Controls[ToolSettings]

    async def run(
        self,
        request: web.Request,
        name: str,
        arguments: Mapping[str, Any],
        key: str,
        *,
        needs_client: bool = False,
    ) -> dict[str, Any]:
        """Return a tool's answer.

        Args:
            key: the call's idempotency key, empty if it has none.
            needs_client: it has no effect if the client has gone before it.

        Raises:
            KeyError: there is no such tool.
            ToolRefused: it had no effect, and says why.
            FailedWith: a fault's status.
            Dropped: a fault's end of the connection.
        """
        tool, settings = TOOLS[name], self.controls.settings
        self.ledger.note_run(tool, arguments, key)
        tool.check(arguments)
        fault: ToolFault | None = self.controls.take("run")
        await asyncio.sleep(settings.delays.before_ms / 1000)
        if needs_client and (request.transport is None or request.transport.is_closing()):
            raise Dropped
        if fault and (fault.says or fault.when == "before"):
            await _fail(request, fault)
        dedups = settings.oddities.dedups and tool.effect == "idempotent"
        answer = self.ledger.act(tool, arguments, key, dedups=dedups)
        await asyncio.sleep(settings.delays.after_ms / 1000)
        if fault:
            await _fail(request, fault)
        return answer


async def _fail(request: web.Request, fault: ToolFault) -> None:
    if fault.says:
        raise ToolRefused(fault.says)
    if fault.cut:
        reset_connection(request)
    if fault.stall:
        await stall(request)
    raise FailedWith(fault.status or 500)
