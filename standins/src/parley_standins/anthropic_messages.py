"""Anthropic's Messages API: `/v1/messages` and `/v1/models`.

The replies come from `chatbot`; this module speaks the protocol, token by token, with the delays,
faults and oddities that are set. What a request may say is checked as strictly as Anthropic does:
a field too many is refused, and so is what a model does not take.
"""

from __future__ import annotations

import asyncio
import hmac
import itertools
import json
import re
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from parley_standins.chat_calls import fragments
from parley_standins.chatbot import Message
from parley_standins.claude_errors import NAME_OF, Refused, request_id
from parley_standins.claude_tools import (
    check_thoughts,
    check_use,
    read_choice,
    read_messages,
    read_offers,
    text_of,
)
from parley_standins.control_api import begin_record
from parley_standins.fault_injection import reset_connection, sleep_until, stall
from parley_standins.faults import Fault, MessagesOddities, MessagesSettings, ToolQuirks
from parley_standins.openai_chat import GET_TIME, NO_QUIRKS, tokens
from parley_standins.request_log import RequestLog, RequestRecord
from parley_standins.tool_rules import decide, force
from parley_standins.tool_talk import Call, Choice, Decision, Offer

VERSIONS = ("2023-06-01", "2026-10-21")
MODELS = ("standin", "claude-haiku-5-5", "claude-haiku-4-5", "claude-sonnet-5-5", "claude-opus-5-5")
EFFORTS = ("low", "medium", "high", "xhigh", "max")

_SAMPLING = frozenset({"temperature", "top_p", "top_k"})
_FIELDS = _SAMPLING | {
    *("model", "max_tokens", "messages", "system", "stream", "stop_sequences", "metadata"),
    *("thinking", "output_config", "tools", "tool_choice", "service_tier", "cache_control"),
}


