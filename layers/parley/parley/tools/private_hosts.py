"""Which hosts a tool may reach: a public address, unless the deployer has listed the host.

In Lambda a private address leads to the runtime's own API, to extensions and into the VPC.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Collection, Iterable

import httpcore

_NOT_PUBLIC = [
    ipaddress.ip_network(each)
    for each in (
        "192.0.0.0/24",  # of protocols
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # of protocols, with Teredo
        "2002::/16",  # 6to4: any IPv4 address
        "2001:db8::/32",
        "3fff::/20",  # documentation, like the one above
    )
]
"""What `is_global` calls public in one version of Python or another."""
_UNICAST = ipaddress.ip_network("2000::/3")
"""All that IANA has given out of IPv6. Beyond it `is_global` is true of most, site-local addresses
and such with a private IPv4 address in them included."""
_EMBEDDED = [ipaddress.ip_network("::ffff:0:0/96"), ipaddress.ip_network("64:ff9b::/96")]
"""An IPv4 address in its last 32 bits: IPv4-mapped (RFC 4291), and NAT64 (RFC 6052)."""


class PrivateAddress(httpcore.ConnectError):
    """A host that is not listed has a private address. Nothing has been sent to it."""


def is_public(text: str) -> bool:
    """Return whether an IP address is one of the public internet's."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _EMBEDDED):
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)))
        if address not in _UNICAST:
            return False
    listed = any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not address.is_multicast and not listed


def is_listed(host: str, port: int, private_hosts: Iterable[str]) -> bool:
    """Return whether the deployer lets a host be private, on this port or on all."""
    name = host.lower().strip("[]").rstrip(".")
    names = {name, f"[{name}]", f"{name}:{port}", f"[{name}]:{port}"}
    return any(each.strip().lower() in names for each in private_hosts)


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
