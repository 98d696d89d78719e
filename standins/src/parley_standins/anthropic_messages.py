"""Anthropic's Messages API: `/v1/messages` and `/v1/models`.

The replies come from `chatbot`; this module speaks the protocol, token by token, with the delays,
faults and oddities that are set. What a request may say is checked as strictly as Anthropic does:
a field too many is refused, and so is what a model does not take.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from parley_standins.chatbot import Message, reply_to
from parley_standins.control_api import begin_record
from parley_standins.fault_injection import reset_connection, sleep_until, stall
from parley_standins.faults import Fault, MessagesOddities, MessagesSettings
from parley_standins.openai_chat import tokens
from parley_standins.request_log import RequestLog, RequestRecord

VERSIONS = ("2023-06-01", "2026-10-21")
MODELS = ("standin", "claude-haiku-5-5", "claude-haiku-4-5", "claude-sonnet-5-5", "claude-opus-5-5")
EFFORTS = ("low", "medium", "high", "xhigh", "max")

_SAMPLING = frozenset({"temperature", "top_p", "top_k"})
_FIELDS = _SAMPLING | {
    *("model", "max_tokens", "messages", "system", "stream", "stop_sequences", "metadata"),
    *("thinking", "output_config", "tools", "tool_choice", "service_tier", "cache_control"),
}
_STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_NAME_OF = {status: name for name, status in _STATUS_OF.items()}
_TOOL = {"type": "tool_use", "id": "toolu_1", "name": "get_time", "input": {}}


class Refused(Exception):
    """A request that is answered with Anthropic's error body."""

    def __init__(self, name: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status or _STATUS_OF.get(name, 400)
        self.body = {
            "type": "error",
            "error": {"type": name, "message": message},
            "request_id": request_id(),
        }


def request_id() -> str:
    """Return a new one, in Anthropic's form."""
    return f"req_{uuid.uuid4().hex[:24]}"


@dataclass(frozen=True, slots=True)
class Ask:
    """A checked request."""

    model: str
    messages: list[Message]
    max_tokens: int
    stream: bool
    may_think: bool

    @classmethod
    def parse(cls, body: Any, version: str) -> Ask:
        """Check a request's body.

        Raises:
            Refused: naming the field.
        """
        if not isinstance(body, dict):
            raise Refused("invalid_request_error", "The request body is not valid JSON")
        for field in body:
            if field not in _FIELDS or (version != VERSIONS[0] and field in _SAMPLING):
                raise _invalid(f"{field}: Extra inputs are not permitted")
        for field in ("model", "max_tokens", "messages"):
            if field not in body:
                raise _invalid(f"{field}: Field required")
        model, limit = body["model"], body["max_tokens"]
        if not isinstance(limit, int) or limit < 1:
            raise _invalid("max_tokens: Input should be greater than or equal to 1")
        thinking = _check_thinking(body, str(model))
        system = _system(body.get("system"))
        messages = _messages(body["messages"])
        user = (body.get("metadata") or {}).get("user_id")
        if user is not None and not (isinstance(user, str) and len(user) <= 256):
            raise _invalid("metadata.user_id: String should have at most 256 characters")
        given = [Message("system", system)] if system else []
        return cls(
            str(model), given + messages, limit, bool(body.get("stream")),
            thinking not in ("disabled", "between_tools"),
        )  # fmt: skip


def _invalid(message: str) -> Refused:
    return Refused("invalid_request_error", message)


def _check_thinking(body: dict[str, Any], model: str) -> str:
    """Return the type of thinking; empty if the request says nothing of it.

    Raises:
        Refused: the model takes no such thing.
    """
    thinking = (body.get("thinking") or {}).get("type", "")
    effort = (body.get("output_config") or {}).get("effort")
    if effort is not None and effort not in EFFORTS:
        raise _invalid(f"output_config.effort: Input should be one of {', '.join(EFFORTS)}")
    if effort is not None and "haiku-4-5" in model:
        raise _invalid("This model does not support the effort parameter.")
    if thinking not in ("", "adaptive", "enabled", "disabled", "between_tools"):
        raise _invalid("thinking: Input tag does not match any of the expected tags")
    if thinking == "disabled" and re.search("opus-5-5|sonnet-5-5|fable|mythos", model):
        raise _invalid('"thinking.type.disabled" is not supported for this model.')
    if thinking == "between_tools" and "sonnet-5-5" not in model:
        raise _invalid('"thinking.type.between_tools" is not supported for this model.')
    return str(thinking)


def _system(given: Any) -> str:
    if isinstance(given, list):
        return "\n".join(_text_of(block, "system") for block in given)
    if not isinstance(given, str | None):
        raise _invalid("system: Input should be a valid string")
    return given or ""


def _messages(given: Any) -> list[Message]:
    if not isinstance(given, list) or not given:
        raise _invalid("messages: at least one message is required")
    found: list[Message] = []
    for at, message in enumerate(given):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("user", "assistant"):
            raise _invalid(f"messages.{at}.role: Input should be 'user' or 'assistant'")
        content = message.get("content")
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        text = "\n".join(_text_of(block, f"messages.{at}") for block in blocks)
        if found and found[-1].role == role:  # neighbours of one role are joined
            found[-1] = Message(role, f"{found[-1].content}\n{text}")
        else:
            found.append(Message(role, text))
    if found[0].role != "user":
        raise _invalid('messages: first message must use the "user" role')
    if found[-1].role != "user":
        raise _invalid("This model does not support assistant message prefill.")
    return found


def _text_of(block: Any, where: str) -> str:
    text = block.get("text") if isinstance(block, dict) else None
    if not isinstance(text, str):
        raise _invalid(f"{where}: Input should be a valid string or a list of text blocks")
    if not text.strip():
        raise _invalid(f"{where}: text content blocks must be non-empty")
    return text


class MessagesApi:
    """The endpoints' handlers.

    Args:
        api_key: the one that it takes.
        settings: tells what is set now.
        take_fault: takes the fault that a request meets.
    """

    def __init__(
        self,
        api_key: str,
        settings: Callable[[], MessagesSettings],
        take_fault: Callable[[], Fault | None],
        recorder: RequestLog,
    ) -> None:
        self._api_key = api_key
        self._settings = settings
        self._take_fault = take_fault
        self._recorder = recorder

    def routes(self, prefix: str = "/v1") -> list[web.RouteDef]:
        """Return routes to add to an application."""
        return [
            web.get(f"{prefix}/models", self._models),
            web.get(prefix + "/models/{model}", self._model),
            web.post(f"{prefix}/messages", self._create),
        ]

    def check_key(self, request: web.Request) -> None:
        """Check who asks. If both headers are there, `x-api-key` counts.

        Raises:
            Refused: the key is missing or another.
        """
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        given = request.headers.get("x-api-key") or bearer
        if not given:
            raise Refused("authentication_error", "x-api-key header is required")
        if not hmac.compare_digest(given.encode(), self._api_key.encode()):
            raise Refused("authentication_error", "invalid x-api-key")

    def check_model(self, model: str) -> None:
        """Check whether there is such a model.

        Raises:
            Refused: there is none.
        """
        if model not in MODELS:
            raise Refused("not_found_error", f"model: {model}")

    async def _models(self, request: web.Request) -> web.Response:
        return self._look(request, lambda: {"data": [_model(m) for m in MODELS], "has_more": False})

    async def _model(self, request: web.Request) -> web.Response:
        name = request.match_info["model"]

        def find() -> dict[str, Any]:
            self.check_model(name)
            return _model(name)

        return self._look(request, find)

    def _look(self, request: web.Request, find: Callable[[], dict[str, Any]]) -> web.Response:
        record = begin_record(self._recorder, request)
        try:
            self.check_key(request)
            _check_version(request)
            response = web.json_response(find())
        except Refused as refused:
            response = web.json_response(refused.body, status=refused.status)
        record.end(status=response.status)
        return response

    async def _create(self, request: web.Request) -> web.StreamResponse:
        began = time.monotonic()
        record = begin_record(self._recorder, request)
        try:
            response = await self._answer(request, record, began)
        except Refused as refused:
            headers = {"request-id": str(refused.body["request_id"])}
            response = web.json_response(refused.body, status=refused.status, headers=headers)
        finally:
            record.end()
        record.status = response.status
        return response

    async def _answer(
        self, request: web.Request, record: RequestRecord, began: float
    ) -> web.StreamResponse:
        settings = self._settings()
        fault = self._take_fault()
        if settings.delays.llm_handshake_ms:
            await asyncio.sleep(settings.delays.llm_handshake_ms / 1000)
        if fault and fault.refuse:
            reset_connection(request)
        if fault and fault.stall == "before":
            await stall(request)
        try:
            body = json.loads(await request.read())
        except ValueError:
            raise _invalid("The request body is not valid JSON") from None
        record.body = body
        if fault and fault.status is not None:
            return _status_answer(fault, request, body)
        self.check_key(request)
        ask = Ask.parse(body, _check_version(request))
        self.check_model(ask.model)
        # The clock of the machine that it runs on is what a user expects to hear.
        reply = _Reply(ask, reply_to(ask.messages, datetime.now().astimezone()), settings.oddities)
        if not ask.stream:
            await sleep_until(began + settings.delays.llm_first_token_ms / 1000)
            return web.json_response(reply.whole(), headers={"request-id": request_id()})
        return await _Stream(request, record, settings, fault).send(reply, began)


class _Reply:
    """One reply, in the protocol's words."""

    def __init__(self, ask: Ask, text: str, oddities: MessagesOddities) -> None:
        all_tokens = [] if oddities.refuses or oddities.calls_tool else tokens(text)
        self.tokens = all_tokens[: ask.max_tokens]
        self.calls_tool = oddities.calls_tool
        self.thinks = oddities.thinks and ask.may_think
        self.stop_reason = "end_turn" if len(self.tokens) == len(all_tokens) else "max_tokens"
        if oddities.calls_tool:
            self.stop_reason = "tool_use"
        if oddities.refuses:
            self.stop_reason = "refusal"
        self._ask = ask
        self._id = f"msg_{uuid.uuid4().hex[:24]}"

    @property
    def usage(self) -> dict[str, int]:
        """What is charged."""
        asked = sum(len(tokens(message.content)) for message in self._ask.messages)
        return {"input_tokens": asked, "output_tokens": len(self.tokens)}

    @property
    def stop_details(self) -> dict[str, Any] | None:
        """Why it was refused, if it was."""
        if self.stop_reason != "refusal":
            return None
        return {"type": "refusal", "category": "general_harms", "explanation": None}

    def message(self) -> dict[str, Any]:
        """Return the message as it begins."""
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._ask.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**self.usage, "output_tokens": 1},
        }

    def whole(self) -> dict[str, Any]:
        """Return the message at once."""
        text = {"type": "text", "text": "".join(self.tokens)}
        content = [_TOOL] if self.calls_tool else [text] if self.tokens else []
        end = {"stop_reason": self.stop_reason, "usage": self.usage}
        return {**self.message(), "content": content, **end}


