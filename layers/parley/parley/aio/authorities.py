"""The authorities that servers' certificates are checked by, read once for an environment.

Certificates are parsed for 20 ms of a core, in which nothing else of a turn goes on. So all clients
of an environment share one TLS context, and it is read with the first `https` URL.
"""

from __future__ import annotations

import functools
import os
import ssl
import sys
import threading


class Authorities:
    """A TLS context that checks certificates and names.

    Args:
        bundle: file or folder of the authorities' certificates; empty for Mozilla's, as `certifi`
            has them.
        is_strict: whether certificates must keep to RFC 5280, as Python has it from 3.13 on. Those
            of a proxy in a company may not.
    """

    def __init__(self, bundle: str = "", *, is_strict: bool = True) -> None:
        self._bundle = bundle
        self._lock = threading.Lock()
        self._is_read = False
        self.unread = _make_context(is_strict=is_strict)
        """The context, which trusts nobody before `read` was called."""

    def read(self) -> ssl.SSLContext:
        """Read the certificates, if they have not been, and return the context.

        Raises:
            OSError: the bundle cannot be read.
        """
        with self._lock:
            if not self._is_read:
                bundle = self._bundle or _mozillas()
                where = "capath" if os.path.isdir(bundle) else "cafile"
                self.unread.load_verify_locations(**{where: bundle})
                self._is_read = True
        return self.unread

    async def read_in_thread(self) -> ssl.SSLContext:
        """Read the certificates without holding the event loop up, and return the context.

        Raises:
            OSError: the bundle cannot be read.
        """
        if self._is_read:
            return self.unread
        import asyncio  # which functions without an event loop would import for nothing

        return await asyncio.to_thread(self.read)


@functools.cache
def find_authorities(bundle: str = "", *, is_strict: bool = True) -> Authorities:
    """Return the one `Authorities` of an environment with these arguments."""
    return Authorities(bundle, is_strict=is_strict)


def usual_authorities() -> Authorities:
    """Return the authorities of providers and tools: `SSL_CERT_FILE` or `SSL_CERT_DIR`, if set."""
    bundle = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or ""
    return find_authorities(bundle, is_strict=True)


def _mozillas() -> str:
    import certifi

    return certifi.where()


def _make_context(*, is_strict: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if is_strict and sys.version_info >= (3, 13):  # as `ssl.create_default_context` does from there
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    return context