@dataclass(frozen=True, slots=True)
class Ask:
    """A checked request."""

    model: str
    messages: list[Message]
    max_tokens: int
    stream: bool
    may_think: bool
    offers: list[Offer]
    choice: Choice

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
        messages, offers = read_messages(body["messages"]), read_offers(body)
        check_use(messages, offers)
        user = (body.get("metadata") or {}).get("user_id")
        if user is not None and not (isinstance(user, str) and len(user) <= 256):
            raise _invalid("metadata.user_id: String should have at most 256 characters")
        given = [Message("system", system)] if system else []
        return cls(
            str(model), given + messages, limit, bool(body.get("stream")),
            thinking not in ("disabled", "between_tools"), offers, read_choice(body, offers),
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
        return "\n".join(text_of(block, "system") for block in given)
    if not isinstance(given, str | None):
        raise _invalid("system: Input should be a valid string")
    return given or ""


class MessagesApi:
    """The endpoints' handlers.

    Args:
        api_key: the one that it takes.
        settings: tells what is set now.
        take_fault: takes the fault that a request meets.
        take_quirks: takes those that a request with tools meets; told whether its reply calls one.
    """

    def __init__(
        self,
        api_key: str,
        settings: Callable[[], MessagesSettings],
        take_fault: Callable[[], Fault | None],
        take_quirks: Callable[[bool], ToolQuirks | None],
        recorder: RequestLog,
    ) -> None:
        self._api_key = api_key
        self._settings = settings
        self._take_fault = take_fault
        self._take_quirks = take_quirks
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
            if refused.status == 400 and refused.reason:
                self._recorder.refusals[refused.reason] += 1
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
        if settings.oddities.must_echo_thinking:
            check_thoughts(body["messages"])
        reply = self._decide(ask, settings.oddities)
        if not ask.stream:
            await sleep_until(began + settings.delays.llm_first_token_ms / 1000)
            return web.json_response(reply.whole(), headers={"request-id": request_id()})
        return await _Stream(request, record, settings, fault).send(reply, began)

    def _decide(self, ask: Ask, oddities: MessagesOddities) -> _Reply:
        """Return the reply.

        Raises:
            Refused: the model takes no tools.
        """
        # The clock of the machine that it runs on is what a user expects to hear.
        decision = decide(ask.messages, ask.offers, ask.choice, datetime.now().astimezone())
        quirks = self._take_quirks(bool(decision.calls)) if ask.offers else None
        if quirks and (quirks.refused or quirks.failed):
            raise Refused(
                "invalid_request_error", "This model doesn't support tool use.", reason=""
            )
        if quirks and quirks.ignores_none and not decision.calls:
            decision = Decision(calls=(force(ask.messages, ask.offers),))
        if oddities.calls_tool:
            decision = Decision(calls=(GET_TIME,))
        return _Reply(ask, decision, quirks or NO_QUIRKS, oddities)


class _Reply:
    """One reply, in the protocol's words.

    Attributes:
        blocks: what it has besides a thought: each block as it begins, and its deltas.
    """

    def __init__(
        self, ask: Ask, decision: Decision, quirks: ToolQuirks, oddities: MessagesOddities
    ) -> None:
        calls = () if oddities.refuses else decision.calls
        text = quirks.text_before if calls else decision.text
        text = "" if oddities.refuses else text
        all_tokens = tokens(text)
        self.tokens = all_tokens[: ask.max_tokens]
        self.blocks = [
            *([_text_block(self.tokens)] if self.tokens else []),
            *(
                _call_block(call, _id_of(at, call, oddities), quirks)
                for at, call in enumerate(calls)
            ),
        ]
        if calls and quirks.text_after:
            self.blocks.append(_text_block(tokens(quirks.text_after)))
        if calls and quirks.cut_arguments:
            _cut_last(self.blocks)
        self.thinks = oddities.thinks and ask.may_think
        self.is_missing_end = bool(calls) and quirks.end == "missing"
        self.stop_reason = "end_turn" if len(self.tokens) == len(all_tokens) else "max_tokens"
        if calls:
            self.stop_reason = _ENDS.get(quirks.end, "tool_use")
        if calls and quirks.cut_arguments:
            self.stop_reason = "max_tokens"
        if oddities.refuses:
            self.stop_reason = "refusal"
        self._ask = ask
        self._id = f"msg_{uuid.uuid4().hex[:24]}"

    @property
    def usage(self) -> dict[str, int]:
        """What is charged."""
        asked = sum(len(tokens(message.content)) for message in self._ask.messages)
        answered = sum(len(deltas) for _, deltas in self.blocks)
        return {"input_tokens": asked, "output_tokens": answered}

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
        content = [_whole_block(block, deltas) for block, deltas in self.blocks]
        end = {"stop_reason": self.stop_reason, "usage": self.usage}
        return {**self.message(), "content": content, **end}


Block = tuple[dict[str, Any], list[dict[str, Any]]]
"""A block as it begins, and its deltas."""

_ENDS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


def _text_block(bits: Sequence[str]) -> Block:
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": bit} for bit in bits]


def _call_block(call: Call, given: str, quirks: ToolQuirks) -> Block:
    text = json.dumps(dict(call.arguments), ensure_ascii=False) if call.arguments else ""
    # The first delta is empty, also of a call without arguments.
    bits = ["", *([text] if quirks.one_chunk else fragments(text))]
    begins = {"type": "tool_use", "id": given, "name": call.name, "input": {}}
    return begins, [{"type": "input_json_delta", "partial_json": bit} for bit in bits]


def _id_of(at: int, call: Call, oddities: MessagesOddities) -> str:
    return f"{call.name}_{at}" if oddities.repeats_ids else f"toolu_{uuid.uuid4().hex[:24]}"


def _cut_last(blocks: list[Block]) -> None:
    """Leave out the second half of the last call, and what would come after it."""
    while blocks[-1][0]["type"] != "tool_use":
        blocks.pop()
    deltas = blocks[-1][1]
    del deltas[(len(deltas) + 1) // 2 :]


def _whole_block(block: dict[str, Any], deltas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if block["type"] == "text":
        return {**block, "text": "".join(delta["text"] for delta in deltas)}
    text = "".join(delta["partial_json"] for delta in deltas)
    try:
        return {**block, "input": json.loads(text or "{}")}
    except ValueError:
        return block


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
        counts = itertools.count(1)
        for block, deltas in reply.blocks:
            await self._begin(block)
            for piece in deltas:
                count = next(counts)
                await sleep_until(due)
                due += delays.llm_token_ms / 1000
                if fault and fault.garbage and count == 1:
                    await self._write('data: {"type": "content_bl\n\n')
                await self._delta(piece)
                if await self._fail_after(count):
                    return self._response
            await self._end()
        if reply.is_missing_end:
            await self._response.write_eof()
            return self._response
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
    name = fault.code or NAME_OF.get(fault.status, "api_error")
    refused = Refused(name, f"On demand: {request.headers.get('x-api-key')}, {body}.", fault.status)
    headers = {"request-id": str(refused.body["request_id"])}
    if fault.retry_after is not None:
        headers["Retry-After"] = f"{fault.retry_after:g}"
    return web.json_response(refused.body, status=fault.status, headers=headers)
