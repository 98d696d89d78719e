"""An OpenAI-compatible chat endpoint: `/v1/chat/completions` and `/v1/models`.

The replies come from `chatbot`, which reads the whole conversation; this module
speaks the protocol, token by token, with the delays and faults that are set.
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

from parley_standins.browser_guard import refuse_pages
from parley_standins.chat_calls import WiredCalls, leak
from parley_standins.chat_errors import BadRequest
from parley_standins.chat_tools import check_oddities, read_choice, read_messages, read_offers
from parley_standins.chatbot import Message
from parley_standins.control_api import ControlApi, begin_record
from parley_standins.fault_injection import ignore_dropped, reset_connection, sleep_until, stall
from parley_standins.faults import ChatOddities, ChatSettings, Controls, Fault, ToolQuirks
from parley_standins.request_log import RequestLog, RequestRecord
from parley_standins.tool_rules import decide, force
from parley_standins.tool_talk import Call, Choice, Decision, Offer

MODELS = ("standin", "gpt-6-luna")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
MAX_BODY_BYTES = 16 * 1024 * 1024

NO_QUIRKS = ToolQuirks()
GET_TIME = Call("get_time", {})
"""What is called without having been offered, if that is asked for."""

_TOKEN = re.compile(r"\s?\w+|\s?[^\w\s]|\s+")


@dataclass(frozen=True, slots=True)
class Completion:
    """A checked request."""

    model: str
    messages: list[Message]
    stream: bool
    include_usage: bool
    max_tokens: int | None
    offers: list[Offer]
    choice: Choice

    @classmethod
    def parse(cls, body: Any) -> Completion:
        """Check a request's body.

        Raises:
            BadRequest: naming the parameter.
        """
        if not isinstance(body, dict):
            raise BadRequest(400, "We could not parse the JSON body of your request.")
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise BadRequest(400, "you must provide a model parameter", param="model")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise BadRequest(
                400, "'messages' has to be a list of at least one message.", param="messages"
            )
        stream, options = body.get("stream") or False, body.get("stream_options") or {}
        if not isinstance(stream, bool) or not isinstance(options, dict):
            raise BadRequest(400, "'stream' has to be true or false.", param="stream")
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise BadRequest(400, "'max_tokens' has to be a positive integer.", param="max_tokens")
        effort = body.get("reasoning_effort")
        if effort is not None and effort not in EFFORTS:
            allowed = ", ".join(EFFORTS)
            raise BadRequest(
                400, f"'reasoning_effort' has to be one of {allowed}.", param="reasoning_effort"
            )
        offers = read_offers(body)
        return cls(
            model,
            read_messages(messages),
            stream,
            bool(options.get("include_usage")),
            limit,
            offers,
            read_choice(body, offers),
        )


def tokens(text: str) -> list[str]:
    """Return a text in bits about as long as a language model's; joined, they are the text."""
    return _TOKEN.findall(text)


def _request_id() -> str:
    return f"req_{uuid.uuid4().hex}"


