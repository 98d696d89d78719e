"""A deployment with a second provider for each stage: built at the start, and asked when the first
one fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from parley.errors import ConfigurationError
from parley.principal import ANONYMOUS
from parley.providers import registry
from tests.handlers.loading import Context, event, items, load


class ChatEndpoint(BaseHTTPRequestHandler):
    """An endpoint that always says the same."""

    keys: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.keys.append(self.headers["Authorization"] or "")
        answer = {"choices": [{"delta": {"content": "Good evening."}, "finish_reason": "stop"}]}
        body = f"data: {json.dumps(answer)}\n\ndata: [DONE]\n\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[str]]]:
    """The URL of a chat endpoint, and the keys that it was shown."""
    keys: list[str] = []
    handler = type("Endpoint", (ChatEndpoint,), {"keys": keys})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1", keys
        server.shutdown()
        thread.join()


def test_the_second_responder_replies_when_the_first_is_not_there(
    message: Any,
    endpoint: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    url, keys = endpoint
    monkeypatch.setenv("FALLBACK_RESPONDER", "openai_chat")
    monkeypatch.setenv("FALLBACK_LLM_BASE_URL", url)
    message.send("init")
    payload = {**event("turn-typed"), "session": ANONYMOUS.session(message.posts[0]["session_id"])}
    turn = load("turn")
    turn.environment.management_api.post = message.post  # there is no API Gateway to take it
    assert turn.handler(payload, Context()) == {"reason": "completed"}
    turn.runner._loop.close()
    replies = [
        item["text"]["S"]
        for item in items(message.table, "SESSION#")
        if item.get("role", {}).get("S") == "assistant"
    ]
    assert replies == ["Good evening."]
    assert len(keys) == 1
    assert "sk-" not in keys[0], "the first one's key is not sent to another host"
    (told,) = [vars(each) for each in caplog.records if each.msg == "provider_failed_over"]
    assert (told["stage"], told["reason"]) == ("responder", "connection_refused")
    lines = capsys.readouterr().out.splitlines()
    (emf,) = [line for line in map(json.loads, lines) if "turn_completed" in line]
    assert emf["failed_over"] == [1.0]


def test_what_is_chosen_is_built_at_the_start(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[str, str, bool, Any]] = []

    def build(stage: str) -> Any:
        def build_one(name: str, context: Any) -> object:
            built.append((stage, name, context.is_fallback, context.defaults.voice))
            return object()

        return build_one

    for stage in registry.STAGES:
        monkeypatch.setattr(registry, f"build_{stage}", build(stage))
        monkeypatch.setenv(f"FALLBACK_{stage.upper()}", next(iter(registry.STAGES[stage])))
    monkeypatch.setenv("FALLBACK_VOICE_ID", "deputy")
    runner = load("turn").runner
    runner._loop.close()
    services = runner._services
    assert [each for each in built if each[2]] == [
        ("transcriber", "elevenlabs", True, "deputy"),
        ("responder", "openai_chat", True, "deputy"),
        ("synthesizer", "elevenlabs", True, "deputy"),
    ]
    assert [candidate.voice for candidate in services.synthesizers()] == ["", "deputy"]
    assert len(services.responders()) == len(services.transcribers("manual")) == 2


def test_a_second_that_cannot_work_stops_the_function_at_its_start(
    aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALLBACK_SYNTHESIZER", "elevenlabs")

    def refuses(name: str, context: Any) -> object:
        if context.is_fallback:
            raise ConfigurationError("FallbackVoiceId: that voice is another vendor's.")
        return object()

    monkeypatch.setattr(registry, "build_synthesizer", refuses)
    with pytest.raises(ConfigurationError, match="FallbackVoiceId"):
        load("turn")
