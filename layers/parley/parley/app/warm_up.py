"""What an environment does before the first turn, so that the turn need not.

Everything here is also done by a turn that finds it undone. A part that fails costs the next turn
time, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

from parley.aws.management_api import ManagementApi
from parley.errors import ConfigurationError, ConnectionGone, PostRefused, describe_error
from parley.protocol.turn_request import WakeRequest
from parley.turn.context import TurnServices

WARM_UP_S = 3.0
"""How long it may take: a provider that takes longer would not be ready for the turn either."""


async def warm_up(
    request: WakeRequest, services: TurnServices, management_api: ManagementApi
) -> None:
    """Open what can stay open between invocations, and read what the session's turn will read.

    The turn's own beginning makes three calls to the table at once; so many connections are opened.
    """
    sessions, ref = services.sessions, request.session
    parts: dict[str, Awaitable[object]] = {
        "history": asyncio.to_thread(_read_session, services, request),
        "session": asyncio.to_thread(sessions.get_session, ref),
        "connection": asyncio.to_thread(sessions.connections.get_connection, request.connection_id),
        "posts": asyncio.to_thread(_connect, management_api, request),
        "transcriber": services.transcriber.warm_up(),
        "synthesizer": services.synthesizer.warm_up(),
        "tools": services.toolbox.prepare(),
    }
    if services.responder.rules.repeatable:
        # Its server may close the connection while the environment is frozen. A request that finds
        # that out is sent again, which not every responder allows.
        parts["responder"] = services.responder.warm_up()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WARM_UP_S):
            found = await asyncio.gather(*parts.values(), return_exceptions=True)
            for name, each in zip(parts, found, strict=True):
                if isinstance(each, Exception):
                    services.log("not_warm", {"part": name, **describe_error(each)})


def _read_session(services: TurnServices, request: WakeRequest) -> None:
    session, _ = services.history.read(request.session)
    if session is not None:
        with contextlib.suppress(ConfigurationError):  # its turn will say so
            services.agents.find_agent(session)


def _connect(management_api: ManagementApi, request: WakeRequest) -> None:
    try:
        management_api.connect(request.endpoint, request.connection_id)
    except PostRefused:
        raise  # a permission is missing, or API Gateway fails: the log must say so
    except ConnectionGone:
        return  # the client has left