class ChatApi:
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
        settings: Callable[[], ChatSettings],
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
            web.post(f"{prefix}/chat/completions", self._complete),
        ]

    def check_key(self, request: web.Request) -> None:
        """Check who asks.

        Raises:
            BadRequest: the key is missing or another.
        """
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not given:
            raise BadRequest(401, "You didn't provide an API key.")
        if not hmac.compare_digest(given.encode(), self._api_key.encode()):
            raise BadRequest(401, "Incorrect API key provided.", "invalid_api_key")

    async def _models(self, request: web.Request) -> web.Response:
        record = begin_record(self._recorder, request)
        try:
            self.check_key(request)
        except BadRequest as problem:
            record.end(status=problem.status)
            return web.json_response(problem.body, status=problem.status)
        record.end(status=200)
        data = [{"id": m, "object": "model", "created": 0, "owned_by": "standin"} for m in MODELS]
        return web.json_response({"object": "list", "data": data})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        began = time.monotonic()
        record = begin_record(self._recorder, request)
        try:
            response = await self._answer(request, record, began)
        except BadRequest as problem:
            if problem.status == 400 and problem.reason:
                self._recorder.refusals[problem.reason] += 1
            response = web.json_response(problem.body, status=problem.status)
            response.headers["x-request-id"] = _request_id()
        finally:
            record.end()
        record.status = response.status
        return response

    async def _answer(
        self, request: web.Request, record: RequestRecord, began: float
    ) -> web.StreamResponse:
        delays = self._settings().delays
        fault = self._take_fault()
        if delays.llm_handshake_ms:
            await asyncio.sleep(delays.llm_handshake_ms / 1000)
        if fault and fault.refuse:
            reset_connection(request)
        if fault and fault.stall == "before":
            await stall(request)
        try:
            body = json.loads(await request.read())
        except ValueError:
            raise BadRequest(400, "We could not parse the JSON body of your request.") from None
        record.body = body
        if fault and fault.status is not None:
            return _status_answer(fault, request, body)
        self.check_key(request)
        oddities = self._settings().oddities
        completion = _checked(body, oddities)
        reply = self._decide(completion, oddities)
        if reply.quirks.failed:
            return await _fail_call(request, reply)
        if completion.stream and not oddities.whole_answers:
            return await self._stream(request, record, reply, fault, began)
        wait_ms = delays.llm_first_token_ms + delays.llm_token_ms * (len(reply.deltas) - 1)
        await sleep_until(began + wait_ms / 1000)
        if fault and fault.garbage:
            return web.Response(text='{"id": "chatc', content_type="application/json")
        if fault and (fault.cut is not None or fault.stall == "after"):
            reset_connection(request)
        record.frame("out", reply.whole())
        return web.json_response(reply.whole())

    def _decide(self, completion: Completion, oddities: ChatOddities) -> _Reply:
        """Return the reply.

        Raises:
            BadRequest: the model takes no tools.
        """
        # The clock of the machine that it runs on is what a user expects to hear.
        now = datetime.now().astimezone()
        messages, offers = completion.messages, completion.offers
        decision = decide(messages, offers, completion.choice, now)
        quirks = self._take_quirks(bool(decision.calls)) if offers else None
        if quirks and quirks.refused:
            message = f"registry.ollama.ai/library/{completion.model} does not support tools"
            raise BadRequest(400, message, reason="")
        if quirks and quirks.ignores_none and not decision.calls:
            decision = Decision(calls=(force(messages, offers),))
        if oddities.calls_tool:
            decision = Decision(calls=(GET_TIME,))
        return _Reply(completion, decision, quirks or NO_QUIRKS, oddities)

    async def _stream(
        self,
        request: web.Request,
        record: RequestRecord,
        reply: _Reply,
        fault: Fault | None,
        began: float,
    ) -> web.StreamResponse:
        if fault and fault.cut == 0:
            reset_connection(request)
        headers = {"Cache-Control": "no-cache", "x-request-id": _request_id()}
        response = web.StreamResponse(headers=headers)
        response.content_type = "text/event-stream"
        await response.prepare(request)

        async def send(event: dict[str, Any] | str) -> None:
            record.frame("out", event)
            data = event if isinstance(event, str) else json.dumps(event)
            await response.write(f"data: {data}\n\n".encode())

        delays = self._settings().delays
        due = began + delays.llm_first_token_ms / 1000
        await sleep_until(due)
        await send(reply.chunk({"role": "assistant", "content": reply.first_content}))
        for count, delta in enumerate(reply.deltas, 1):
            await sleep_until(due)
            due += delays.llm_token_ms / 1000
            if fault and fault.garbage and count == 1:
                await send('{"id": "chatc')
            await send(reply.chunk(delta))
            if fault and fault.cut == count:
                reset_connection(request)
            if fault and fault.stall == "after":
                await stall(request)
        if reply.quirks.end == "missing":
            await response.write_eof()
            return response
        await send(reply.chunk({}, reply.finish_reason))
        if reply.completion.include_usage:
            await send(reply.usage_chunk())
        await send("[DONE]")
        await response.write_eof()
        return response


def _checked(body: Any, oddities: ChatOddities) -> Completion:
    """Return the request.

    Raises:
        BadRequest: nobody takes it, or what is set does not.
    """
    completion = Completion.parse(body)
    if oddities.no_system_role and completion.messages[0].role in ("system", "developer"):
        raise BadRequest(400, "System role not supported", "bad_roles")
    if oddities.no_reasoning_effort and "reasoning_effort" in body:
        raise BadRequest(
            400,
            "Unsupported parameter: 'reasoning_effort' is not supported with this model.",
            "unsupported_parameter",
            "reasoning_effort",
        )
    if oddities.no_tools_with_effort and completion.offers:
        _check_effort(body)
    if oddities.strict_roles:
        _check_roles(completion.messages)
    check_oddities(body["messages"], oddities)
    return completion


def _check_effort(body: dict[str, Any]) -> None:
    if body.get("reasoning_effort") != "none":
        raise BadRequest(
            400,
            f"Function tools with reasoning_effort are not supported for {body['model']} in "
            "/v1/chat/completions. To use function tools, use /v1/responses or set "
            "reasoning_effort to 'none'.",
            None,
            "reasoning_effort",
            "tools_with_effort",
        )


async def _fail_call(request: web.Request, reply: _Reply) -> web.StreamResponse:
    """Answer as Groq does if the model's call could not be read."""
    error = {
        "message": "Failed to call a function. Please adjust your prompt. See 'failed_generation' "
        "for more details.",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
        "failed_generation": leak(reply.decision.calls or (GET_TIME,)),
    }
    if reply.quirks.failed == "status":
        return web.json_response({"error": error}, status=400)
    response = web.StreamResponse(headers={"Cache-Control": "no-cache"})
    response.content_type = "text/event-stream"
    await response.prepare(request)
    failed = json.dumps({"error": {**error, "status_code": 400}})
    first = json.dumps(reply.chunk({"role": "assistant", "content": ""}))
    await response.write(f"data: {first}\n\nevent: error\ndata: {failed}\n\n".encode())
    await response.write_eof()
    return response


