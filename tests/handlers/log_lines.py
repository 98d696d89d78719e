"""Runs the functions through whatever can go wrong, in a process whose output is all looked at.

    python -m tests.handlers.log_lines WORDS AUDIO FILE

WORDS and AUDIO are said, FILE gets what the client got.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from parley.aws import management_api
from parley.providers import call
from parley.providers.retry import RetrySchedule
from parley.turn.output import sender
from tests.handlers.loading import QUICK_RETRIES_S, Context, create_secret, event, load
from tests.moto_table import client, create_table, mock_aws, moto_server

NOBODY = "https://127.0.0.1:9/dev"
"""Where a turn's posts go, all in vain."""


def sample(name: str, **body: Any) -> dict[str, Any]:
    """A sample event, with another body if one is given."""
    return {**event(name), "body": json.dumps(body)} if body else event(name)


class Client:
    """The functions as a client reaches them, and what it got."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.message, self.turn, self.http = load("message"), load("turn"), load("http_turn")
        self.message.environment.management_api.post = self._take
        self.message.messages._start_turn = lambda request: None
        self.message.turn_invoker.wake = lambda request: None
        self._now_ms = int(time.time() * 1000)

    def _take(self, _endpoint: str, _connection_id: str, frame: bytes) -> None:
        self.frames.append(json.loads(frame))

    def connect(self) -> None:
        load("connect").handler(sample("connect"), Context())

    def send(self, **body: Any) -> None:
        self.message.handler(sample("message-ping", **body), Context())

    def ask(self, headers: dict[str, str] | None = None, **body: Any) -> None:
        asked = sample("http-turn-typed", **body)
        asked["headers"] |= headers or {}
        asked["requestContext"]["timeEpoch"] = self._now_ms
        self.http.handler(asked, Context())

    def close(self) -> None:
        """Lambda never closes the functions' event loops."""
        self.turn.runner._loop.close()
        self.http.runner._loop.close()


def misbehave(there: Client, table: Any, words: str, audio: str) -> str:
    """Everything that a client may do wrong, then without the table; its resume token."""
    there.connect()
    there.send(type="init", protocol=1)
    session, token = there.frames[0]["session_id"], there.frames[0]["resume_token"]
    there.send(type="init", protocol=1, session_id=session, resume_token=token + words)
    there.send(type="user_message", turn_id="t", text=words)
    there.send(type="user_message", turn_id="t", text=[words])
    there.send(type=words, text=words)
    there.send(type="config", settings={"style": words, "voice": words})
    there.send(type="config", settings={"style": words})
    there.send(type="audio_start", turn_id="t", format=words)
    there.send(type="audio_chunk", turn_id="u", seq=1, audio=audio)
    there.send(type="audio_chunk", turn_id="u", seq=1, audio=audio + "!")
    typed = {**event("turn-typed"), "session": f"default/anonymous/{session}", "text": words}
    typed["endpoint"] = NOBODY
    there.turn.handler(typed, Context())
    there.ask(text=words)
    there.ask(text=[words])
    there.ask(audio=audio)
    there.ask(text=words, session_id=session, resume_token=token)
    there.ask({"x-resume-token": token + words}, text=words, session_id=session)
    table.delete_table(TableName="table")
    there.send(type="user_message", turn_id="t2", text=words)
    there.send(type="audio_chunk", turn_id="u", seq=2, audio=audio)
    there.send(type="config", settings={"style": words})
    there.turn.handler({**typed, "turn_id": "t3"}, Context())
    there.ask(text=words)
    return str(token)


def main() -> None:
    words, audio, file = sys.argv[1:]
    patch.object(call, "RetrySchedule", lambda _: RetrySchedule(QUICK_RETRIES_S)).start()
    # Nobody comes to take a post in 20 seconds either; it is given up as after them.
    patch.object(management_api, "THROTTLE_DELAYS_S", QUICK_RETRIES_S).start()
    patch.object(sender, "REFUSED_GIVE_UP_S", 0.1).start()
    with mock_aws(), moto_server() as url:
        os.environ["AWS_ENDPOINT_URL"] = url
        table = client("dynamodb")
        create_table(table)
        create_secret(client("secretsmanager"))
        there = Client()
        token = misbehave(there, table, words, audio)
        there.close()
    Path(file).write_text(json.dumps({"token": token, "frames": there.frames}))


if __name__ == "__main__":
    main()
