"""A WebSocket server for the client's tests: real sockets, scripted answers.

It speaks just enough of the protocol to open, resume and end a session; what a test
is about, the test scripts with `on`. It records every message, when it came and over
which connection, and can cut any of them.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from parley_client import Reconnect

DEADLINE_S = 10.0
QUICK = Reconnect(base_s=0.01, cap_s=0.02, stable_s=0.0)
"""A client that comes back at once."""
READY: dict[str, Any] = {
    "type": "ready",
    "session_id": "session-1",
    "resume_token": "token-1",
    "resumed": False,
    "settings": {"language": "en"},
    "limits": {
        "max_message_bytes": 32_768,
        "max_chunk_bytes": 20_480,
        "max_chunks": 9_000,
        "max_text_chars": 8_000,
    },
    "protocol": 1,
}

Json = dict[str, Any]


@dataclass
class Got:
    """A message, when it came, in s of the loop's clock, and over which connection (from 1)."""

    message: Json
    at_s: float
    connection: int


@dataclass
class Peer:
    """The client's connection, from the server's side."""

    socket: ServerConnection
    number: int
    settings: Json = field(default_factory=dict)

    async def send(self, *events: Json) -> None:
        """Send events as they are."""
        for event in events:
            await self.socket.send(json.dumps(event))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection."""
        await self.socket.close(code, reason)

    async def cut(self) -> None:
        """End the connection without a goodbye, as a network does."""
        self.socket.transport.abort()
        await self.socket.wait_closed()


Handler = Callable[[Peer, Json], Awaitable[None]]


class ScriptedServer:
    """Serves on a port of the system's choice while entered."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.peers: list[Peer] = []
        """Every connection there has been, in order."""
        self.refusals: list[int] = []
        """HTTP statuses for the next handshakes; when there are none left, 101."""
        self.refusal_headers: dict[str, str] = {}
        """Of these refusals."""
        self.handshakes = 0
        self.offered: list[str] = []
        """`Sec-WebSocket-Protocol` of every handshake, empty if it had none."""
        self._handlers: dict[str, Handler] = {
            "init": self.ready,
            "ping": _pong,
            "config": _configured,
            "end": _ended,
        }
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: Server | None = None

    async def __aenter__(self) -> ScriptedServer:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            process_request=self._process_request,
            select_subprotocol=_parley_if_offered,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionClosed):
                raise outcome

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/dev"

    def on(self, kind: str, handler: Handler) -> None:
        """Answer messages of a type with `handler`."""
        self._handlers[kind] = handler

    def messages(self, kind: str, connection: int | None = None) -> list[Json]:
        """What came of a type, over that connection or any."""
        return [
            got.message
            for got in self.got
            if got.message["type"] == kind and connection in (None, got.connection)
        ]

    def kinds(self, connection: int) -> list[str]:
        """The types of all messages that came over a connection, in order."""
        return [got.message["type"] for got in self.got if got.connection == connection]

    async def ready(self, peer: Peer, message: Json) -> None:
        """Handler for `init`: opens or resumes the session, with a new token each time."""
        peer.settings = {**READY["settings"], **message.get("settings", {})}
        resumed = "session_id" in message
        more: Json = {"history": []} if resumed else {}
        await peer.send(
            {
                **READY,
                "resume_token": f"token-{len(self.messages('init'))}",
                "resumed": resumed,
                "settings": peer.settings,
                **more,
            }
        )

    async def wait_for(self, kind: str, count: int = 1, connection: int | None = None) -> Json:
        """The `count`-th message of a type, over that connection or any, once it has come."""
        async with asyncio.timeout(DEADLINE_S), self._changed:
            await self._changed.wait_for(lambda: len(self.messages(kind, connection)) >= count)
        return self.messages(kind, connection)[count - 1]

    async def _process_request(self, socket: ServerConnection, request: Request) -> Response | None:
        self.handshakes += 1
        self.offered.append(request.headers.get("Sec-WebSocket-Protocol", ""))
        if not self.refusals:
            return None
        refusal = socket.respond(self.refusals.pop(0), "")
        refusal.headers.update(self.refusal_headers)
        return refusal

    async def _serve(self, socket: ServerConnection) -> None:
        peer = Peer(socket, len(self.peers) + 1)
        self.peers.append(peer)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionClosed):
            async for frame in socket:
                message = json.loads(frame)
                async with self._changed:
                    self.got.append(Got(message, loop.time(), peer.number))
                    self._changed.notify_all()
                handler = self._handlers.get(message["type"])
                if handler is not None:
                    self._tasks.add(asyncio.create_task(_run(handler, peer, message)))