class _Stream:
    """The events of one reply."""

    def __init__(
        self,
        request: web.Request,
        record: RequestRecord,
        settings: MessagesSettings,
        fault: Fault | None,
    ) -> None:
        self._request = request
        self._record = record
        self._settings = settings
        self._fault = fault
        self._index = 0
        self._response = web.StreamResponse(
            headers={"Cache-Control": "no-cache", "request-id": request_id()}
        )
        self._response.content_type = "text/event-stream"

    async def send(self, reply: _Reply, began: float) -> web.StreamResponse:
        """Send all of it."""
        fault, delays, oddities = self._fault, self._settings.delays, self._settings.oddities
        if fault and fault.cut == 0:
            reset_connection(self._request)
        await self._response.prepare(self._request)
        await self._event("message_start", message=reply.message())
        for _ in range(oddities.pings):
            await self._event("ping")
        due = began + delays.llm_first_token_ms / 1000
        if reply.thinks:
            due += oddities.thinking_ms / 1000
            await self._think(due)
        if reply.calls_tool:
            await self._block(_TOOL, {"type": "input_json_delta", "partial_json": "{}"})
        if reply.tokens:
            await self._begin({"type": "text", "text": ""})
            for count, token in enumerate(reply.tokens, 1):
                await sleep_until(due)
                due += delays.llm_token_ms / 1000
                if fault and fault.garbage and count == 1:
                    await self._write('data: {"type": "content_bl\n\n')
                await self._delta({"type": "text_delta", "text": token})
                if await self._fail_after(count):
                    return self._response
            await self._end()
        delta: dict[str, Any] = {"stop_reason": reply.stop_reason, "stop_sequence": None}
        if reply.stop_details:
            delta["stop_details"] = reply.stop_details
        await self._event("message_delta", delta=delta, usage=reply.usage)
        await self._event("message_stop")
        await self._response.write_eof()
        return self._response

    async def _think(self, until: float) -> None:
        await self._begin({"type": "thinking", "thinking": "", "signature": ""})
        await self._delta({"type": "thinking_delta", "thinking": "What do they want to know?"})
        while time.monotonic() < until:
            await sleep_until(min(until, time.monotonic() + 0.1))
            await self._delta({"type": "thinking_delta", "thinking": " Hm."})
        await self._delta({"type": "signature_delta", "signature": "EqQBCgIYAhIM"})
        await self._end()

    async def _fail_after(self, count: int) -> bool:
        """Fail as the fault says; return whether the stream has ended by it."""
        fault = self._fault
        if fault and fault.cut == count:
            reset_connection(self._request)
        if fault and fault.stall == "after":
            await stall(self._request)
        if fault and fault.error_frame:
            error = {"type": fault.error_frame, "message": "On demand."}
            await self._event("error", error=error)
            await self._response.write_eof()
            return True
        return False

    async def _block(self, block: dict[str, Any], delta: dict[str, Any]) -> None:
        await self._begin(block)
        await self._delta(delta)
        await self._end()

    async def _begin(self, block: dict[str, Any]) -> None:
        await self._event("content_block_start", index=self._index, content_block=block)

    async def _delta(self, delta: dict[str, Any]) -> None:
        await self._event("content_block_delta", index=self._index, delta=delta)

    async def _end(self) -> None:
        await self._event("content_block_stop", index=self._index)
        self._index += 1

    async def _event(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, **fields}
        self._record.frame("out", event)
        name = "" if self._settings.oddities.unnamed_events else f"event: {kind}\n"
        await self._write(f"{name}data: {json.dumps(event)}\n\n")

    async def _write(self, text: str) -> None:
        await self._response.write(text.encode())


def _model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "2026-10-07T00:00:00Z"}


def _check_version(request: web.Request) -> str:
    version = request.headers.get("anthropic-version", "")
    if not version:
        raise _invalid("anthropic-version: header is required")
    if version not in VERSIONS:
        raise _invalid(f'anthropic-version: "{version}" is not a valid version')
    return version


def _status_answer(fault: Fault, request: web.Request, body: Any) -> web.Response:
    """Return the error of a fault. Its text repeats the key and what was said, as some services
    do."""
    assert fault.status is not None
    name = fault.code or _NAME_OF.get(fault.status, "api_error")
    refused = Refused(name, f"On demand: {request.headers.get('x-api-key')}, {body}.", fault.status)
    headers = {"request-id": str(refused.body["request_id"])}
    if fault.retry_after is not None:
        headers["Retry-After"] = f"{fault.retry_after:g}"
    return web.json_response(refused.body, status=fault.status, headers=headers)
