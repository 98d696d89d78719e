"""The services that are stood in for besides ElevenLabs and the chat endpoint.

Each is a module with `build_app(api_key, engines)`, which returns its application: the service's
routes, and the control API of `parley_standins.control_api`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from aiohttp import web

from parley_standins.engines import Engines

VENDORS: Mapping[str, str] = {
    "anthropic": "parley_standins.anthropic_app",
    "bedrock": "parley_standins.bedrock_app",
    "cartesia": "parley_standins.cartesia_app",
    "deepgram": "parley_standins.deepgram_app",
    "n8n": "parley_standins.n8n_app",
    "openai_audio": "parley_standins.openai_audio_app",
}
"""The module of each, by the name that the command's first line has for its URL."""
SERVERS: Mapping[str, str] = {**VENDORS, "tools": "parley_standins.tool_services"}
"""The same, and the services behind tools, which no vendor's stand-in is."""


def build_app(name: str, api_key: str, engines: Engines) -> web.Application:
    """Build the application of that name."""
    app: web.Application = importlib.import_module(SERVERS[name]).build_app(api_key, engines)
    return app
