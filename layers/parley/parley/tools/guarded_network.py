"""Connections to the hosts that a tool may reach, and to no other address."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Collection, Iterable

import httpcore

from parley.tools.private_hosts import is_listed, is_public


class PrivateAddress(httpcore.ConnectError):
    """A host that is not listed has a private address. Nothing has been sent to it."""


async def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the order in which to try them.

    Raises:
        OSError: it has none.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to the addresses that were checked, whatever the host's name means a moment later.

    It is below TLS: certificates are still checked, and connections kept, by the host's name. An
    address in the URL would share one connection between all hosts behind it.

    Args:
        private_hosts: hosts, or `host:port`, that may be private.
    """

    def __init__(self, private_hosts: Collection[str]) -> None:
        self._private_hosts = private_hosts
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # of httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of a host that answers.

        Raises:
            PrivateAddress: it has a private one.
            httpcore.ConnectError, httpcore.ConnectTimeout: none answers.
        """
        until_s = None if timeout is None else time.monotonic() + timeout
        addresses = await self._find_addresses(host, port, timeout)
        failure: Exception = httpcore.ConnectError("no address")
        for index, address in enumerate(addresses):
            left_s = None if until_s is None else max(0.0, until_s - time.monotonic())
            # None of them may use up the time of those after it.
            share_s = None if left_s is None else left_s / (len(addresses) - index)
            try:
                return await self._network.connect_tcp(
                    address, port, share_s, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _find_addresses(self, host: str, port: int, timeout_s: float | None) -> list[str]:
        try:
            found = await asyncio.wait_for(look_up(host, port), timeout_s)
        except TimeoutError:
            raise httpcore.ConnectTimeout("no address in time") from None
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("no address") from None
        if not is_listed(host, port, self._private_hosts) and not all(map(is_public, found)):
            raise PrivateAddress("a private address")
        return found
