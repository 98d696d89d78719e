"""What most of the client's tests begin with: a server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from scripted_server import ScriptedServer, answer


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A server that answers every typed turn."""
    async with ScriptedServer() as running:
        running.on("user_message", answer)
        yield running
