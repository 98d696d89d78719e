"""What a stand-in was sent and what it answered, for tests to look at.

One record per HTTP request or WebSocket, numbered in order. Frames are kept as JSON
in which audio is replaced by its length and hash; the audio itself is kept beside,
whole. Keys are never kept. Memory is bounded: the oldest records go first.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Direction = Literal["in", "out"]

MAX_RECORDS = 500
MAX_AUDIO_BYTES = 256 * 1024 * 1024
MAX_FRAMES = 20_000

REDACTED = "(redacted)"
_SECRETS = frozenset(
    {
        "xi-api-key",
        "xi_api_key",
        "x-api-key",
        "api_key",
        "access_token",
        "authorization",
        "token",
        "single_use_token",
        "cookie",
    }
)


@dataclass(slots=True)
class RequestRecord:
    """One request or connection."""

    id: int
    kind: Literal["http", "websocket"]
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    began_at: float
    body: Any = None
    status: int | None = None
    close_code: int | None = None
    ended_ms: float | None = None
    frames: list[dict[str, Any]] = field(default_factory=list)
    frames_dropped: int = 0
    audio: dict[Direction, bytearray] = field(
        default_factory=lambda: {"in": bytearray(), "out": bytearray()}
    )
    _began: float = field(default_factory=time.monotonic)

    def frame(
        self, direction: Direction, content: Mapping[str, Any] | str, audio: bytes | None = None
    ) -> None:
        """Note a frame; `audio` is the decoded audio that it carries, if it does."""
        entry: dict[str, Any] = {
            "at_ms": self._elapsed_ms(),
            "direction": direction,
            "frame": redacted(content, audio) if isinstance(content, Mapping) else content,
        }
        if audio is not None:
            self.audio[direction] += audio
        if len(self.frames) < MAX_FRAMES:
            self.frames.append(entry)
        else:
            self.frames_dropped += 1

    def end(self, *, status: int | None = None, close_code: int | None = None) -> None:
        """Note how it ended."""
        self.status = status if status is not None else self.status
        self.close_code = close_code
        self.ended_ms = self._elapsed_ms()

    def described(self) -> dict[str, Any]:
        """Return the record as the control API shows it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "began_at": self.began_at,
            "body": self.body,
            "status": self.status,
            "close_code": self.close_code,
            "ended_ms": self.ended_ms,
            "frames": self.frames,
            "frames_dropped": self.frames_dropped,
            "audio": {name: described(bytes(data)) for name, data in self.audio.items()},
        }

    def _elapsed_ms(self) -> float:
        return round((time.monotonic() - self._began) * 1000, 2)


class RequestLog:
    """The latest records of one stand-in."""

    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque()
        self._last_id = 0
        self.refusals: Counter[str] = Counter()
        """How many requests were refused for what they said, by reason."""

    def begin(
        self,
        kind: Literal["http", "websocket"],
        method: str,
        path: str,
        query: Mapping[str, list[str]],
        headers: Mapping[str, str],
    ) -> RequestRecord:
        """Return a new record, with its secrets taken out."""
        self._last_id += 1
        record = RequestRecord(
            self._last_id,
            kind,
            method,
            path,
            {k: [REDACTED] if k.lower() in _SECRETS else v for k, v in query.items()},
            {k: REDACTED if k.lower() in _SECRETS else v for k, v in headers.items()},
            time.time(),
        )
        self._records.append(record)
        self._forget_oldest()
        return record

    def all(self) -> list[RequestRecord]:
        """Return all records, oldest first."""
        return list(self._records)

    def find(self, record_id: int) -> RequestRecord | None:
        """Return the record of this number, if it is still kept."""
        return next((r for r in self._records if r.id == record_id), None)

    def clear(self) -> None:
        """Forget them; numbers go on."""
        self._records.clear()

    def _forget_oldest(self) -> None:
        audio_bytes = sum(len(a) for r in self._records for a in r.audio.values())
        while len(self._records) > MAX_RECORDS or (
            audio_bytes > MAX_AUDIO_BYTES and len(self._records) > 1
        ):
            oldest = self._records.popleft()
            audio_bytes -= sum(len(a) for a in oldest.audio.values())


def described(audio: bytes) -> dict[str, Any]:
    """Describe audio by its length and hash."""
    return {"bytes": len(audio), "sha256": hashlib.sha256(audio).hexdigest()}


def redacted(content: Mapping[str, Any], audio: bytes | None = None) -> dict[str, Any]:
    """Return a frame or body without its keys, and with its audio described."""
    kept: dict[str, Any] = {}
    for name, value in content.items():
        if name.lower() in _SECRETS and value:
            kept[name] = REDACTED
        elif name in ("audio", "audio_base_64", "audio_base64") and isinstance(value, str):
            kept[name] = described(audio) if audio is not None else {"characters": len(value)}
        else:
            kept[name] = value
    return kept
