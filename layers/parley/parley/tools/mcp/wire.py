"""Requests to one MCP endpoint, and their answers: one JSON object, or a stream of events.

Nothing is sent twice, but what has found no connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from parley.providers.replies.event_stream import EventStreamParser
from parley.tools.mcp.failures import NOT_CONNECTED, Refused, lost, too_large
from parley.tools.mcp.messages import (
    decline,
    decode,
    encode,
    error_of,
    is_answer,
    is_request,
)

CONNECT_S = 3.0
MAX_RESUMES = 10
"""How often a stream is taken up again: a server closes one to save connections."""
_RETRY_MS = 500
"""Of a server that does not say when to come back."""
_MAX_RETRY_MS = 5_000
_HEADERS = {
    "Content-Type": "application/json",
    # Servers refuse who takes one of them alone.
    "Accept": "application/json, text/event-stream",
    # What is counted is what is read.
    "Accept-Encoding": "identity",
}

Received = tuple[dict[str, Any], httpx.Headers]
"""An answer, and the headers that it came with."""


class Wire:
    """One endpoint.

    Args:
        http: sends the requests.
        url: of the endpoint.
        auth: says who asks; None for nobody.
        timeout_s: how long the server may stay silent.
    """

    def __init__(
        self, http: httpx.AsyncClient, url: str, auth: httpx.Auth | None, timeout_s: float
    ) -> None:
        self._http = http
        self._url = url
        self._auth = auth
        self._timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))

    async def ask(
        self,
        request_id: int,
        message: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        max_bytes: int,
        resumes: bool = False,
    ) -> Received:
        """Send a request, and return its answer. To cancel it closes the connection.

        Args:
            max_bytes: how large the answer may be, with all that comes before it.
            resumes: whether a stream that ends early is taken up again.

        Raises:
            Refused: see there.
            ToolFailed: the answer is too large, or did not come.
            httpx.HTTPError: the request could not be sent, or the connection broke.
        """
        answer = _Answer(request_id, max_bytes)
        try:
            async with self._send("POST", headers, encode({"id": request_id, **message})) as got:
                found = await self._read(got, answer, headers)
                received = got.headers
        except (httpx.ReadError, httpx.RemoteProtocolError):
            if not (resumes and answer.may_go_on):
                raise
            found, received = None, httpx.Headers()
        if found is None and resumes and answer.may_go_on:
            found = await self._resume(answer, headers)
        if found is None:
            raise lost("stream_ended")
        return found, received

    async def tell(self, message: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Send what has no answer.

        Raises:
            Refused: see there.
            httpx.HTTPError: it could not be sent.
        """
        async with self._send("POST", headers, encode(message)) as response:
            await _check(response)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _read(
        self, response: httpx.Response, answer: _Answer, headers: Mapping[str, str]
    ) -> dict[str, Any] | None:
        await _check(response, answer.request_id)
        if not _is_event_stream(response):
            return answer.take_whole(await _read_whole(response, answer.max_bytes))
        async for chunk in response.aiter_bytes():
            for message in answer.feed(chunk):
                if is_answer(message, answer.request_id):
                    return message
                if is_request(message):
                    await self.tell(decline(message), headers)
        return None

    async def _resume(self, answer: _Answer, headers: Mapping[str, str]) -> dict[str, Any] | None:
        """Take a stream up again, until its answer has come (2025-11-25, "Resumability")."""
        for _ in range(MAX_RESUMES):
            delay_ms = answer.parser.retry_ms
            await asyncio.sleep(
                min(_RETRY_MS if delay_ms is None else delay_ms, _MAX_RETRY_MS) / 1e3
            )
            last = {**headers, "Last-Event-ID": answer.parser.last_event_id}
            answer.begin_again()
            try:
                async with self._send("GET", last) as response:
                    if not _is_event_stream(response):
                        return None
                    if (found := await self._read(response, answer, headers)) is not None:
                        return found
            except (httpx.TransportError, Refused):
                return None
        return None

    @asynccontextmanager
    async def _send(
        self, method: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> AsyncIterator[httpx.Response]:
        request = self._http.build_request(
            method,
            self._url,
            headers={**_HEADERS, **headers},
            content=content,
            timeout=self._timeout,
        )
        response = await self._open(request)
        try:
            yield response
        finally:
            await response.aclose()

    async def _open(self, request: httpx.Request) -> httpx.Response:
        auth = self._auth or httpx.USE_CLIENT_DEFAULT
        try:
            return await self._http.send(request, auth=auth, stream=True, follow_redirects=False)
        except NOT_CONNECTED:
            return await self._http.send(request, auth=auth, stream=True, follow_redirects=False)


class _Answer:
    """Reads the answer to one request, and what comes before it.

    Attributes:
        parser: of the stream.
    """

    def __init__(self, request_id: int, max_bytes: int) -> None:
        self.request_id = request_id
        self.max_bytes = max_bytes
        self.parser = EventStreamParser()
        self._bytes = 0

    @property
    def may_go_on(self) -> bool:
        """Whether the stream has said where it can be taken up again."""
        last = self.parser.last_event_id
        return bool(last) and last.isascii()

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """Return the messages that end with this chunk."""
        self._bytes += len(chunk)
        if self._bytes > self.max_bytes:
            raise too_large()
        found = [decode(event.data) for event in self.parser.feed(chunk)]
        return [message for message in found if message is not None]

    def take_whole(self, body: bytes) -> dict[str, Any] | None:
        """Return the answer in a body that is no stream."""
        message = decode(body)
        return message if message is not None and is_answer(message, self.request_id) else None

    def begin_again(self) -> None:
        """Forget what the stream was cut off in."""
        last, retry_ms = self.parser.last_event_id, self.parser.retry_ms
        self.parser = EventStreamParser(last)
        self.parser.retry_ms = retry_ms


def _is_event_stream(response: httpx.Response) -> bool:
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower() == "text/event-stream"


async def _check(response: httpx.Response, request_id: int | None = None) -> None:
    """Raise `Refused` for a status that is no success."""
    if not response.is_success:
        try:
            body = await _read_whole(response, 64 * 1024)
        except Exception:  # the status says enough
            body = b""
        raise Refused(response.status_code, error_of(decode(body), request_id))


async def _read_whole(response: httpx.Response, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > max_bytes:
            raise too_large()
    return bytes(body)
