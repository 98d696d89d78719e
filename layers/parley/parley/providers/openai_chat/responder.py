"""Any chat endpoint that speaks OpenAI's streaming protocol (`/chat/completions`).

OpenAI, Groq, Together, Ollama, vLLM, llama.cpp and many more do. Only the parts of
the protocol that all of them share are used.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx
import msgspec

from parley.errors import ProviderError
from parley.providers.context import ApiKey, ProviderContext
from parley.providers.diagnosis import Diagnosis, Endpoint
from parley.providers.llm import Prompt, Speaker
from parley.providers.openai_chat.config import chat_endpoint
from parley.providers.openai_chat.effort import effort_words
from parley.providers.openai_chat.prompt import build_messages
from parley.providers.openai_chat.reply import ChatReply
from parley.providers.replies.effort import EffortWords, Fields, read_effort
from parley.providers.replies.transport import (
    RequestWatch,
    naming_failures,
    read_error_body,
    read_reply,
)
from parley.providers.rules import STANDARD
from parley.providers.speaker import is_openai, names_of, speaker_headers

_OF_SYSTEM_ROLE = (b"role", b"system message", b"system prompt", b"developer instruction")
"""What a refusal speaks of that may mean the system message; the last is Gemini's, of Gemma."""
_ROLE_OF_MESSAGE = re.compile(rb"""\\*["']role\\*["']\s*:""")
"""In a message that an error repeats: it speaks of no role."""


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
        self._system_role = True
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

    async def reply(self, prompt: Prompt, asked: Callable[[], None]) -> AsyncGenerator[str, None]:
        """See `parley.providers.llm.Responder`."""
        watch = self._watch = RequestWatch(asked)
        try:
            key = await self._api_key()
            system_role, words, ended = self._system_role, self._effort.index, False
            while not ended:
                messages = build_messages(prompt, system_role=system_role)
                said = [message["content"] for message in messages]
                # An endpoint may send back whatever it was sent, names included.
                diagnosis = Diagnosis(self._endpoint, key, [*said, *names_of(prompt.speaker)])
                effort = self._effort.fields(words)
                request = self._request(messages, prompt.speaker, effort, key, watch)
                async with naming_failures(diagnosis), request as response:
                    diagnosis.note_request_id(response.headers)
                    if not response.is_success:
                        found = await read_error_body(response)
                        if self._effort.are_refused(words, response.status_code, found, said):
                            words += 1
                            continue
                        if _refuses_system_role(messages, response.status_code, found):
                            system_role = False
                            continue
                        raise diagnosis.diagnose_status(
                            response.status_code, response.headers, found
                        )
                    self._effort.note_taken(words)
                    if not system_role:
                        self._note_system_role_refused()
                    async for text in read_reply(response, ChatReply(), diagnosis, _nothing_said):
                        yield text
                    ended = True
        finally:
            asked()

    def _request(
        self,
        messages: list[dict[str, str]],
        speaker: Speaker,
        effort: Fields,
        key: str,
        watch: RequestWatch,
    ) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        body: dict[str, Any] = {"model": self._model, "stream": True, "messages": messages}
        user = speaker.pseudonym or speaker.session
        if user and is_openai(self._base_url):
            # Gemini, Mistral and Groq refuse a field that they do not know: who speaks is told in
            # headers elsewhere. A session is what OpenAI asks for where there is no user
            # ("Incorporating a safety identifier").
            body["safety_identifier"] = user
        return self._client.stream(
            "POST",
            f"{self._base_url}/chat/completions",
            content=msgspec.json.encode({**body, **effort}),
            headers={
                "Content-Type": "application/json",
                **speaker_headers(speaker, self._base_url),
                **_authorization(key),
            },
            timeout=self._timeout,
            extensions={"trace": watch.trace},
        )

    def _note_system_role_refused(self) -> None:
        """Put the instructions in front from now on, which a second request has shown to help."""
        if not self._system_role:
            return
        self._system_role = False
        host = self._endpoint.host
        advice = (
            f"Model '{self._model}' at {host} takes no system message: the instructions go "
            "before what the user says first. Finding that out costs every new environment a "
            f"request: a template that takes one saves it, or another "
            f"{self._endpoint.model_parameter}."
        )
        self._log("system_message_refused", {"provider": "llm", "host": host, "advice": advice})


def _nothing_said(reply: ChatReply, diagnosis: Diagnosis) -> ProviderError:
    if reply.calls_tool or reply.finish_reason in ("tool_calls", "function_call"):
        return diagnosis.make_error("tool_call", "refused")
    if reply.finish_reason == "content_filter":
        return diagnosis.make_error("filter", "filtered")
    if reply.finish_reason == "length":
        return diagnosis.make_error("length", "empty")
    return diagnosis.make_error("empty", "empty")


def _refuses_system_role(messages: list[dict[str, str]], status: int, body: bytes) -> bool:
    """Return whether the model's template may have refused the system message, and nothing else.

    Templates of Mistral's do not name it: "Conversation roles must alternate". llama.cpp answers
    500 where a template fails.
    """
    if messages[0]["role"] != "system" or status not in (400, 422, 500):
        return False
    for message in messages:  # some repeat what they were asked
        body = body.replace(message["content"].encode(), b"")
    text = _ROLE_OF_MESSAGE.sub(b"", body.lower())
    return any(mark in text for mark in _OF_SYSTEM_ROLE)


def _authorization(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}
