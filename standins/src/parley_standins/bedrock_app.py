"""Amazon Bedrock's stand-in as one application: Claude's API at `/anthropic`, OpenAI's at
`/openai`, and the control API.

It takes an API key, and keys that were made of a role: whether these are of the right form, for
Bedrock, and still valid. It knows nobody's secret, so it does not check the signature.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from parley_standins.anthropic_messages import MessagesApi
from parley_standins.browser_guard import refuse_pages
from parley_standins.chat_errors import BadRequest
from parley_standins.claude_errors import Refused
from parley_standins.control_api import ControlApi
from parley_standins.engines import Engines
from parley_standins.fault_injection import ignore_dropped
from parley_standins.faults import (
    BedrockSettings,
    ChatSettings,
    Controls,
    Fault,
    MessagesSettings,
)
from parley_standins.openai_chat import ChatApi
from parley_standins.request_log import RequestLog

MAX_BODY_BYTES = 25 * 1024 * 1024
_PREFIX = "bedrock-api-key-"
_DENIED = "Authentication failed: Please make sure your API Key is valid."


def is_valid_key(given: str, api_key: str, now: datetime) -> bool:
    """Return whether a key is the stored one, or one that was made of a role and is still valid."""
    if hmac.compare_digest(given.encode(), api_key.encode()):
        return True
    if not given.startswith(_PREFIX):
        return False
    try:
        signed = base64.b64decode(given.removeprefix(_PREFIX), validate=True).decode()
        parts = urlsplit(f"https://{signed}")
        fields = {name: values[0] for name, values in parse_qs(parts.query).items()}
        made = datetime.strptime(fields["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        expires_s = int(fields["X-Amz-Expires"])
        scope = fields["X-Amz-Credential"].split("/")
    except (ValueError, KeyError, binascii.Error):
        return False
    return (
        parts.hostname == "bedrock.amazonaws.com"
        and fields.get("Action") == "CallWithBearerToken"
        and fields.get("Version") == "1"
        and len(fields.get("X-Amz-Signature", "")) == 64
        and scope[-2:] == ["bedrock", "aws4_request"]
        and 0 < expires_s <= 43_200
        and now < made + timedelta(seconds=expires_s)
    )


def _is_let_in(request: web.Request, api_key: str) -> bool:
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    return is_valid_key(request.headers.get("x-api-key") or bearer, api_key, datetime.now(UTC))


class _Claude(MessagesApi):
    def check_key(self, request: web.Request) -> None:
        if not _is_let_in(request, self._api_key):
            raise Refused("permission_error", _DENIED)

    def check_model(self, model: str) -> None:
        if "anthropic." not in model:
            raise Refused("invalid_request_error", "The provided model identifier is invalid.")


class _OpenModels(ChatApi):
    def check_key(self, request: web.Request) -> None:
        if not _is_let_in(request, self._api_key):
            raise BadRequest(403, _DENIED)


def build_app(api_key: str, _engines: Engines | None = None) -> web.Application:
    """Return the application.

    Args:
        api_key: a stored key that it takes as well.
    """
    recorder = RequestLog()
    controls = Controls(BedrockSettings())

    def take_fault() -> Fault | None:
        return controls.take_fault("llm")

    def of_claude() -> MessagesSettings:
        now = controls.settings
        return MessagesSettings(
            delays=now.delays, faults=now.faults, oddities=now.oddities.messages
        )

    def of_open_models() -> ChatSettings:
        now = controls.settings
        return ChatSettings(delays=now.delays, faults=now.faults, oddities=now.oddities.chat)

    claude = _Claude(api_key, of_claude, take_fault, controls.take_quirks, recorder)
    open_models = _OpenModels(api_key, of_open_models, take_fault, controls.take_quirks, recorder)
    app = web.Application(
        middlewares=[refuse_pages, ignore_dropped], client_max_size=MAX_BODY_BYTES
    )
    app.add_routes(ControlApi(controls, recorder).routes())
    app.add_routes(claude.routes("/anthropic/v1"))
    app.add_routes(open_models.routes("/openai/v1"))
    return app
