"""What an MCP server's tools need of the deployment."""

from __future__ import annotations

from typing import Any, Protocol


class McpContext(Protocol):
    """What an MCP server's tools need of the deployment."""

    @property
    def private_hosts(self) -> frozenset[str]:
        """Return the hosts that may be private, and reached without TLS."""

    @property
    def region(self) -> str:
        """Return the AWS region of the function."""

    async def read_secret(self, name: str, *, fresh: bool = False) -> str:
        """Return one of the tools' secrets; empty if there is none of that name.

        Args:
            fresh: read it again, also where one is kept.
        """

    def log(self, event: str, fields: dict[str, Any]) -> None:
        """Log what an operator wants to know."""
