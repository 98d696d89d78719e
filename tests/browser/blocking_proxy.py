"""A proxy as some networks have it: HTTP passes, a WebSocket does not."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HEAD_END = b"\r\n\r\n"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class BlockingProxy:
    """Passes bytes on to a server on this machine, one connection after its request's head.

    Attributes:
        blocks: whether upgrades are refused.
        swallows: whether upgrades succeed, and nothing that is sent after them arrives.
        handshakes: how many upgrades were asked for.
    """

    def __init__(self, port: int) -> None:
        self.blocks = True
        self.swallows = False
        self.handshakes = 0
        self._port = port
        self._open: set[socket.socket] = set()

    @contextmanager
    def running(self) -> Iterator[int]:
        """Listens; gives its port."""
        proxy = self

        class Passing(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                proxy.serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        with Server(("127.0.0.1", 0), Passing) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield server.server_address[1]
            finally:
                self.cut()
                server.shutdown()

    def cut(self) -> None:
        """Every connection through it breaks."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def serve(self, client: socket.socket) -> None:
        """One connection, to its end."""
        head = _head(client)
        if not head:
            return
        is_upgrade = b"upgrade: websocket" in head.lower()
        if is_upgrade:
            self.handshakes += 1
            if self.blocks:
                client.sendall(FORBIDDEN)
                return
        with socket.create_connection(("127.0.0.1", self._port)) as server:
            self._open |= {client, server}
            server.sendall(head)
            if is_upgrade and self.swallows:
                client.sendall(_head(server))
                _swallow(client)
            else:
                back = threading.Thread(target=_pass, args=(server, client), daemon=True)
                back.start()
                _pass(client, server)
                back.join()
            self._open -= {client, server}


def _head(source: socket.socket) -> bytes:
    """A request's or an answer's; empty if there is none."""
    head = b""
    while HEAD_END not in head:
        received = source.recv(4096)
        if not received:
            return b""
        head += received
    return head


def _swallow(source: socket.socket) -> None:
    """Everything, until it ends."""
    with suppress(OSError):
        while source.recv(65_536):
            pass


def _pass(source: socket.socket, target: socket.socket) -> None:
    """Everything, until one side ends."""
    with suppress(OSError):
        while received := source.recv(65_536):
            target.sendall(received)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
