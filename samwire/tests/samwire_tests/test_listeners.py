"""The addresses of a stack, bound before anything is served."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator

import pytest

from samwire.listeners import CannotListen, Listeners
from samwire.stack import Options
from samwire_tests.conftest import CHAT


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    made = Listeners("127.0.0.1")
    yield made
    made.close()


@pytest.fixture
def free() -> int:
    """A port that is free, and so is the one after it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def test_the_next_address_has_the_next_port(listeners: Listeners, free: int) -> None:
    main, more = listeners.open(free, 0), listeners.another()
    assert (main.port, more.port) == (free, free + 1)
    assert list(listeners.addresses) == [main.domain_name, more.domain_name]
    assert main.domain_name == f"localhost:{main.tls_port}"


def test_if_the_next_port_is_taken_it_is_any(listeners: Listeners, free: int) -> None:
    listeners.open(free, 0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", free + 1))
        other.listen()
        assert listeners.another().port not in (free, free + 1)


def test_a_port_that_is_taken_names_its_option(listeners: Listeners) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = int(other.getsockname()[1])
        with pytest.raises(CannotListen, match=rf"Port {port} is in use.*--port"):
            listeners.open(port, 0)
        with pytest.raises(CannotListen, match=rf"Port {port} is in use.*--tls-port"):
            listeners.open(0, port)


def test_ports_are_given_back(free: int) -> None:
    listeners = Listeners("127.0.0.1")
    listeners.open(free, 0)
    listeners.close()
    again = Listeners("127.0.0.1")
    again.open(free, 0)
    again.close()


def test_a_stack_listens_on_this_machine_alone(free: int) -> None:
    listeners = Listeners(Options(template=CHAT).host)
    try:
        for address in (listeners.open(free, 0), listeners.another()):
            for bound in (*address.plain, *address.secure):
                assert ipaddress.ip_address(bound.getsockname()[0]).is_loopback
    finally:
        listeners.close()
