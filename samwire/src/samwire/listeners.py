"""The addresses that a stack answers on: a plain and a TLS port each, taken at once.

URLs must be known before anything starts, so ports are bound first and served later.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from dataclasses import dataclass

BACKLOG = 128
DEFAULT_HOST = "127.0.0.1"


class CannotListen(Exception):
    """A host or a port cannot be used; says which, and what option changes it."""


@dataclass(frozen=True, slots=True)
class Address:
    """One address: APIs of one gateway host.

    Attributes:
        plain, secure: listening sockets.
    """

    plain: list[socket.socket]
    secure: list[socket.socket]

    @property
    def port(self) -> int:
        """Of the plain listener."""
        return _port(self.plain[0])

    @property
    def tls_port(self) -> int:
        """Of the TLS listener."""
        return _port(self.secure[0])

    @property
    def domain_name(self) -> str:
        """What events say the host is: functions post to it, with TLS."""
        return f"localhost:{self.tls_port}"


class Listeners:
    """Binds ports of one host.

    Args:
        host: of the plain listeners; TLS is for this machine alone.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._sockets: list[socket.socket] = []
        self._preferred = 0
        self.addresses: dict[str, Address] = {}
        """By domain name."""

    def open(self, port: int, tls_port: int) -> Address:
        """Return the stack's own address; 0 for any port.

        Raises:
            CannotListen: the host is not of this machine, or a port is taken.
        """
        plain = self._bound(self._host, port, "--port")
        secure = self._bound(DEFAULT_HOST, tls_port, "--tls-port")
        self._preferred = port
        return self._added(Address(plain, secure))

    def another(self) -> Address:
        """Open one more address: the port after the last one if it is free, else any."""
        plain = None
        if self._preferred:
            self._preferred += 1
            with contextlib.suppress(CannotListen):
                plain = self._bound(self._host, self._preferred, "--port")
        plain = plain or self._bound(self._host, 0, "--port")
        return self._added(Address(plain, self._bound(DEFAULT_HOST, 0, "--tls-port")))

    def close(self) -> None:
        """Give all ports back."""
        for bound in self._sockets:
            bound.close()

    def _added(self, address: Address) -> Address:
        self.addresses[address.domain_name] = address
        return address

    def _bound(self, host: str, port: int, option: str) -> list[socket.socket]:
        """Return listening sockets.

        `localhost` is ::1 first to some clients. So that they neither fail nor find another
        program there, the same port is taken on ::1 as well, if this machine has it.
        """
        first = self._listening(host, port, option)
        if host != DEFAULT_HOST:
            return [first]
        try:
            return [first, self._listening("::1", _port(first), option)]
        except CannotListen:
            if port:
                raise
            return [first]
        except OSError:
            return [first]

    def _listening(self, host: str, port: int, option: str) -> socket.socket:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except socket.gaierror:
            raise CannotListen(f"--host: {host} is no address of this machine.") from None
        found = socket.socket(family, kind, protocol)
        self._sockets.append(found)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(address)
            found.listen(BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL and host == "::1":
                raise
            if error.errno == errno.EADDRNOTAVAIL:
                said = f"--host: {host} is no address of this machine."
            elif error.errno == errno.EADDRINUSE:
                said = f"Port {port} is in use. Stop what uses it, or choose another with {option}."
            else:
                said = f"Port {port} cannot be used ({error.strerror}). Choose another: {option}."
            raise CannotListen(said) from None
        return found


def _port(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])
