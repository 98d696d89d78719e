"""Kept connections, and what breaks them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from parley.aws.connection import ConnectionPool
from parley.aws.failures import (
    CallFailed,
    CannotConnect,
    ConnectionLost,
    ConnectTimedOut,
    ReadTimedOut,
)
from tests.unit.aws.conftest import ScriptedAws, answer, close, scripted_aws
from tests.unit.speech_server import closed_port

REQUEST = (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n", b"{}")


def pool(url: str, read_timeout_s: float = 5) -> ConnectionPool:
    return ConnectionPool(url, connect_timeout_s=2, read_timeout_s=read_timeout_s)


def test_a_connection_is_kept(scripted: ScriptedAws) -> None:
    there = pool(scripted.url)
    assert [there.exchange(REQUEST).status for _ in range(5)] == [200] * 5
    assert scripted.connections == 1
    there.close()


def test_calls_at_once_have_a_connection_each_and_those_are_kept(scripted: ScriptedAws) -> None:
    together = threading.Barrier(4)

    def wait(connection: socket.socket) -> None:
        together.wait(10)
        connection.sendall(answer())

    scripted.steps = [wait]
    there = pool(scripted.url)
    with ThreadPoolExecutor(4) as threads:
        for _ in range(2):
            statuses = list(threads.map(lambda _: there.exchange(REQUEST).status, range(4)))
            assert statuses == [200] * 4
    assert scripted.connections == 4
    there.close()


def test_one_that_was_closed_meanwhile_is_not_used(scripted: ScriptedAws) -> None:
    there = pool(scripted.url)
    there.exchange(REQUEST)
    scripted.close_all()
    assert there.exchange(REQUEST).status == 200
    assert (len(scripted.requests), scripted.connections) == (2, 2)
    there.close()


def test_what_came_unasked_is_nobody_s_answer(scripted: ScriptedAws) -> None:
    there = pool(scripted.url)
    there.exchange(REQUEST)
    scripted.open[0].sendall(answer(408))
    assert there.exchange(REQUEST).status == 200
    assert scripted.connections == 2
    there.close()


def test_one_that_is_closed_as_a_request_comes_is_replaced_at_once(scripted: ScriptedAws) -> None:
    there = pool(scripted.url)
    there.exchange(REQUEST)
    scripted.steps = [close, answer(body=b"again")]
    assert there.exchange(REQUEST).body == b"again"
    assert (len(scripted.requests), scripted.connections) == (3, 2)
    there.close()


def test_a_new_one_that_is_closed_is_the_caller_s_to_try_again(scripted: ScriptedAws) -> None:
    scripted.steps = [close]
    with pytest.raises(ConnectionLost):
        pool(scripted.url).exchange(REQUEST)
    assert len(scripted.requests) == 1


def test_half_an_answer_is_none_and_is_not_asked_for_again(scripted: ScriptedAws) -> None:
    def half(connection: socket.socket) -> None:
        connection.sendall(answer(body=b"1234567890")[:-5])
        connection.close()

    there = pool(scripted.url)
    there.exchange(REQUEST)
    scripted.steps = [half]
    with pytest.raises(ConnectionLost):
        there.exchange(REQUEST)
    assert len(scripted.requests) == 2
    there.close()


@pytest.mark.parametrize("garbage", [b"SSH-2.0\r\n\r\n", answer(content_length="x")])
def test_what_is_no_answer_is_a_lost_connection(scripted: ScriptedAws, garbage: bytes) -> None:
    scripted.steps = [garbage, answer()]
    there = pool(scripted.url)
    with pytest.raises(ConnectionLost):
        there.exchange(REQUEST)
    assert there.exchange(REQUEST).status == 200
    assert scripted.connections == 2, "nothing more is read from the first"
    there.close()


def test_one_that_sends_more_than_it_was_asked_for_carries_no_other(
    scripted: ScriptedAws,
) -> None:
    scripted.steps = [answer() + b"HTTP/1.1 200 OK\r\n", answer(body=b"mine")]
    there = pool(scripted.url)
    assert there.exchange(REQUEST).body == b"{}"
    assert there.exchange(REQUEST).body == b"mine"
    assert scripted.connections == 2
    there.close()


def test_an_answer_that_does_not_come_is_given_up(scripted: ScriptedAws) -> None:
    late = threading.Event()

    def wait(connection: socket.socket) -> None:
        late.wait(10)
        connection.sendall(answer(body=b"late"))

    scripted.steps = [wait, answer(body=b"mine")]
    there = pool(scripted.url, read_timeout_s=0.05)
    with pytest.raises(ReadTimedOut):
        there.exchange(REQUEST)
    late.set()
    assert there.exchange(REQUEST).body == b"mine", "never another request's answer"
    there.close()


def test_an_endpoint_that_is_not_there_cannot_be_connected_to() -> None:
    with pytest.raises(CannotConnect):
        pool(f"http://127.0.0.1:{closed_port()}").exchange(REQUEST)
    with pytest.raises(CannotConnect):
        pool("http://nobody.invalid").exchange(REQUEST)


def test_a_server_that_says_nothing_of_tls_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = ConnectionPool(f"https://127.0.0.1:{silent.getsockname()[1]}", 0.05, 5)
        with pytest.raises(ConnectTimedOut):
            there.exchange(REQUEST)


@pytest.mark.parametrize("url", ["ftp://h", "h:80", "https://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        pool(url)


# --- TLS --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The authority's certificate, in a file that `AWS_CA_BUNDLE` names."""
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(file))
    return file


