"""The tools of one deployment, and what runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from parley.tools.circuits import ToolCircuits
from parley.tools.tool import Tool, ToolSpec

CLIENT, BUILT_IN = "client", "built_in"
"""Kinds that a turn runs itself: a function of the application, and what changes the turn."""


class ToolList(Protocol):
    """Tools that another server lists."""

    async def refresh(self) -> None:
        """Fetch the list if it is due. Never raise: a list that cannot be had is kept or empty."""

    @property
    def specs(self) -> Sequence[ToolSpec]:
        """Return the tools, as they were listed last."""


class Toolbox:
    """The tools of one deployment.

    Args:
        specs: those that it declares.
        build: builds what runs a tool; not for `CLIENT` and `BUILT_IN`.
        lists: those that other servers list.

    Attributes:
        circuits: which tools are not asked for a while.
    """

    def __init__(
        self,
        specs: Sequence[ToolSpec] = (),
        build: Callable[[ToolSpec], Tool] | None = None,
        lists: Sequence[ToolList] = (),
    ) -> None:
        self._specs = specs
        self._build = build
        self._lists = lists
        self._tools: dict[str, Tool] = {}
        self.circuits = ToolCircuits()

    @property
    def is_empty(self) -> bool:
        """Return whether there can be no tool at all."""
        return not self._specs and not self._lists

    async def prepare(self) -> None:
        """Fetch the lists of other servers that are due. Never raise."""
        await asyncio.gather(*(each.refresh() for each in self._lists))

    def choose(
        self, names: Collection[str] | None, client_tools: Collection[str], *, connected: bool
    ) -> Mapping[str, ToolSpec]:
        """Return the tools of a turn by name, in the order of their names.

        Args:
            names: of the session's agent; None for all.
            client_tools: those that the client has functions for.
            connected: whether the turn has a connection, over which a client's function is asked.
        """
        listed = [spec for each in self._lists for spec in each.specs]
        # What the deployer declares counts, whatever a server calls its own.
        every = {spec.name: spec for spec in [*listed, *self._specs]}
        return {
            name: every[name]
            for name in sorted(every)
            if (names is None or name in names)
            and (every[name].kind != CLIENT or (connected and name in client_tools))
        }

    def runner(self, spec: ToolSpec) -> Tool:
        """Return what runs a tool; the same for all turns of an environment."""
        if spec.name not in self._tools:
            assert self._build is not None, "a toolbox with tools builds them"
            self._tools[spec.name] = self._build(spec)
        return self._tools[spec.name]


NO_TOOLS = Toolbox()
