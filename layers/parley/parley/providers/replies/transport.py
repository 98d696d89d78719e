"""A reply on its way over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol, TypeVar

import httpx

from parley.errors import ProviderError
from parley.protocol.tool_rounds import ToolCalls
from parley.providers.diagnosis import MAX_BODY_BYTES, Diagnosis
from parley.providers.llm import ReplyPiece
from parley.providers.replies.failures import BrokenOff, ErrorInAnswer, Nonsense

LINGER_S = 0.2
"""How long more is waited for when the reply has ended, so that the connection can be used again;
nothing that comes then is of the reply."""
WORDLESS_S = 60.0
"""How long a model may be at work without a word. One that thinks for so long has no listener."""
ERROR_BODY_S = 1.0
"""How long an error's body may take."""


class RequestWatch:
    """Watches one request.

    Args:
        asked: called once the request is on its way.

    Attributes:
        reused: whether it went over a connection that was already open.
    """

    def __init__(self, asked: Callable[[], None]) -> None:
        self._asked = asked
        self.reused = True

    async def trace(self, event: str, _info: dict[str, Any]) -> None:
        """Take an event of httpcore's (its extension `trace`)."""
        if event == "connection.connect_tcp.started":
            self.reused = False
        elif event == "http11.send_request_body.complete":
            self._asked()


class Reply(Protocol):
    """What reads an answer: a plain object, without I/O."""

    @property
    def finished(self) -> bool:
        """The reply has ended, whatever may still come."""

    @property
    def shows_something(self) -> bool:
        """Something of the reply can be read."""

    @property
    def tool_calls(self) -> ToolCalls | None:
        """The calls that it ends with, once it has ended; None if there are none to run."""

    @property
    def is_cut_call(self) -> bool:
        """It ended, by a limit or a filter, with calls in it: they may not be whole."""

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield what of the reply ends in this chunk.

        Raises:
            Nonsense, ErrorInAnswer, BadCall: see there.
        """

    def close(self) -> Iterator[str]:
        """Yield the rest, at the end of the answer.

        Raises:
            Nonsense, ErrorInAnswer, BadCall, LeakedCall, BrokenOff: see there.
        """


R = TypeVar("R", bound=Reply)


@contextlib.asynccontextmanager
async def naming_failures(diagnosis: Diagnosis) -> AsyncIterator[None]:
    """Turn what goes wrong on the way, within a block, into a `ProviderError`."""
    try:
        yield
    except httpx.ConnectTimeout:  # nothing has been asked yet
        raise diagnosis.make_error("connect_timeout", "unavailable") from None
    except httpx.TimeoutException:
        raise diagnosis.make_error("timeout", "timeout") from None
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        raise diagnosis.make_error("invalid_url", "refused") from None
    except httpx.ConnectError as error:
        raise diagnosis.diagnose_exception(error) from None
    except httpx.HTTPError:
        raise diagnosis.make_error("connection_lost", "unavailable") from None


class _Patience:
    """Until when an answer may go on without saying anything.

    Not until its next bytes: comments and pings keep a connection open for as long as one likes.

    Args:
        silence_s: how long no piece of the reply may come, be it an empty one.
    """

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._wordless_until_s = 0.0
        self.until_s = 0.0
        self.note_piece("any word")

    def note_piece(self, text: str) -> None:
        """Note that a piece has come, and been taken."""
        now_s = asyncio.get_running_loop().time()
        if text:
            self._wordless_until_s = now_s + max(WORDLESS_S, self._silence_s)
        self.until_s = min(now_s + self._silence_s, self._wordless_until_s)


async def _read_chunks(
    response: httpx.Response, reply: Reply, patience: _Patience
) -> AsyncIterator[bytes]:
    """Yield the bytes of an answer; when the reply has ended, not for long and whatever goes
    wrong."""
    chunks, now_s = response.aiter_bytes(), asyncio.get_running_loop().time
    while True:
        try:
            until_s = now_s() + LINGER_S if reply.finished else patience.until_s
            async with asyncio.timeout_at(until_s):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except (TimeoutError, httpx.HTTPError):
            if reply.finished:
                return
            raise
        yield chunk


async def read_reply(
    response: httpx.Response,
    reply: R,
    diagnosis: Diagnosis,
    nothing_said: Callable[[R, Diagnosis], ProviderError],
) -> AsyncIterator[ReplyPiece]:
    """Yield the reply in an answer, and the calls that it ends with.

    Args:
        nothing_said: makes the error of a reply that has nothing to read in it.

    Raises:
        ProviderError: the answer says so, makes no sense, ends before the reply does, says
            nothing for too long, or has nothing to read in it.
        BadCall, LeakedCall: see there.
    """
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise diagnosis.make_error("no_protocol", "invalid")
    patience = _Patience(_read_timeout_s(response))
    try:
        async for chunk in _read_chunks(response, reply, patience):
            for text in reply.feed(chunk):
                yield text
                patience.note_piece(text)
        for text in reply.close():
            yield text
    except TimeoutError:
        raise diagnosis.make_error("timeout", "timeout") from None
    except Nonsense:
        raise diagnosis.make_error("no_protocol", "invalid") from None
    except ErrorInAnswer as told:
        raise diagnosis.diagnose_error(told.error) from None
    except BrokenOff:
        raise diagnosis.make_error("connection_lost", "unavailable") from None
    if (calls := reply.tool_calls) is not None:
        yield calls
    elif reply.is_cut_call or not reply.shows_something:
        raise nothing_said(reply, diagnosis)


def _read_timeout_s(response: httpx.Response) -> float:
    """Return how long the request lets its answer be silent."""
    told = response.request.extensions.get("timeout", {}).get("read")
    return float(told) if told else WORDLESS_S


async def read_error_body(response: httpx.Response) -> bytes:
    """Return what an error's body begins with."""
    body = bytearray()
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(ERROR_BODY_S):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) >= MAX_BODY_BYTES:
                    break
    return bytes(body[:MAX_BODY_BYTES])
