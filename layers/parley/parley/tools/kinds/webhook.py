"""A tool that is a request to a server of the deployer's choice.

Its body is the bare arguments, as a Lambda function's event is. The rest is in headers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpcore

from parley.aio.authorities import usual_authorities
from parley.tools.address import Address, BadArgument, read_address
from parley.tools.answers import MAX_ANSWER_BYTES
from parley.tools.call_context import encode_arguments
from parley.tools.guarded_network import GuardedNetwork, PrivateAddress
from parley.tools.kinds.webhook_repeats import Repeats
from parley.tools.kinds.webhook_request import Reply, is_header_value, make_headers, read_reply
from parley.tools.registry import ToolContext
from parley.tools.signature import BadSecret, read_key
from parley.tools.tool import Answer, Invocation, Tool, ToolFailed, ToolSpec

CONNECT_TIMEOUT_S = 3.0
MARGIN_S = 0.1
"""How much earlier than the turn a call gives up: it alone knows whether anything was sent."""
_WITHOUT_BODY = ("GET", "DELETE")


def build_tool(spec: ToolSpec, context: ToolContext) -> Tool:
    """Build what runs a webhook. Options: `secret`, `auth`, `headers`, `method`."""
    return Webhook(spec, read_address(spec.target), context)


class Webhook:
    """Runs calls of one webhook."""

    def __init__(self, spec: ToolSpec, address: Address, context: ToolContext) -> None:
        self._spec = spec
        self._address = address
        self._context = context
        self._method = str(spec.options["method"])
        self._secret_name = str(spec.options["secret"])
        self._bearer = spec.options["auth"] == "bearer"

    async def call(self, invocation: Invocation) -> Answer:
        """Ask it, again if that is harmless; see `Tool`.

        Raises:
            ToolFailed: it gave no result.
        """
        exchange = _Exchange()
        try:
            async with asyncio.timeout(invocation.timeout_s - MARGIN_S):
                return read_reply(await self._ask(invocation, exchange))
        except TimeoutError:
            failure = ToolFailed("timeout", acted=exchange.sent)
        except httpcore.TimeoutException:
            failure = ToolFailed("timeout" if exchange.sent else "unavailable", acted=exchange.sent)
        except PrivateAddress:
            cause = {"cause": "private_address"}
            failure = ToolFailed("refused", acted=False, log_fields=cause)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol):
            cause = {"cause": "broken" if exchange.sent else "no_connection"}
            failure = ToolFailed("unavailable", acted=exchange.sent, log_fields=cause)
        except ToolFailed as error:
            failure = error
        failure.log_fields |= {"host": self._address.host}
        if exchange.status:
            failure.log_fields |= {"status": exchange.status}
        raise failure from None

    async def _ask(self, invocation: Invocation, exchange: _Exchange) -> Reply:
        target, body = self._fill(invocation.arguments)
        secret, asked_again = await self._read_secret(), False
        repeats = Repeats(harmless=self._spec.effect != "write")
        while True:
            headers = self._headers(invocation, body, secret)
            try:
                async with await self._open_pool() as pool:
                    reply = await self._exchange(pool, target, headers, body, exchange)
            except PrivateAddress:
                raise
            except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ConnectTimeout):
                pause_s = repeats.pause_after_failure(sent=exchange.sent)
                if pause_s is None:
                    raise
            else:
                pause_s = repeats.pause_after_status(reply.status)
                if reply.status == 401 and not asked_again:
                    # It may have been replaced a moment ago; a 401 says that nothing was done.
                    before, secret = secret, await self._read_secret(fresh=True)
                    asked_again = True
                    pause_s = 0.0 if secret != before else None
                if pause_s is None:
                    return reply
            await asyncio.sleep(pause_s)

    def _fill(self, arguments: Mapping[str, Any]) -> tuple[bytes, bytes]:
        body = encode_arguments(arguments)
        others: dict[str, Any] = {}
        if self._method in _WITHOUT_BODY:
            body, places = b"", self._address.places
            others = {name: each for name, each in arguments.items() if name not in places}
        try:
            return self._address.fill(arguments, others).encode(), body
        except BadArgument as error:
            raise ToolFailed("refused", acted=False, told=str(error)) from None

    async def _read_secret(self, *, fresh: bool = False) -> str:
        try:
            secret = await self._context.read_secret(self._secret_name, fresh=fresh)
        except Exception as error:
            fields = {"cause": "secret_unreadable", "error": type(error).__name__}
            raise ToolFailed("unavailable", acted=False, log_fields=fields) from None
        if not secret:
            fields = {"cause": "no_secret", "secret": self._secret_name}
            raise ToolFailed("refused", acted=False, log_fields=fields)
        return secret

    def _headers(self, invocation: Invocation, body: bytes, secret: str) -> dict[str, str]:
        fixed = dict(self._spec.options["headers"])
        headers = {"Host": self._address.authority}
        headers |= make_headers(self._spec.name, invocation, body, self._signing_key(secret))
        if self._bearer:
            headers["Authorization"] = f"Bearer {secret}"
        if self._method not in _WITHOUT_BODY:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        replaced = {name.lower() for name in fixed}
        return {
            name: each for name, each in headers.items() if name.lower() not in replaced
        } | fixed

    def _signing_key(self, secret: str) -> bytes | None:
        problem = "it must be printable ASCII"
        try:
            if not self._bearer:
                return read_key(secret)
        except BadSecret as error:
            problem = str(error)
        else:
            if is_header_value(secret):
                return None
        fields = {"cause": "bad_secret", "secret": self._secret_name, "advice": problem}
        raise ToolFailed("refused", acted=False, log_fields=fields)

    async def _exchange(
        self,
        pool: httpcore.AsyncConnectionPool,
        target: bytes,
        headers: Mapping[str, str],
        body: bytes,
        exchange: _Exchange,
    ) -> Reply:
        """Send a request and read its answer, as far as it may be long."""
        exchange.begin()
        address = self._address
        url = httpcore.URL(
            scheme=address.scheme, host=address.host, port=address.port, target=target
        )
        # Without these a connection could wait for ever; the whole call has a timeout of its own.
        timeout = {"connect": CONNECT_TIMEOUT_S, "pool": CONNECT_TIMEOUT_S}
        extensions = {"timeout": timeout, "trace": exchange.trace}
        async with pool.stream(
            self._method, url, headers=[*headers.items()], content=body, extensions=extensions
        ) as response:
            exchange.status = response.status
            found = {name.lower(): value for name, value in response.headers}
            content = bytearray()
            async for chunk in response.aiter_stream():
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    if response.status < 300:
                        raise ToolFailed("too_large", acted=True)
                    break
        content_type = found.get(b"content-type", b"").decode("latin-1")
        return Reply(response.status, content_type, bytes(content))

    async def _open_pool(self) -> httpcore.AsyncConnectionPool:
        # Of one call: a connection that was idle may break when it is used again, and nobody knows
        # then whether a write arrived. Between two turns Lambda freezes it besides.
        return httpcore.AsyncConnectionPool(
            ssl_context=await usual_authorities().read_in_thread(),
            network_backend=GuardedNetwork(self._context.private_hosts),
        )


class _Exchange:
    """What has become of one request.

    Attributes:
        sent: whether anything of it may have arrived.
        status: of the answer; 0 if there was none.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin another request."""
        self.sent, self.status = False, 0

    async def trace(self, event: str, _info: dict[str, Any]) -> None:
        """Take an event of httpcore's (its extension `trace`)."""
        self.sent = self.sent or event == "http11.send_request_headers.started"
