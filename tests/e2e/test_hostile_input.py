"""What somebody sends who means harm: one answer each, and a conversation beside hears nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.raw import RawClient, opened
from tests.e2e.stack import Stack

pytestmark = pytest.mark.timeout(120)

DEEP = "[" * 12_000 + "]" * 12_000
# What is sent, and the code and field of the answer.
REFUSED: dict[str, tuple[str, str, str | None]] = {
    "a hundred thousand characters": ("x" * 100_000, "too_large", None),
    "brackets without an end": ("[" * 30_000, "bad_request", None),
    "a string without an end": ('"' + '\\"' * 15_000, "bad_request", None),
    "nine levels": ('{"type": "ping", "sent_at": 1, "x": ' + "[" * 8 + "]" * 8 + "}",
                    "bad_request", None),
    "thousands of levels": ('{"type": "ping", "sent_at": 1, "x": ' + DEEP + "}",
                            "bad_request", None),
    "thousands of members": (json.dumps({f"k{n}": 0 for n in range(2_000)}), "bad_request", None),
    "thousands of elements": ('{"type": "end", "x": [' + "0," * 9_000 + "0]}",
                              "bad_request", None),
    "two types": ('{"type": "ping", "type": "end", "sent_at": 1}', "bad_request", None),
    "a name twice, escaped once": ('{"type": "ping", "sent_at": 1, "sent\\u005fat": 2}',
                                   "bad_request", None),
    "a setting twice": ('{"type": "config", "settings": {"speed": 1, "speed": 0.9}}',
                        "bad_request", None),
    "half of a surrogate pair": ('{"type": "user_message", "turn_id": "a", "text": "\\ud800"}',
                                 "bad_request", None),
    "a null character in an id": ('{"type": "user_message", "turn_id": "a\\u0000", "text": "x"}',
                                  "bad_request", "user_message.turn_id"),
    "a line break after an id": ('{"type": "user_message", "turn_id": "a\\n", "text": "x"}',
                                 "bad_request", "user_message.turn_id"),
    "the key of another item": ('{"type": "user_message", "turn_id": "a#META", "text": "x"}',
                                "bad_request", "user_message.turn_id"),
    "a path for a voice": ('{"type": "config", "settings": {"voice": "../v1/voices"}}',
                           "bad_request", "config.settings.voice"),
    "a line break after a voice": ('{"type": "config", "settings": {"voice": "v\\n"}}',
                                   "bad_request", "config.settings.voice"),
    "an integer of 20,000 digits": ('{"type": "ping", "sent_at": ' + "9" * 20_000 + "}",
                                    "bad_request", "ping.sent_at"),
    "a number that is no double": ('{"type": "ping", "sent_at": 1e400}',
                                   "bad_request", "ping.sent_at"),
    "not a number": ('{"type": "ping", "sent_at": NaN}', "bad_request", None),
    "infinity": ('{"type": "ping", "sent_at": -Infinity}', "bad_request", None),
    "a chunk beyond all counting": (
        '{"type": "audio_chunk", "turn_id": "a", "seq": 18446744073709551616, "audio": "AAA="}',
        "bad_request", "audio_chunk.seq"),
    "a chunk of 20,482 bytes": (
        json.dumps({"type": "audio_chunk", "turn_id": "a", "seq": 1, "audio": "AAAA" * 6_827}),
        "bad_request", "audio_chunk.audio"),
    "a time of a million years": ('{"type": "interrupt", "turn_id": "a", "played_ms": 1e17}',
                                  "bad_request", "interrupt.played_ms"),
    "a protocol of 300 digits": ('{"type": "init", "protocol": ' + "9" * 300 + "}",
                                 "bad_request", "init.protocol"),
    "two messages in one": ('{"type": "end"}{"type": "end"}', "bad_request", None),
    "a byte order mark": ('\ufeff{"type": "end"}', "bad_request", None),
}  # fmt: skip
# Frames that API Gateway itself refuses, and the close code.
CLOSED: dict[str, tuple[bytes, bool, int]] = {
    "a text frame that is no UTF-8": (
        b'{"type": "ping", "sent_at": 1, "x": "\xff\xfe"}',
        True,
        1007,
    ),
    "half of a surrogate pair as UTF-8": (b'"\xed\xa0\x80"', True, 1007),
    "a binary frame": (b'{"type": "ping", "sent_at": 1}', False, 1003),
    "more than 128 KB": (b'"' + b"x" * 140_000 + b'"', True, 1009),
}


@asynccontextmanager
async def undisturbed(stack: Stack) -> AsyncIterator[None]:
    """A conversation beside, which goes on for as long as this lasts."""
    over = asyncio.Event()

    async def talk(client: RawClient) -> None:
        while not over.is_set():
            reply = await client.say("Good morning.")
            reply.check_gapless()
            assert (reply.end["reason"], reply.errors) == ("completed", [])

    stack.llm.put(delays={"llm_token_ms": 100})
    async with opened(stack.url) as beside:
        talking = asyncio.create_task(talk(beside))
        yield
        over.set()
        await talking
        assert beside.no_others()


async def test_a_hostile_message_gets_one_error_and_disturbs_no_conversation(
    stack: Stack,
) -> None:
    wrong: dict[str, object] = {}
    async with undisturbed(stack), opened(stack.url) as hostile:
        for name, (frame, code, field) in REFUSED.items():
            error = await hostile.refused(frame)
            if (error["type"], error["code"], error.get("field")) != ("error", code, field):
                wrong[name] = error
            if len(error["message"]) >= 300:
                wrong[name] = "the answer carries the message back"
    assert wrong == {}


async def test_a_hostile_frame_costs_its_sender_the_connection_and_nobody_else(
    stack: Stack,
) -> None:
    codes: dict[str, int | None] = {}
    async with undisturbed(stack):
        for name, (frame, text, _) in CLOSED.items():
            async with connect(stack.url) as hostile:
                await hostile.send(frame, text=text)
                codes[name] = await closed_with(hostile)
    assert codes == {name: code for name, (_, _, code) in CLOSED.items()}


async def closed_with(socket: ClientConnection) -> int | None:
    """The code that a connection is closed with, whatever comes before."""
    async with asyncio.timeout(10):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
