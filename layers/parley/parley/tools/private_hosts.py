"""Which hosts a tool may reach: public ones over TLS, unless the deployer has listed the host.

In Lambda a private address leads to the runtime's own API, to extensions and into the VPC.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from urllib.parse import SplitResult, urlsplit

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
_PORTS = {"https": 443, "http": 80}
_LOCAL = ("localhost", "local", "internal", "lan", "home.arpa")
"""Ends of names that no public host has (RFC 6761, RFC 6762, RFC 8375; ICANN keeps `internal`)."""


def address_problem(url: str, private_hosts: Collection[str]) -> str:
    """Return what is wrong with the URL of a tool; empty if nothing is.

    Names are not resolved here: whoever connects looks at the address.

    Args:
        private_hosts: hosts, or hosts with their port, that may be private or without TLS.
    """
    parts = _split(url)
    if parts is None:
        return "expected an https URL with a host, without user, password and fragment"
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    if is_listed(host, port, private_hosts):
        return ""
    if parts.scheme != "https":
        return "expected https; a host that may do without is named in PrivateToolHosts"
    if is_private_name(host):
        return "its host is a private one; if that is meant, name it in PrivateToolHosts"
    return ""


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


def is_private_name(host: str) -> bool:
    """Return whether a host is no public one, by its name or literal address alone."""
    host = host.lower().rstrip(".")
    try:
        return not is_public(host)
    except ValueError:
        last = host.rpartition(".")[2]
    # 127.1, 0x7f.1 and 2130706433 are addresses to a resolver (WHATWG URL, "ends in a number").
    if last.isdecimal() or last.startswith("0x"):
        return True
    return "." not in host or any(host == end or host.endswith(f".{end}") for end in _LOCAL)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    # Without its characters, what a resolver takes for another host ("https://a@b").
    bare = parts.username is None and parts.password is None and not parts.fragment
    known = parts.scheme in _PORTS and bool(parts.hostname) and port != 0
    return parts if plain and bare and known else None