async def _run(handler: Handler, peer: Peer, message: Json) -> None:
    await handler(peer, message)


def _parley_if_offered(
    socket: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    """As the connect function answers."""
    parley = Subprotocol("parley")
    return parley if parley in offered else None


async def _pong(peer: Peer, message: Json) -> None:
    await peer.send({"type": "pong", "sent_at": message["sent_at"]})


async def _configured(peer: Peer, message: Json) -> None:
    peer.settings = {**peer.settings, **message["settings"]}
    await peer.send({"type": "config_updated", "settings": peer.settings})


async def _ended(peer: Peer, message: Json) -> None:
    await peer.send({"type": "session_ended", "session_id": READY["session_id"]})


def tone(text: str, rate_hz: int = 16_000, lead_ms: int = 20) -> bytes:
    """Sound computed from a text: silence, then 10 ms per character at its own loudness."""
    pcm = bytearray(2 * (rate_hz * lead_ms // 1000))
    for character in text:
        pcm += (ord(character) * 100 % 20_000 + 1_000).to_bytes(2, "little") * (rate_hz // 100)
    return bytes(pcm)


def audio_event(turn_id: str, seq: int, pcm: bytes, start_ms: int = 0) -> Json:
    """An `audio` event of 16 kHz."""
    return {
        "type": "audio",
        "turn_id": turn_id,
        "seq": seq,
        "audio": base64.b64encode(pcm).decode(),
        "format": "pcm_16000",
        "start_ms": start_ms,
        "duration_ms": len(pcm) // 32,
    }


def turn_end(turn_id: str, seq: int, text: str, **more: object) -> Json:
    """A `turn_end` event."""
    return {
        "type": "turn_end",
        "turn_id": turn_id,
        "seq": seq,
        "reason": "completed",
        "text": text,
        "metrics": {"dispatch_ms": 2.5, "responder_ms": 10.0, "first_audio_ms": 12.5},
        **more,
    }


def reply_events(turn_id: str, text: str, first_seq: int = 1) -> list[Json]:
    """A whole reply: a delta per word, one audio event, the end."""
    words = text.split(" ")
    deltas = [word if i == 0 else f" {word}" for i, word in enumerate(words)]
    events: list[Json] = [
        {"type": "reply_text", "turn_id": turn_id, "seq": seq, "delta": delta}
        for seq, delta in enumerate(deltas, first_seq)
    ]
    events.append(audio_event(turn_id, first_seq + len(words), tone(text)))
    events.append(turn_end(turn_id, first_seq + len(words) + 1, text))
    return events


def answer_to(text: str) -> str:
    """What the scripted server replies to a text."""
    return f"You said {text.upper()} to me."


async def answer(peer: Peer, message: Json) -> None:
    """Handler for `user_message`: a reply computed from the text."""
    await peer.send(*reply_events(message["turn_id"], answer_to(message["text"])))


async def nothing(peer: Peer, message: Json) -> None:
    """Handler that says nothing."""


async def fail(peer: Peer, message: Json) -> None:
    """Say two words, then that the reply failed."""
    turn_id = message["turn_id"]
    await peer.send(
        {"type": "reply_text", "turn_id": turn_id, "seq": 1, "delta": "It is"},
        {
            "type": "error",
            "code": "reply_failed",
            "message": "The model went away.",
            "retryable": True,
            "turn_id": turn_id,
            "seq": 2,
            "retry_after_ms": 500,
        },
        turn_end(turn_id, 3, "It is", reason="failed"),
    )
