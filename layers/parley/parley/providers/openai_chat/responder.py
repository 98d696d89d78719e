"""Any chat endpoint that speaks OpenAI's streaming protocol (`/chat/completions`).

OpenAI, Groq, Together, Ollama, vLLM, llama.cpp and many more do. Only the parts of
the protocol that all of them share are used.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

import httpx
import msgspec

from parley.errors import ProviderError
from parley.providers.context import ApiKey, ProviderContext
from parley.providers.diagnosis import Diagnosis, Endpoint
from parley.providers.llm import Prompt, ReplyPiece, Speaker
from parley.providers.openai_chat.config import chat_endpoint
from parley.providers.openai_chat.dialect import (
    Dialect,
    adapt,
    dialect_of,
    lessons,
    texts_of,
    wants_thoughts,
)
from parley.providers.openai_chat.effort import effort_words, effort_words_with_tools
from parley.providers.openai_chat.prompt import build_messages, build_tools, offers_tools
from parley.providers.openai_chat.reply import ChatReply
from parley.providers.replies.bad_calls import ask_again
from parley.providers.replies.effort import EffortWords, Fields, read_effort
from parley.providers.replies.failures import BadCall, is_bad_call
from parley.providers.replies.transport import (
    RequestWatch,
    naming_failures,
    read_error_body,
    read_reply,
)
from parley.providers.rules import STANDARD
from parley.providers.speaker import is_openai, names_of, speaker_headers


def build_responder(context: ProviderContext) -> OpenAIChat:
    """Build the deployment's responder.

    Raises:
        ConfigurationError: `REASONING_EFFORT` is no effort.
    """
    return OpenAIChat(context, chat_endpoint(context), context.stage_key("responder"))


class OpenAIChat:
    """Streams replies from one chat endpoint.

    Args:
        endpoint: where, up to and without `/chat/completions`, and with which model.
        api_key: gives the key when one is needed; an empty one is not sent.

    Raises:
        ConfigurationError: `REASONING_EFFORT` is no effort.
    """

    rules = STANDARD

    def __init__(self, context: ProviderContext, endpoint: Endpoint, api_key: ApiKey) -> None:
        self._client = context.http_client
        self._endpoint = endpoint
        self._base_url = endpoint.base_url.rstrip("/")
        self._model = endpoint.model
        self._api_key = api_key
        self._timeout = httpx.Timeout(context.timeout_s, connect=min(3.0, context.timeout_s))
        self._log = context.log
        words = effort_words(read_effort(context), endpoint.model)
        self._effort = EffortWords(words, endpoint, context.log)
        words = effort_words_with_tools(read_effort(context), endpoint.model)
        self._effort_with_tools = EffortWords(words, endpoint, context.log, with_tools=True)
        self._dialect = dialect_of(endpoint)
        self._watch: RequestWatch | None = None

    @property
    def connection_reused(self) -> bool | None:
        """See `parley.providers.llm.Responder`."""
        return self._watch.reused if self._watch else None

    async def warm_up(self) -> None:
        """See `parley.providers.llm.Responder`. Any answer will do: the connection counts."""
        with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, ProviderError):
            headers = _authorization(await self._api_key())
            await self._client.get(
                f"{self._base_url}/models", headers=headers, timeout=self._timeout
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
        dialect = self._dialect
        efforts = self._effort_with_tools if offers_tools(prompt, dialect) else self._effort
        words, ended = efforts.index, False
        while not ended:
            messages = build_messages(prompt, dialect, self._model)
            tools = build_tools(prompt, dialect)
            said = list(texts_of(messages))
            # An endpoint may send back whatever it was sent, names included.
            diagnosis = Diagnosis(self._endpoint, key, [*said, *names_of(prompt.speaker)])
            fields = {**tools, **efforts.fields(words)}
            request = self._request(messages, prompt.speaker, fields, key, watch)
            async with naming_failures(diagnosis), request as response:
                diagnosis.note_request_id(response.headers)
                if not response.is_success:
                    status, found = response.status_code, await read_error_body(response)
                    if wants_thoughts(dialect, messages, status, found):
                        dialect = replace(dialect, blank_thought=True)
                    elif efforts.are_refused(words, status, found, said):
                        words += 1
                    elif tools and is_bad_call(found):
                        raise BadCall
                    elif other := adapt(dialect, messages, status, found, with_tools=bool(tools)):
                        dialect = other
                    else:
                        raise diagnosis.diagnose_status(status, response.headers, found)
                    continue
                efforts.note_taken(words)
                self._note_taken(dialect, prompt)
                names = [offer.name for offer in prompt.tools] if tools else []
                reply = ChatReply(names, may_call=prompt.may_call, model=self._model)
                try:
                    async for piece in read_reply(response, reply, diagnosis, _nothing_said):
                        yield piece
                finally:
                    prompt.note_tokens(reply.tokens)
                ended = True

    def _request(
        self,
        messages: list[dict[str, Any]],
        speaker: Speaker,
        fields: Fields,
        key: str,
        watch: RequestWatch,
    ) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        body: dict[str, Any] = {"model": self._model, "stream": True, "messages": messages}
        if is_openai(self._base_url):
            # Others tell it unasked, or refuse a field that they do not know.
            body["stream_options"] = {"include_usage": True}
        user = speaker.pseudonym or speaker.session
        if user and is_openai(self._base_url):
            # Gemini, Mistral and Groq refuse a field that they do not know: who speaks is told in
            # headers elsewhere. A session is what OpenAI asks for where there is no user
            # ("Incorporating a safety identifier").
            body["safety_identifier"] = user
        return self._client.stream(
            "POST",
            f"{self._base_url}/chat/completions",
            content=msgspec.json.encode({**body, **fields}),
            headers={
                "Content-Type": "application/json",
                **speaker_headers(speaker, self._base_url),
                **_authorization(key),
            },
            timeout=self._timeout,
            extensions={"trace": watch.trace},
        )

    def _note_taken(self, dialect: Dialect, prompt: Prompt) -> None:
        """Write requests so from now on, which a second request has shown to help."""
        if prompt.rounds or prompt.past_rounds:
            # Calls have been taken before: what was refused is this conversation.
            dialect = replace(dialect, tools=self._dialect.tools)
        for event, advice in lessons(self._dialect, dialect, self._endpoint):
            self._log(event, {"provider": "llm", "host": self._endpoint.host, "advice": advice})
        self._dialect = dialect


def _nothing_said(reply: ChatReply, diagnosis: Diagnosis) -> ProviderError:
    if reply.finish_reason == "content_filter":
        return diagnosis.make_error("filter", "filtered")
    if reply.finish_reason == "length":
        return diagnosis.make_error("length", "empty")
    if reply.calls_unknown_tool:
        return diagnosis.make_error("tool_call", "refused")
    return diagnosis.make_error("empty", "empty")


def _authorization(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}
