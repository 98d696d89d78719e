"""With every log switched on that there is, nothing secret and nothing of what is said is in any.

The functions run at DEBUG, libraries included, and are made to fail in every way there is a test
for; then their whole output is searched.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake

from tests.e2e.raw import opened, pcm_chunks
from tests.e2e.stack import STANDIN_KEY, Stack, Standins, running_stack

pytestmark = pytest.mark.timeout(180)

LOUD = {
    "AWS_LAMBDA_LOG_LEVEL": "DEBUG",
    "POWERTOOLS_LOGGER_LOG_EVENT": "true",
    "POWERTOOLS_LOG_LEVEL": "DEBUG",
}
SAID = "My favourite colour is ultramarine."
TOKEN_IN_QUERY = "query-token-that-nobody-may-see"
TOKEN_IN_PROTOCOL = "eyJhbGciOiJFUzI1NiJ9.protocol-token-that-nobody-may-see.c2lnbmVk"


@dataclass
class Afterwards:
    """What has been logged, and what must not be in it, by name."""

    log: str
    secrets: dict[str, str]


@pytest.fixture(scope="module")
def loud_stack(tmp_path_factory: pytest.TempPathFactory, standins: Standins) -> Iterator[Stack]:
    with running_stack(
        tmp_path_factory.mktemp("loud"),
        parameters={"LogLevel": "DEBUG"},
        standins=standins,
        variables=LOUD,
    ) as stack:
        yield stack


@pytest.fixture(scope="module")
def afterwards(loud_stack: Stack, speech: Callable[[str], bytes]) -> Afterwards:
    """Conversations of every kind have been held."""
    pcm = speech("What time is it?")
    secrets = asyncio.run(conversations(loud_stack, pcm))
    return Afterwards(loud_stack.logs(), secrets)


async def conversations(stack: Stack, pcm: bytes) -> dict[str, str]:
    """Hold them; returns what must not be logged."""
    async with opened(stack.url) as client:
        typed = await client.say(SAID)
        spoken = await client.speak(pcm, speed=2)
        await client.socket.send('{"type": "user_message", "turn_id": "x", "text": ["ultramarine"]')
        await client.socket.send('{"type": "ultramarine"}')
        await client.socket.send('{"type": "ping", "ultramarine": 1, "ultramarine": 2}')
        for _ in range(3):
            assert (await client.other())["type"] == "error"
        for fault in ({"status": 500, "times": "always"}, {"status": 401, "times": "always"}):
            stack.llm.put(faults={"llm": fault})
            assert (await client.say("Ultramarine, I said.")).end["reason"] == "failed"
        stack.llm.reset()
        for service in ("tts", "stt"):
            stack.elevenlabs.put(faults={service: {"status": 401, "times": "always"}})
            await client.speak(pcm, speed=4)
            stack.elevenlabs.reset()
        ready = client.ready
    async with opened(stack.url, init=False) as back:
        await back.send(type="init", protocol=1, session_id=ready["session_id"],
                        resume_token="a-wrong-resume-token-that-nobody-may-see")  # fmt: skip
        assert (await back.other())["code"] == "resume_denied"
        resumed = await back.init(
            session_id=ready["session_id"], resume_token=ready["resume_token"]
        )
        with stack.without("MessageFunction", "dynamodb:"):
            await back.send(type="user_message", turn_id="lost", text=SAID)
            await back.send(type="config", settings={"style": "Like ultramarine."})
            assert (await back.other())["code"] == "internal"
    with contextlib.suppress(InvalidHandshake):
        async with connect(f"{stack.url}?token={TOKEN_IN_QUERY}"):
            pass
    with contextlib.suppress(InvalidHandshake):
        async with connect(stack.url, subprotocols=["parley", TOKEN_IN_PROTOCOL]):  # type: ignore[list-item]
            pass
    chunk = pcm_chunks(pcm, 400)[1]  # as it was sent
    return {
        "the API key": STANDIN_KEY,
        "a resume token": ready["resume_token"],
        "the next resume token": resumed["resume_token"],
        "a wrong resume token": "resume-token-that-nobody-may-see",
        "a token in the query": TOKEN_IN_QUERY,
        "a token in the subprotocol": "protocol-token-that-nobody-may-see",
        "what was typed": "ltramarine",
        "what was spoken": spoken.transcript.strip(".?! "),
        "the reply to what was typed": typed.text.strip(),
        "the reply to what was spoken": spoken.text.strip(),
        "audio that was sent": base64.b64encode(chunk).decode()[:40],
        "audio that was sent, raw": repr(chunk)[2:60],
        "audio that was heard": base64.b64encode(typed.audio[3000:3300]).decode()[:40],
    }


@pytest.mark.parametrize(
    "name",
    [
        "the API key",
        "a resume token",
        "the next resume token",
        "a wrong resume token",
        "a token in the query",
        "a token in the subprotocol",
        "what was typed",
        "what was spoken",
        "the reply to what was typed",
        "the reply to what was spoken",
        "audio that was sent",
        "audio that was sent, raw",
        "audio that was heard",
    ],
)
def test_it_is_in_no_log(afterwards: Afterwards, name: str) -> None:
    secret = afterwards.secrets[name]
    assert len(secret) > 8
    lines = [line for line in afterwards.log.splitlines() if secret in line]
    assert [line[:300] for line in lines] == []


@pytest.mark.parametrize("event", ["connected", "message_refused", "message_failed", "turn_ended"])
def test_what_happened_is_in_the_log(afterwards: Afterwards, event: str) -> None:
    assert f'"{event}"' in afterwards.log


def test_a_refused_call_of_aws_says_which_and_why(afterwards: Afterwards) -> None:
    lines = [line for line in afterwards.log.splitlines() if '"message_failed"' in line]
    entry = json.loads(lines[0].split(" | ", 1)[1])
    assert entry["aws_code"] == "AccessDeniedException"
    assert entry["aws_operation"]
    assert entry["where"]
