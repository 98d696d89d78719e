"""A workflow of n8n that writes the replies: the webhook of a Webhook node or of a Chat Trigger.

The workflow keeps its own memory by the session's key, so it gets what the user says now and never
the history. It may send mails and change data: no request is sent twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import httpx
import msgspec

from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Diagnosis
from parley.providers.http_client import make_http_client
from parley.providers.llm import Prompt
from parley.providers.n8n.answer import WorkflowAnswer
from parley.providers.n8n.bad_answer import BadAnswer
from parley.providers.n8n.config import ADVICE, Webhook, find_webhook
from parley.providers.n8n.statuses import diagnose
from parley.providers.replies.transport import RequestWatch, naming_failures, read_error_body
from parley.providers.rules import CallRules
from parley.providers.speaker import names_of

SILENCE_S = 30.0
"""How long a workflow may be without a word. One with an agent takes 2 to 15 s for its first, and
as long between two rounds if it uses tools."""
CONNECT_S = 3.0
KEEPALIVE_S = 4.0
"""How long an idle connection may be used again. Node's server closes one after 5 s
(`server.keepAliveTimeout`), and a frozen environment does not hear of it: a request that is lost in
such a one may have been received, and is not sent again."""
WARM_UP_S = 5.0

_TRACE = re.compile(
    r"Root=1-(?P<time>[0-9a-f]{8})-(?P<unique>[0-9a-f]{24});"
    r"Parent=(?P<parent>[0-9a-f]{16});Sampled=(?P<sampled>[01])"
)
"""Lambda's `_X_AMZN_TRACE_ID`."""


def build_responder(context: ProviderContext) -> N8nWorkflow:
    """Build the deployment's responder.

    Raises:
        ConfigurationError: there is no webhook, or its URL is for tests.
    """
    return N8nWorkflow(context, find_webhook(context))


def open_client(_context: ProviderContext) -> httpx.AsyncClient:
    """Open a client of its own: the shared one keeps connections as long as it can."""
    return make_http_client(httpx.Limits(keepalive_expiry=KEEPALIVE_S))


class N8nWorkflow:
    """Has one workflow write the replies."""

    rules = CallRules(repeatable=False, timeout_s=SILENCE_S, has_tokens=False)

    def __init__(self, context: ProviderContext, webhook: Webhook) -> None:
        self._client = open_client(context)
        self._variables = context.variables
        self._log = context.log
        self._webhook = webhook
        self._silence_s = max(context.timeout_s, self.rules.timeout_s)
        self._timeout = httpx.Timeout(self._silence_s, connect=CONNECT_S)
        self._watch: RequestWatch | None = None

    @property
    def connection_reused(self) -> bool | None:
        """See `parley.providers.llm.Responder`."""
        return self._watch.reused if self._watch else None

    async def warm_up(self) -> None:
        """See `parley.providers.llm.Responder`. No workflow runs for OPTIONS; one may for GET."""
        with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL):
            headers, _ = await self._webhook.headers()
            await self._client.options(self._webhook.url, headers=headers, timeout=WARM_UP_S)

    async def reply(self, prompt: Prompt, asked: Callable[[], None]) -> AsyncGenerator[str, None]:
        """See `parley.providers.llm.Responder`. No piece is empty: n8n answers with a status and
        the first bytes before it has run anything, so that they are no sign of life."""
        watch = self._watch = RequestWatch(asked)
        try:
            headers, key = await self._webhook.headers()
            headers |= {"Content-Type": "application/json", **self._trace_headers()}
            diagnosis = Diagnosis(
                self._webhook.endpoint,
                key,
                [*_said_in(prompt), *names_of(prompt.speaker)],
                ADVICE,
            )
            async with (
                self._named(diagnosis),
                self._client.stream(
                    "POST",
                    self._webhook.url,
                    content=msgspec.json.encode(build_request(prompt)),
                    headers=headers,
                    timeout=self._timeout,
                    extensions={"trace": watch.trace},
                ) as response,
            ):
                diagnosis.note_request_id(response.headers)
                if not response.is_success:
                    body = await read_error_body(response)
                    raise diagnose(diagnosis, response.status_code, response.headers, body)
                async for text in self._read_reply(response):
                    yield text
        finally:
            asked()

    async def _read_reply(self, response: httpx.Response) -> AsyncIterator[str]:
        """Yield the reply in an answer.

        Raises:
            BadAnswer, httpx.HTTPError: it has none, or not all of it.
            TimeoutError: the workflow was without a word for too long.
        """
        has_length = "content-length" in response.headers or response.status_code == 204
        answer = WorkflowAnswer(response.headers.get("content-type", ""), has_length=has_length)
        chunks = response.aiter_bytes()
        now_s = asyncio.get_running_loop().time
        # Not between bytes: every 30 s comes a line that only keeps the connection open.
        deadline_s = now_s() + self._silence_s
        while True:
            try:
                async with asyncio.timeout_at(deadline_s):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                break
            for text in answer.feed(chunk):
                yield text
                deadline_s = now_s() + self._silence_s
        for text in answer.close():
            yield text

    @contextlib.asynccontextmanager
    async def _named(self, diagnosis: Diagnosis) -> AsyncIterator[None]:
        """Turn what goes wrong within a block into a `ProviderError`."""
        try:
            async with naming_failures(diagnosis):
                yield
        except TimeoutError:
            raise diagnosis.make_error("timeout", "timeout") from None
        except BadAnswer as bad:
            if bad.fields:
                self._log(
                    "workflow_answer_without_reply",
                    {"provider": "llm", "host": self._webhook.endpoint.host, "fields": bad.fields},
                )
            raise diagnosis.make_error(bad.reason, bad.kind) from None

    def _trace_headers(self) -> dict[str, str]:
        """Return the trace that the turn is part of, if there is one, as n8n takes it."""
        found = _TRACE.search(self._variables.get("_X_AMZN_TRACE_ID", ""))
        if found is None:
            return {}
        trace = f"{found['time']}{found['unique']}"
        return {"traceparent": f"00-{trace}-{found['parent']}-0{found['sampled']}"}


def _said_in(prompt: Prompt) -> list[str]:
    return [prompt.text, prompt.instructions, *(message.text for message in prompt.history)]


def build_request(prompt: Prompt) -> dict[str, Any]:
    """Build a request in the shape that a Chat Trigger and its agent read. A Webhook node has it
    as `$json.body`.

    `metadata` has what is known of `turn`, `user`, `tenant`, `language` and `instructions`, and in
    `heard` how much of the last reply was heard, if the user interrupted it: the workflow's memory
    has all of that reply.
    """
    speaker = prompt.speaker
    metadata = {
        "turn": speaker.turn_id,
        "user": speaker.subject,
        "tenant": speaker.tenant,
        "language": prompt.language,
        "instructions": prompt.instructions,
    }
    metadata = {name: value for name, value in metadata.items() if value}
    last = prompt.history[-1] if prompt.history else None
    if last is not None and last.role == "assistant" and last.heard is not None:
        metadata["heard"] = last.heard
    return {
        "action": "sendMessage",
        # An empty key would be one memory for everybody.
        "sessionId": speaker.session or uuid.uuid4().hex,
        "chatInput": prompt.text,
        "metadata": metadata,
    }
