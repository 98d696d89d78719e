"""Where tools may be: at public hosts, over TLS, unless the deployment names others."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

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
    if is_listed(parts, private_hosts):
        return ""
    if parts.scheme != "https":
        return "expected https; a host that may do without is named in PrivateToolHosts"
    if is_private_name(parts.hostname or ""):
        return "its host is a private one; if that is meant, name it in PrivateToolHosts"
    return ""


def is_listed(parts: SplitResult, private_hosts: Collection[str]) -> bool:
    """Return whether a URL's host is among those that may be private."""
    host = _bare(parts.hostname or "")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    names = {host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}"}
    return not names.isdisjoint(each.lower() for each in private_hosts)


def is_private_name(host: str) -> bool:
    """Return whether a host is no public one, by its name or literal address alone."""
    host = _bare(host)
    try:
        return not ipaddress.ip_address(host).is_global
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
    known = parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
    return parts if plain and bare and known else None


def _bare(host: str) -> str:
    return host.lower().rstrip(".")
