"""Any chat endpoint that speaks OpenAI's streaming protocol (`/chat/completions`).

OpenAI, Groq, Together, Ollama, vLLM, llama.cpp and many more do. Only the parts of
the protocol that all of them share are used.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from parley.errors import FailureKind, ProviderError
from parley.protocol import Message
from parley.providers import failure, kind_of_status, retry_after_ms
from parley.responders import Prompt

INTERRUPTED_MARK = "… [the user interrupted here and heard no more]"


class OpenAIChat:
    """Streams replies from one chat endpoint.

    Args:
        client: shared by the turns of an environment, so that connections stay open.
        base_url: up to and without `/chat/completions`.
        model: the model's name.
        api_key: gives the key when one is needed; an empty one is not sent.
        timeout_s: how long the endpoint may stay silent.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        base_url: str,
        model: str,
        api_key: Callable[[], Awaitable[str]],
        timeout_s: float,
    ) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._model = model
        self._api_key = api_key
        self._timeout = httpx.Timeout(timeout_s, connect=min(3.0, timeout_s))
        self._connection_reused: bool | None = None

    @property
    def connection_reused(self) -> bool | None:
        """See `parley.responders.Responder`."""
        return self._connection_reused

    async def warm_up(self) -> None:
        """See `parley.responders.Responder`. Any answer will do: the connection counts."""
        with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL):
            await self._client.get(
                f"{self._base_url}/models", headers=await self._headers(), timeout=self._timeout
            )

    async def reply(self, prompt: Prompt, asked: Callable[[], None]) -> AsyncGenerator[str, None]:
        """See `parley.responders.Responder`."""

        async def trace(event: str, _info: dict[str, Any]) -> None:
            if event == "connection.connect_tcp.started":
                self._connection_reused = False
            elif event == "http11.send_request_body.complete":
                asked()

        body = {"model": self._model, "stream": True, "messages": _messages(prompt)}
        self._connection_reused = True
        try:
            async with self._client.stream(
                "POST",
                f"{self._base_url}/chat/completions",
                content=msgspec.json.encode(body),
                headers={"Content-Type": "application/json", **await self._headers()},
                timeout=self._timeout,
                extensions={"trace": trace},
            ) as response:
                if response.status_code != 200:
                    raise _failure(
                        kind_of_status(response.status_code),
                        status=response.status_code,
                        retry_after=response.headers.get("Retry-After"),
                    )
                async for delta in _deltas(_lines(response.aiter_bytes())):
                    yield delta
        except httpx.ConnectTimeout:  # nothing has been asked yet
            raise _failure("unavailable") from None
        except httpx.TimeoutException:
            raise _failure("timeout") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL):
            raise _failure("refused") from None
        except httpx.HTTPError:
            raise _failure("unavailable") from None
        finally:
            asked()

    async def _headers(self) -> dict[str, str]:
        key = await self._api_key()
        return {"Authorization": f"Bearer {key}"} if key else {}


class _Delta(Struct):
    content: str | None = None


class _Choice(Struct):
    delta: _Delta | None = None
    finish_reason: Any = None


class _Event(Struct):
    """What is read of an event of the stream; the rest is ignored."""

    choices: list[_Choice] | None = None
    error: Any = None


_LINE_END = re.compile(rb"[\r\n]")
_events = msgspec.json.Decoder(_Event)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines of a stream of events, and an empty one within each CR LF.

    They end with LF, CR LF or CR alone. `httpx` ends them as `str.splitlines` does, also at what
    JSON may hold as it is, e.g. U+2028.
    """
    rest = b""
    async for chunk in chunks:
        *lines, rest = _LINE_END.split(rest + chunk)
        for line in lines:
            yield line.decode(errors="replace")
    yield rest.decode(errors="replace")


async def _deltas(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """The text in a stream of server-sent events.

    Raises:
        ProviderError: the stream says so, makes no sense, or ends before the reply does.
    """
    finished = False
    async for line in lines:
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        event = _parsed(data)
        if event.error:
            raise _failure("unavailable")
        for choice in event.choices or ():
            if choice.delta is not None and choice.delta.content:
                yield choice.delta.content
            finished = finished or bool(choice.finish_reason)
    if not finished:
        raise _failure("unavailable")


def _parsed(data: str) -> _Event:
    try:
        return _events.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise _failure("invalid") from None


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": prompt.instructions},
        *({"role": message.role, "content": _content(message)} for message in prompt.history),
        {"role": "user", "content": prompt.text},
    ]


def _content(message: Message) -> str:
    if message.heard is None:
        return message.text
    return message.heard + INTERRUPTED_MARK


def _failure(
    kind: FailureKind, *, status: int | None = None, retry_after: str | None = None
) -> ProviderError:
    return failure(
        "reply_failed",
        "The language model",
        kind,
        status=status,
        retry_after_ms=retry_after_ms(retry_after),
    )
