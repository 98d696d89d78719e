"""Claude's stand-in as one application: Anthropic's API and the control API."""

from __future__ import annotations

from aiohttp import web

from parley_standins.anthropic_messages import MessagesApi
from parley_standins.browser_guard import refuse_pages
from parley_standins.control_api import ControlApi
from parley_standins.engines import Engines
from parley_standins.fault_injection import ignore_dropped
from parley_standins.faults import Controls, MessagesSettings
from parley_standins.request_log import RequestLog

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Anthropic's limit of a request."""


def build_app(api_key: str, _engines: Engines | None = None) -> web.Application:
    """Return the application.

    Args:
        api_key: the one that it takes.
    """
    recorder = RequestLog()
    controls = Controls(MessagesSettings())
    app = web.Application(
        middlewares=[refuse_pages, ignore_dropped], client_max_size=MAX_BODY_BYTES
    )
    app.add_routes(ControlApi(controls, recorder).routes())
    api = MessagesApi(
        api_key,
        lambda: controls.settings,
        lambda: controls.take_fault("llm"),
        controls.take_quirks,
        recorder,
    )
    app.add_routes(api.routes())
    return app