def server_tls(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.usefixtures("bundle")
def test_over_tls_a_connection_is_kept_too(authority: trustme.CA) -> None:
    with scripted_aws(server_tls(authority, "localhost")) as aws:
        there = pool(aws.url)
        assert [there.exchange(REQUEST).status for _ in range(5)] == [200] * 5
        assert aws.connections == 1
        aws.close_all()
        assert there.exchange(REQUEST).status == 200
        assert aws.connections == 2
        there.close()


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize("by", ["another name", "another authority"])
def test_who_cannot_show_that_it_is_the_endpoint_gets_no_request(
    authority: trustme.CA, by: str
) -> None:
    other = by == "another authority"
    tls = server_tls(trustme.CA() if other else authority, "localhost" if other else "b.example")
    with scripted_aws(tls) as aws:
        with pytest.raises(CannotConnect):
            pool(aws.url).exchange(REQUEST)
        assert aws.requests == []


def test_without_a_bundle_only_public_authorities_count(authority: trustme.CA) -> None:
    with scripted_aws(server_tls(authority, "localhost")) as aws, pytest.raises(CallFailed):
        pool(aws.url).exchange(REQUEST)


# --- proxies ----------------------------------------------------------------------


class TunnelProxy:
    """A proxy that passes on what it is asked to, or refuses it."""

    def __init__(self, status: str) -> None:
        self.status = status
        self.asked: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://ann:p%40ss@127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            self.asked.append(head.decode())
            connection.sendall(f"HTTP/1.1 {self.status}\r\n\r\n".encode())
            if not self.status.startswith("200"):
                return
            host, _, port = head.split()[1].decode().partition(":")
            with socket.create_connection((host, int(port))) as there:
                back = threading.Thread(target=_pass_on, args=(there, connection), daemon=True)
                back.start()
                _pass_on(connection, there)
                back.join(5)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize(("status", "comes"), [("200 OK", True), ("407 No", False)])
def test_what_goes_through_a_proxy_is_still_end_to_end(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, status: str, comes: bool
) -> None:
    proxy = TunnelProxy(status)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with scripted_aws(server_tls(authority, "localhost")) as aws, proxy.listener:
        there = pool(aws.url)
        if comes:
            assert there.exchange(REQUEST).status == 200
        else:
            with pytest.raises(CannotConnect):
                there.exchange(REQUEST)
        there.close()
        proxy.thread.join(5)
        assert len(aws.requests) == int(comes)
    (asked,) = proxy.asked
    assert asked.startswith(f"CONNECT {aws.url.removeprefix('https://')} HTTP/1.1")
    assert "Proxy-Authorization: Basic YW5uOnBAc3M=" in asked


@pytest.mark.usefixtures("bundle")
def test_a_host_of_no_proxy_is_called_directly(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("no_proxy", "localhost")
    with scripted_aws(server_tls(authority, "localhost")) as aws:
        there = pool(aws.url)
        assert there.exchange(REQUEST).status == 200
        there.close()


def test_a_proxy_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1080")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(ValueError, match="HTTPS_PROXY"):
        pool("https://localhost:1")
