"""Claude, by Anthropic's Messages API: at Anthropic, on Bedrock, and wherever else it is spoken."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

import httpx
import msgspec

from parley.errors import ProviderError
from parley.providers.anthropic.config import (
    API_VERSION,
    KEY_NAME,
    anthropic_endpoint,
    effort_words,
    messages_url,
    models_url,
)
from parley.providers.anthropic.prompt import build_request, texts_of
from parley.providers.anthropic.reply import MessagesReply
from parley.providers.context import ApiKey, ProviderContext
from parley.providers.diagnosis import Diagnosis, Endpoint
from parley.providers.llm import Prompt, ReplyPiece, Speaker
from parley.providers.replies.bad_calls import ask_again
from parley.providers.replies.effort import EffortWords, read_effort
from parley.providers.replies.transport import (
    RequestWatch,
    naming_failures,
    read_error_body,
    read_reply,
)
from parley.providers.rules import STANDARD
from parley.providers.speaker import names_of, speaker_headers

KeyHeader = Callable[[str], dict[str, str]]
"""Returns the header that a key goes in."""

_NOT_PAID = b"credit balance is too low"
"""Anthropic calls it `invalid_request_error`, with status 400."""


def build_responder(context: ProviderContext) -> AnthropicMessages:
    """Build the deployment's responder.

    Raises:
        ConfigurationError: `REASONING_EFFORT` is no effort.
    """
    endpoint = anthropic_endpoint(context)
    return AnthropicMessages(context, endpoint, context.key(KEY_NAME), api_key_header)


def api_key_header(key: str) -> dict[str, str]:
    """Return the header of an API key."""
    return {"x-api-key": key} if key else {}


class AnthropicMessages:
    """Streams replies from one endpoint of the Messages API.

    Args:
        endpoint: where, up to and without `/v1/messages`, and with which model.
        api_key: gives the key when one is needed; an empty one is not sent.
        key_header: how it is sent.

    Raises:
        ConfigurationError: `REASONING_EFFORT` is no effort.
    """

    rules = STANDARD

    def __init__(
        self,
        context: ProviderContext,
        endpoint: Endpoint,
        api_key: ApiKey,
        key_header: KeyHeader,
    ) -> None:
        self._client = context.http_client
        self._endpoint = endpoint
        self._api_key = api_key
        self._key_header = key_header
        self._log = context.log
        self._timeout = httpx.Timeout(context.timeout_s, connect=min(3.0, context.timeout_s))
        words = effort_words(read_effort(context), endpoint.model)
        self._effort = EffortWords(words, endpoint, context.log)
        self._watch: RequestWatch | None = None

    @property
    def connection_reused(self) -> bool | None:
        """See `parley.providers.llm.Responder`."""
        return self._watch.reused if self._watch else None

    async def warm_up(self) -> None:
        """See `parley.providers.llm.Responder`. Any answer will do: the connection counts."""
        with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, ProviderError):
            headers = self._headers(await self._api_key())
            await self._client.get(
                models_url(self._endpoint), headers=headers, timeout=self._timeout
            )

    async def reply(
        self, prompt: Prompt, asked: Callable[[], None]
    ) -> AsyncGenerator[ReplyPiece, None]:
        """See `parley.providers.llm.Responder`."""
        watch = self._watch = RequestWatch(asked)
        try:
            key = await self._api_key()

            def ask(with_tools: bool) -> AsyncGenerator[ReplyPiece, None]:
                return self._ask(prompt if with_tools else replace(prompt, tools=()), key, watch)

            async with contextlib.aclosing(ask_again(ask, self._endpoint, self._log)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            asked()

    async def _ask(
        self, prompt: Prompt, key: str, watch: RequestWatch
    ) -> AsyncGenerator[ReplyPiece, None]:
        """Yield a reply. Write the request otherwise for as long as it is refused for that."""
        model, words, ended = self._endpoint.model, self._effort.index, False
        while not ended:
            body = build_request(prompt, model, self._effort.fields(words))
            said = [prompt.instructions, *texts_of(body["messages"])]
            diagnosis = Diagnosis(self._endpoint, key, [*said, *names_of(prompt.speaker)])
            request = self._request(body, prompt.speaker, key, watch)
            async with naming_failures(diagnosis), request as response:
                diagnosis.note_request_id(response.headers)
                if not response.is_success:
                    found = await read_error_body(response)
                    if self._effort.are_refused(words, response.status_code, found, said):
                        words += 1
                        continue
                    raise _refusal(response, found, diagnosis)
                self._effort.note_taken(words)
                names = [offer.name for offer in prompt.tools]
                reply = MessagesReply(names, may_call=prompt.may_call, model=model)
                try:
                    async for piece in read_reply(response, reply, diagnosis, _nothing_said):
                        yield piece
                finally:
                    prompt.note_tokens(reply.tokens)
                ended = True

    def _request(
        self, body: dict[str, Any], speaker: Speaker, key: str, watch: RequestWatch
    ) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        return self._client.stream(
            "POST",
            messages_url(self._endpoint),
            content=msgspec.json.encode(body),
            headers={**self._headers(key), **speaker_headers(speaker, self._endpoint.base_url)},
            timeout=self._timeout,
            extensions={"trace": watch.trace},
        )

    def _headers(self, key: str) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "anthropic-version": API_VERSION,
            **self._key_header(key),
        }


def _refusal(response: httpx.Response, body: bytes, diagnosis: Diagnosis) -> ProviderError:
    if response.status_code == 400 and _NOT_PAID in body.lower():
        body = b'{"type": "billing_error"}'
    return diagnosis.diagnose_status(response.status_code, response.headers, body)


def _nothing_said(reply: MessagesReply, diagnosis: Diagnosis) -> ProviderError:
    if reply.stop_reason == "refusal":
        return diagnosis.make_error("filter", "filtered")
    if reply.stop_reason == "max_tokens":
        return diagnosis.make_error("length", "empty")
    if reply.stop_reason == "model_context_window_exceeded":
        return diagnosis.make_error("context", "refused")
    if reply.calls_unknown_tool:
        return diagnosis.make_error("tool_call", "refused")
    return diagnosis.make_error("empty", "empty")