class _Reply:
    """One reply, in the protocol's words.

    Attributes:
        deltas: what a stream has of it, piece by piece.
    """

    def __init__(
        self,
        completion: Completion,
        decision: Decision,
        quirks: ToolQuirks,
        oddities: ChatOddities,
    ) -> None:
        self.completion = completion
        self.decision = decision
        self.quirks = quirks
        text, calls = decision.text, decision.calls
        if quirks.leaked and calls:
            text, calls = leak(calls), ()
        if calls:
            text = quirks.text_before
        if oddities.thinks:
            last = completion.messages[-1].content
            text = f"<think>The user said: {last}</think>\n\n{text}"
        after = quirks.text_after if calls else ""
        self._calls = WiredCalls(calls, quirks, oddities)
        all_deltas = [
            *({"content": token} for token in tokens(text)),
            *(self._calls.deltas() if calls else ()),
            *({"content": token} for token in tokens(after)),
        ]
        self.deltas: list[dict[str, Any]] = all_deltas[: completion.max_tokens]
        self._is_cut = len(self.deltas) < len(all_deltas) or quirks.cut_arguments
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())

    @property
    def first_content(self) -> str | None:
        """The content of a stream's first delta: none before calls without words."""
        return None if self.deltas and "content" not in self.deltas[0] else ""

    @property
    def finish_reason(self) -> str:
        """Why the reply ends."""
        if self._calls.entries and self.quirks.end not in ("", "missing"):
            return self.quirks.end
        if self._is_cut:
            return "length"
        return "tool_calls" if self._calls.entries else "stop"

    def chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        """Return one event of the stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._envelope("chat.completion.chunk"), "choices": [choice]}

    def usage_chunk(self) -> dict[str, Any]:
        """Return the event that tells the usage: it has no choices."""
        envelope = self._envelope("chat.completion.chunk")
        return {**envelope, "choices": [], "usage": self._usage()}

    def whole(self) -> dict[str, Any]:
        """Return the reply at once."""
        message: dict[str, Any] = {"role": "assistant", "refusal": None}
        content = "".join(delta.get("content", "") for delta in self.deltas)
        message["content"] = content if content or not self._calls.entries else None
        if self._calls.entries:
            message |= self._calls.message
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self.finish_reason,
        }
        envelope = self._envelope("chat.completion")
        return {**envelope, "choices": [choice], "usage": self._usage()}

    def _envelope(self, kind: str) -> dict[str, Any]:
        model = self.completion.model
        return {"id": self._id, "object": kind, "created": self._created, "model": model}

    def _usage(self) -> dict[str, int]:
        prompt = sum(len(tokens(message.content)) for message in self.completion.messages)
        completion = len(self.deltas)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }


def _check_roles(messages: list[Message]) -> None:
    """Refuse what a strict template refuses.

    Raises:
        BadRequest: in the words of Mistral's template.
    """
    # Calls and their results are within the assistant's turn.
    roles = [m.role for m in messages if not m.calls and m.role != "tool"]
    turns = roles[1:] if roles[:1] in (["system"], ["developer"]) else roles
    if turns[-1:] != ["user"] or any(
        role != ("user", "assistant")[at % 2] for at, role in enumerate(turns)
    ):
        raise BadRequest(
            400, "Conversation roles must alternate user/assistant/user/assistant/...", "bad_roles"
        )
    if not all(message.content.strip() or message.calls for message in messages):
        raise BadRequest(400, "A message has to have content.", "empty_message")


def _status_answer(fault: Fault, request: web.Request, body: Any) -> web.Response:
    """Return the error of a fault. Its text repeats the key and what was said, as some services
    do."""
    assert fault.status is not None
    codes = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
    message = f"Status {fault.status}, on demand: {request.headers.get('Authorization')}, {body}."
    problem = BadRequest(fault.status, message, fault.code or codes.get(fault.status))
    response = web.json_response(problem.body, status=fault.status)
    response.headers["x-request-id"] = _request_id()
    if fault.retry_after is not None:
        response.headers["Retry-After"] = f"{fault.retry_after:g}"
    return response


def chat_app(api_key: str, settings: ChatSettings) -> web.Application:
    """Return the chat stand-in as an application.

    Args:
        api_key: the one it takes.
        settings: delays and faults at the start and after a reset.
    """
    recorder = RequestLog()
    controls = Controls(settings)
    app = web.Application(
        middlewares=[refuse_pages, ignore_dropped], client_max_size=MAX_BODY_BYTES
    )
    app.add_routes(ControlApi(controls, recorder).routes())
    api = ChatApi(
        api_key,
        lambda: controls.settings,
        lambda: controls.take_fault("llm"),
        controls.take_quirks,
        recorder,
    )
    app.add_routes(api.routes())
    return app
