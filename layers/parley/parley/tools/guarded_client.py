"""A client of HTTP that reaches public hosts, and those that the deployer has listed."""

from __future__ import annotations

import httpcore
import httpx

from parley.aio.authorities import usual_authorities
from parley.tools.guarded_network import GuardedNetwork


def guarded_client(private_hosts: frozenset[str], timeout_s: float) -> httpx.AsyncClient:
    """Return a client of HTTP that follows no redirect and asks no proxy.

    A host with a private address that is not listed raises `httpx.ConnectError`: nothing has been
    sent to it.

    Args:
        private_hosts: hosts, or `host:port`, that may be private.
        timeout_s: how long the server may stay silent.
    """
    tls = usual_authorities().read()
    transport = httpx.AsyncHTTPTransport(verify=tls, trust_env=False)
    # httpx has no parameter for what opens its connections.
    transport._pool = httpcore.AsyncConnectionPool(
        ssl_context=tls,
        max_connections=20,
        max_keepalive_connections=5,
        keepalive_expiry=60.0,
        network_backend=GuardedNetwork(private_hosts),
    )
    return httpx.AsyncClient(
        transport=transport, timeout=timeout_s, trust_env=False, follow_redirects=False
    )
