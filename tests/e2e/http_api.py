"""A client of the HTTP API, as a script would be: it sends a turn and keeps the token."""

from __future__ import annotations

import base64
import io
import ssl
import wave
from typing import Any

import httpx

from tests.e2e.stack import Stack
from tests.e2e.until import until

NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For addresses without TLS: to read the system's takes longer than to ask."""
ALWAYS = 1000
"""How often a fault happens that never stops."""


def url_of(stack: Stack) -> str:
    """Where the HTTP API is."""
    return str(stack.info["http_apis"]["HttpApi"]["http_url"])


def asked(stack: Stack) -> int:
    """How often the language model was asked."""
    return len([r for r in stack.llm.requests() if "chat/completions" in r["path"]])


async def until_asked(stack: Stack, times: int = 1) -> None:
    """Until the language model has been asked so often."""
    await until(lambda: asked(stack) >= times)


def problem(answer: httpx.Response, status: int, code: str, field: str | None = None) -> str:
    """The sentence of a problem document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert (found["status"], found["code"], found.get("field")) == (status, code, field)
    assert "Traceback" not in answer.text
    return str(found["detail"])


def wav(pcm: bytes, rate_hz: int = 16_000, channels: int = 1, width: int = 2) -> bytes:
    """A WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate_hz)
        writer.writeframes(pcm)
    return file.getvalue()


def sound_of(answer: dict[str, Any]) -> bytes:
    """The audio of an answered turn."""
    return base64.b64decode(answer["audio"]["base64"]) if "audio" in answer else b""


class HttpSession:
    """One session over HTTP.

    Args:
        bearer: the token that says who asks.
    """

    def __init__(self, stack: Stack, bearer: str = "") -> None:
        shown = {"authorization": f"Bearer {bearer}"} if bearer else {}
        self.client = httpx.AsyncClient(
            base_url=url_of(stack), timeout=40, headers=shown, verify=NO_AUTHORITIES
        )
        self.session_id: str | None = None
        self.token: str | None = None

    async def __aenter__(self) -> HttpSession:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.client.aclose()

    async def open(self) -> None:
        """Make the session before its first turn."""
        answer = await self.client.post("/sessions", json={})
        assert answer.status_code == 201, answer.text
        self.session_id, self.token = answer.json()["session_id"], answer.json()["resume_token"]

    async def post(self, **body: Any) -> httpx.Response:
        """A turn, as JSON, in this session."""
        own = {} if self.session_id is None else {"session_id": self.session_id}
        if self.token is not None:
            own["resume_token"] = self.token
        answer = await self.client.post("/turns", json={**own, **body})
        self._take(answer)
        return answer

    async def say(self, text: str, **more: Any) -> dict[str, Any]:
        """A typed turn that is answered."""
        answer = await self.post(text=text, **more)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def speak(self, audio: bytes, content_type: str, **query: Any) -> dict[str, Any]:
        """A spoken turn that is answered; its audio is the body."""
        own = {} if self.session_id is None else {"session_id": self.session_id}
        headers = {"content-type": content_type}
        if self.token is not None:
            headers["x-resume-token"] = self.token
        answer = await self.client.post(
            "/turns", params={**own, **query}, content=audio, headers=headers
        )
        self._take(answer)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def say_audio(self, audio: bytes, audio_format: str, **more: Any) -> dict[str, Any]:
        """A spoken turn whose audio is base64 in JSON."""
        encoded = base64.b64encode(audio).decode()
        answer = await self.post(audio=encoded, format=audio_format, **more)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def interrupt(self, turn_id: str, played_ms: float) -> httpx.Response:
        """So much of a turn's reply has been heard."""
        return await self.client.post(
            f"/sessions/{self.session_id}/turns/{turn_id}/interrupt",
            json={"played_ms": played_ms},
            headers={"x-resume-token": self.token or ""},
        )

    def _take(self, answer: httpx.Response) -> None:
        if answer.status_code == 200:
            self.session_id = answer.json()["session_id"]
            self.token = answer.json().get("resume_token", self.token)
