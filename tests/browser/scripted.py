"""A server that speaks the wire protocol as a test tells it to, and keeps what it receives.

It knows nothing of Parley's own server: what it sends is written out by the tests.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.browser.signals import Tone, samples_of, steady_tone

Message = dict[str, Any]
DEADLINE_S = 10.0
METRICS: Message = {
    "dispatch_ms": 12.0,
    "prepare_ms": 18.0,
    "responder_ms": 150.0,
    "synthesizer_ms": 42.0,
    "delivery_ms": 6.0,
    "first_audio_ms": 228.0,
    "total_ms": 900.0,
}


class ScriptedServer:
    """Answers `init` and `ping` by itself; everything else is the test's to say.

    Attributes:
        received: every message but `ping`, in order.
        refuse: every new connection ends before it is ready.
        history: what a session that is resumed has had.
        after_ready: said to each new connection, without being asked.
        accepted: the only token that is let in; none is asked for if it is None.
        offered: every token that has come with a handshake.
        handshakes: how many have come, whatever became of them.
        paths: of each of them, with the query.
        choices: what `ready` says may be chosen; nothing of it if it is None, as of older servers.
        stand_ins: what `ready` says of stand-ins, likewise.
        settings: in force in a new session.
        refused_session: the code that a session which is to be resumed is refused with.
        refused_settings: of an `init`, which is refused as long as it asks for one of them.
        refuses_all_settings: every `init` is refused for its settings, also one without any.
    """

    def __init__(self) -> None:
        self.after_ready: Callable[[], None] = lambda: None
        self.received: list[Message] = []
        self.refuse = False
        self.history: list[Message] = []
        self.accepted: str | None = None
        self.offered: list[str] = []
        self.handshakes = 0
        self.paths: list[str] = []
        self.choices: Message | None = None
        self.stand_ins: list[str] | None = None
        self.settings: Message = {}
        self.refused_session = ""
        self.refused_settings: set[str] = set()
        self.refuses_all_settings = False
        self.url = ""
        self._port = 0
        self._changed = threading.Condition()
        self._connection: ServerConnection | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[ScriptedServer]:
        """Listen on a port of the system's choice; after having been stopped, on the same."""
        with serve(
            self._handle,
            "127.0.0.1",
            self._port,
            process_request=self._let_in,
            select_subprotocol=_parley,
        ) as server:
            self._port = server.socket.getsockname()[1]
            self.url = f"ws://127.0.0.1:{self._port}/dev"
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield self
            finally:
                self.drop()
                server.shutdown()
                thread.join()

    def _let_in(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes += 1
        self.paths.append(request.path)
        if self.accepted is None:
            return None
        protocols = request.headers.get("Sec-WebSocket-Protocol", "").split(", ")
        self.offered.append(protocols[-1])
        is_valid = protocols == ["parley", self.accepted]
        return None if is_valid else connection.respond(401, "The token has expired.")

    def _handle(self, connection: ServerConnection) -> None:
        if self.refuse:
            _end(connection)
            return
        self._connection = connection
        with contextlib.suppress(ConnectionClosed):
            for frame in connection:
                message = json.loads(frame)
                if message["type"] == "ping":
                    self.send(type="pong", sent_at=message["sent_at"])
                    continue
                if message["type"] == "init":
                    self._answer(message)
                with self._changed:
                    self.received.append(message)
                    self._changed.notify_all()

    def _answer(self, init: Message) -> None:
        is_resumed = "session_id" in init
        if is_resumed and self.refused_session:
            text = "init.resume_token: not this session's"
            self.send(type="error", code=self.refused_session, message=text, retryable=False)
            return
        refused = self.refused_settings & init.get("settings", {}).keys()
        for name in ["voice"] if self.refuses_all_settings else sorted(refused):
            field = f"init.settings.{name}"
            text = f"{field}: expected one of those that `ready` lists"
            self.send(type="error", code="bad_request", message=text, field=field, retryable=False)
            return
        self.send(
            type="ready",
            session_id="s1",
            resume_token="secret",
            resumed=is_resumed,
            settings=self.settings,
            limits={"max_message_bytes": 32_768, "max_text_chars": 8_000},
            protocol=1,
            history=self.history if is_resumed else [],
            **({} if self.choices is None else {"choices": self.choices}),
            **({} if self.stand_ins is None else {"stand_ins": self.stand_ins}),
        )
        self.after_ready()

    def send(self, **message: Any) -> None:
        """Send one message to the page."""
        self.send_text(json.dumps(message))

    def send_text(self, frame: str) -> None:
        """Send one frame as it is."""
        assert self._connection is not None
        self._connection.send(frame)

    def drop(self) -> None:
        """End the connection, as a network does."""
        if self._connection is not None:
            _end(self._connection)

    def close(self, code: int) -> None:
        """End the connection with a close code."""
        assert self._connection is not None
        self._connection.close(code)

    def of_type(self, kind: str) -> list[Message]:
        """What has come of one type."""
        with self._changed:
            return [message for message in self.received if message["type"] == kind]

    def types(self) -> list[str]:
        """The types of everything that has come, in order."""
        with self._changed:
            return [message["type"] for message in self.received]

    def wait_for(self, kind: str, number: int = 1) -> Message:
        """The `number`th message of a type, as soon as it is there."""
        end = time.monotonic() + DEADLINE_S
        with self._changed:
            while True:
                found = [message for message in self.received if message["type"] == kind]
                if len(found) >= number:
                    return found[number - 1]
                if not self._changed.wait(end - time.monotonic()):
                    types = [message["type"] for message in self.received]
                    raise AssertionError(f"no {kind} number {number} came, but {types}")


def until_heard_whole(server: ScriptedServer) -> Tone:
    """The microphone's tone, as soon as a piece of it came in which nothing is missing.

    A page that is busy loses blocks of it, more or fewer: it is right wherever it is heard. The
    piece is longer than four blocks, so what joins two of them is heard too.
    """
    for number in range(2, 42):
        server.wait_for("audio_chunk", number)
        chunks = [base64.b64decode(chunk["audio"]) for chunk in server.of_type("audio_chunk")]
        heard = steady_tone(samples_of(b"".join(chunks)), 16_000)
        if heard.whole_s >= 0.2:
            return heard
    raise AssertionError("in none of 20 s the tone is whole")


def _end(connection: ServerConnection) -> None:
    # Not close(): who waits to receive from a closed socket would never hear of it.
    with contextlib.suppress(OSError):
        connection.socket.shutdown(socket.SHUT_RDWR)


def _parley(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    # As the docs ask of an authorizer: the answer names the protocol, never the token.
    return Subprotocol("parley") if "parley" in offered else None


class Reply:
    """The numbered events of one turn."""

    def __init__(self, server: ScriptedServer, turn_id: str) -> None:
        self._server = server
        self._turn_id = turn_id
        self._seq = 0
        self._audio_ms = 0.0

    def event(self, kind: str, **fields: Any) -> Message:
        """The next event, not sent yet."""
        self._seq += 1
        return {"type": kind, "turn_id": self._turn_id, "seq": self._seq, **fields}

    def send(self, kind: str, **fields: Any) -> None:
        """Send the next event."""
        self._server.send(**self.event(kind, **fields))

    def text(self, delta: str) -> None:
        """More of the reply's text."""
        self.send("reply_text", delta=delta)

    def audio(
        self, pcm: bytes, rate_hz: int = 24_000, words: list[Any] | None = None, chunk_ms: int = 90
    ) -> None:
        """The reply's audio, in chunks; the words go with the first."""
        size = rate_hz * chunk_ms // 1000 * 2
        for start in range(0, len(pcm), size):
            chunk = pcm[start : start + size]
            duration_ms = len(chunk) / 2 / rate_hz * 1000
            self.send(
                "audio",
                audio=base64.b64encode(chunk).decode(),
                format=f"pcm_{rate_hz}",
                start_ms=round(self._audio_ms),
                duration_ms=round(duration_ms),
                words=(words or []) if start == 0 else [],
            )
            self._audio_ms += duration_ms

    def end(self, text: str, reason: str = "completed", **fields: Any) -> None:
        """The last event."""
        self.send("turn_end", reason=reason, text=text, metrics=METRICS, **fields)


CACHED = {"Cache-Control": "max-age=86400"}
"""For a site that stays what it is as long as a browser may have it."""
Instead = Callable[[http.server.BaseHTTPRequestHandler], None]
"""Answers a request, or does not."""


class _Files(http.server.SimpleHTTPRequestHandler):
    """Serves `folders`, by prefix, without a word on stderr."""

    protocol_version = "HTTP/1.1"  # one connection for all of the page's modules
    extensions_map = {  # noqa: RUF012 - the base class has it as a plain dict
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
    }

    def __init__(
        self,
        *arguments: Any,
        folders: dict[str, Path],
        also: dict[str, str],
        instead: dict[str, Instead],
        **more: Any,
    ) -> None:
        self._folders, self._also, self._instead = folders, also, instead
        super().__init__(*arguments, **more)

    def translate_path(self, path: str) -> str:
        plain = path.partition("?")[0]
        prefix = next(prefix for prefix in self._folders if plain.startswith(prefix))
        return str(self._folders[prefix] / plain.removeprefix(prefix))

    def do_GET(self) -> None:
        answer = self._instead.get(self.path.partition("?")[0])
        if answer is None:
            super().do_GET()
        else:
            answer(self)

    def end_headers(self) -> None:
        for name, value in {"Cache-Control": "no-store", **self._also}.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_arguments: Any) -> None:
        return


@contextlib.contextmanager
def static_site(
    folders: dict[str, Path],
    *,
    also: dict[str, str] | None = None,
    instead: dict[str, Instead] | None = None,
) -> Iterator[str]:
    """Folders served by prefix, the longest first; gives the site's address.

    `also` are headers of every answer; `instead` answers some paths in another way. Unless `also`
    says so, nothing is cached: the port may be another site's tomorrow.
    """
    ordered = dict(sorted(folders.items(), key=lambda item: -len(item[0])))
    handler: Callable[..., Any] = functools.partial(
        _Files, folders=ordered, also=also or {}, instead=instead or {}
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()
