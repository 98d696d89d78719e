"""The Cartesia stand-in: the official SDK against it, and what the SDK does not show."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from standins_tests.conftest import KEY, Standin, Standins

VERSION = "2026-03-01"
VOICE = "694f9389-aac1-45b6-b726-9d9369183238"
OUTPUT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16_000}
SILENCE = bytes(3_200)
Speech = Callable[..., bytes]


@pytest.fixture
def cartesia(shared: Standins) -> Iterator[Standin]:
    standin = shared.vendors["cartesia"]
    standin.reset()
    yield standin
    standin.reset()


@contextlib.asynccontextmanager
async def sdk(standin: Standin) -> AsyncIterator[Any]:
    from cartesia import AsyncCartesia  # half a second that only these tests pay

    sockets = standin.url.replace("http", "ws")
    async with AsyncCartesia(
        api_key=KEY, base_url=standin.url, websocket_base_url=sockets, timeout=20
    ) as client:
        yield client


@contextlib.asynccontextmanager
async def tts(standin: Standin) -> AsyncIterator[Wire]:
    async with connected(standin, "/tts/websocket") as wire:
        yield wire


@contextlib.asynccontextmanager
async def connected(standin: Standin, path: str) -> AsyncIterator[Wire]:
    headers = {"Authorization": f"Bearer {KEY}", "Cartesia-Version": VERSION}
    url = standin.url.replace("http", "ws") + path
    async with connect(url, additional_headers=headers, close_timeout=0.5) as connection:
        yield Wire(connection)


class Wire:
    """A plain socket to the stand-in."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def ask(
        self, transcript: str, context: str = "a", *, continues: bool = True, **fields: Any
    ) -> None:
        await self.connection.send(
            json.dumps(
                {
                    "context_id": context,
                    "model_id": "sonic-3.5",
                    "voice": {"mode": "id", "id": VOICE},
                    "output_format": OUTPUT,
                    "max_buffer_delay_ms": 0,
                    "continue": continues,
                    "transcript": transcript,
                    **fields,
                }
            )
        )

    async def receive(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(self.connection.recv(), 15))
        return frame

    async def until(self, kind: str) -> list[dict[str, Any]]:
        frames = [await self.receive()]
        while frames[-1]["type"] != kind:
            frames.append(await self.receive())
        return frames


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


def words_of(frames: list[Any]) -> list[str]:
    stamps = [f["word_timestamps"] for f in frames if f["type"] == "timestamps"]
    return [word for stamp in stamps for word in stamp["words"]]


# --- the official SDK -------------------------------------------------------------------


async def test_the_sdk_speaks_in_contexts_side_by_side(cartesia: Standin) -> None:
    async with sdk(cartesia) as client, client.tts.websocket_connect() as connection:
        contexts = [
            connection.context(
                name,
                timeout=20,
                model_id="sonic-3.5",
                voice={"mode": "id", "id": VOICE},
                output_format=OUTPUT,
                add_timestamps=True,
                max_buffer_delay_ms=0,
            )
            for name in ("one", "two")
        ]
        for context in contexts:
            await context.push("Good morning, ")
            await context.push("Alice. ")
            await context.no_more_inputs()
        heard = [[event async for event in context.receive()] for context in contexts]
    for name, events in zip(("one", "two"), heard, strict=True):
        assert {event.context_id for event in events} == {name}
        audio = b"".join(event.audio for event in events if event.type == "chunk")
        assert 0.5 < len(audio) / 32_000 < 4
        stamps = [event.word_timestamps for event in events if event.type == "timestamps"]
        assert [word for s in stamps for word in s.words] == ["Good", "morning,", "Alice."]
        starts = [start for s in stamps for start in s.start]
        assert starts == sorted(starts)
        assert starts[-1] * 32_000 < len(audio)
        flushes = [event.flush_id for event in events if event.type == "flush_done"]
        assert (flushes, events[-1].type) == ([1, 2], "done")
    assert len(cartesia.ended_record()["frames"]) > 10
    assert KEY not in str(cartesia.records())


async def test_the_sdk_cancels_a_context(cartesia: Standin) -> None:
    cartesia.put(delays={"tts_realtime_factor": 1})
    async with sdk(cartesia) as client, client.tts.websocket_connect() as connection:
        one, two = (
            connection.context(
                name,
                timeout=20,
                model_id="sonic-3.5",
                voice={"mode": "id", "id": VOICE},
                output_format=OUTPUT,
                max_buffer_delay_ms=0,
            )
            for name in ("one", "two")
        )
        await one.push("This would take a while to say, if anybody wanted to hear it all. ")
        async for event in one.receive():
            assert event.type == "chunk"
            break
        await one.cancel()
        await two.push("Good morning. ")
        await two.no_more_inputs()
        assert [event.type async for event in two.receive()][-1] == "done"
    frames = [record["frame"] for record in cartesia.ended_record()["frames"]]
    since = frames[frames.index({"context_id": "one", "cancel": True}) + 1 :]
    assert {frame["context_id"] for frame in since} == {"two"}


async def test_the_sdk_transcribes_what_it_finalizes(cartesia: Standin, speech: Speech) -> None:
    pcm = speech("How many days are in a week?")
    async with (
        sdk(cartesia) as client,
        client.stt.manual_finalize.websocket(
            model="ink-2", encoding="pcm_s16le", sample_rate=16_000
        ) as connection,
    ):
        for at in range(0, len(pcm), 3200):
            await connection.send_raw(pcm[at : at + 3200])
        await connection.send("finalize")
        finals: list[str] = []
        async with asyncio.timeout(20):
            async for event in connection:
                if event.type == "transcript" and event.is_final:
                    finals.append(event.text)
                if event.type == "flush_done":
                    await connection.send("close")
                if event.type == "done":
                    break
    assert "".join(finals) == " How many days are in a week?"
    record = cartesia.ended_record()
    assert cartesia.audio(record["id"], "in") == pcm


async def test_the_sdk_finds_the_end_of_a_turn(cartesia: Standin, speech: Speech) -> None:
    pcm = speech("How many days are in a week?") + SILENCE * 20
    async with (
        sdk(cartesia) as client,
        client.stt.auto_finalize.websocket(
            model="ink-2", encoding="pcm_s16le", sample_rate=16_000
        ) as connection,
    ):
        for at in range(0, len(pcm), 3200):
            await connection.send_raw(pcm[at : at + 3200])
            # Ten times as quick as a microphone: of audio that is there at once, the end is
            # known before it could be guessed.
            await asyncio.sleep(0.01)
        events: list[Any] = []
        async with asyncio.timeout(20):
            async for event in connection:
                events.append(event)
                if event.type == "turn.end":
                    await connection.send({"type": "close"})
    told = [event.type for event in events]
    assert told[:2] == ["connected", "turn.start"]
    assert told[-1] == "turn.end"
    assert "turn.eager_end" in told
    assert events[-1].transcript == "How many days are in a week?"


async def test_the_sdk_lists_voices_and_makes_tokens(cartesia: Standin) -> None:
    async with sdk(cartesia) as client:
        voices = [voice async for voice in client.voices.list(limit=3)]
        assert VOICE in [voice.id for voice in voices]
        assert len(voices) == len({voice.id for voice in voices}) == 4
        assert (await client.voices.get(VOICE)).id == VOICE
        token = (await client.access_token.create(expires_in=60, grants={"tts": True})).token
    url = f"{cartesia.url.replace('http', 'ws')}/tts/websocket"
    async with connect(f"{url}?access_token={token}&cartesia_version={VERSION}"):
        pass
    assert token not in str(cartesia.records())


async def test_the_sdk_is_told_of_an_unknown_voice(cartesia: Standin) -> None:
    from cartesia import NotFoundError

    async with sdk(cartesia) as client:
        with pytest.raises(NotFoundError):
            await client.voices.get("nobody")


# --- handshakes ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/tts/websocket", "/stt/websocket", "/stt/turns/websocket"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer other", "Cartesia-Version": VERSION}, 401),
        ({"Cartesia-Version": VERSION}, 401),
        ({"Authorization": f"Bearer {KEY}"}, 400),
    ],
)
async def test_a_handshake_without_key_or_version_is_refused(
    cartesia: Standin, path: str, headers: dict[str, str], status: int
) -> None:
    query = "?model=ink-2&encoding=pcm_s16le&sample_rate=16000"
    with pytest.raises(InvalidStatus) as refused:
        await connect(cartesia.url.replace("http", "ws") + path + query, additional_headers=headers)
    assert refused.value.response.status_code == status


async def test_another_way_to_show_the_key(cartesia: Standin) -> None:
    headers = {"X-API-Key": KEY, "Cartesia-Version": VERSION}
    assert httpx.get(f"{cartesia.url}/voices", headers=headers).status_code == 200
    assert httpx.get(cartesia.url).status_code == 200


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/stt/websocket", "model=ink-2&encoding=pcm_s16le&sample_rate=16000&language=de", 400),
        ("/stt/websocket", "model=ink-whisper&encoding=pcm_s16le", 400),
        ("/stt/websocket", "model=whisper&encoding=pcm_s16le&sample_rate=16000", 400),
        ("/stt/websocket", "model=ink-2&encoding=mp3&sample_rate=16000", 400),
        ("/stt/turns/websocket", "model=ink-whisper&encoding=pcm_s16le&sample_rate=16000", 400),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(
    cartesia: Standin, path: str, query: str, status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connected(cartesia, f"{path}?{query}"):
            pass
    assert refused.value.response.status_code == status


# --- synthesis ------------------------------------------------------------------------------


async def test_text_waits_for_more_unless_it_is_flushed(cartesia: Standin) -> None:
    async with tts(cartesia) as wire:
        await wire.ask("Good mor", max_buffer_delay_ms=5000, add_timestamps=True)
        await wire.ask("ning. ", max_buffer_delay_ms=5000, add_timestamps=True, flush=True)
        frames = await wire.until("flush_done")
    assert words_of(frames) == ["Good", "morning."]


async def test_text_that_waited_long_enough_is_spoken(cartesia: Standin) -> None:
    async with tts(cartesia) as wire:
        await wire.ask("Good ", max_buffer_delay_ms=100, add_timestamps=True)
        assert words_of(await wire.until("flush_done")) == ["Good"]


async def test_a_context_dies_after_its_last_audio(cartesia: Standin) -> None:
    cartesia.put(oddities={"tts_context_expiry_s": 0.1})
    async with tts(cartesia) as wire:
        await wire.ask("Good morning. ")
        await wire.until("done")
        await wire.ask("Too late. ")
        error = (await wire.until("error"))[-1]
        await wire.ask("In time. ", context="b", continues=False)
        assert (await wire.until("done"))[-1]["context_id"] == "b"
    assert (error["status_code"], error["context_id"]) == (400, "a")


@pytest.mark.parametrize(
    "fields",
    [
        {"transcript": " "},
        {"transcript": "…!"},
        {"transcript": None},
        {"model_id": "other"},
        {"output_format": {**OUTPUT, "container": "wav"}},
        {"output_format": {**OUTPUT, "sample_rate": 16_001}},
        {"generation_config": {"speed": 2}},
        {"max_buffer_delay_ms": 6000},
    ],
)
async def test_a_request_that_makes_no_sense_is_an_error(
    cartesia: Standin, fields: dict[str, Any]
) -> None:
    async with tts(cartesia) as wire:
        await wire.ask(**{"transcript": "Hello. ", **fields})
        assert (await wire.receive())["status_code"] == 400
        await wire.ask("Hello. ", context="b")
        await wire.until("flush_done")


async def test_an_unknown_voice_is_an_error(cartesia: Standin) -> None:
    async with tts(cartesia) as wire:
        await wire.ask("Hello. ", voice="nobody")
        error = await wire.receive()
    assert (error["status_code"], error["error_code"]) == (404, "voice_not_found")


async def test_a_context_must_not_change(cartesia: Standin) -> None:
    async with tts(cartesia) as wire:
        await wire.ask("Good ")
        await wire.ask("morning. ", model_id="sonic-3")
        assert (await wire.until("error"))[-1]["status_code"] == 400


async def test_a_context_more_than_the_account_may_have_is_refused(cartesia: Standin) -> None:
    cartesia.put(oddities={"tts_max_contexts": 1}, delays={"tts_realtime_factor": 1})
    async with tts(cartesia) as wire:
        await wire.ask("Good morning to all of you. ")
        await wire.ask("Hello. ", context="b")
        error = (await wire.until("error"))[-1]
    assert (error["status_code"], error["error_code"]) == (429, "concurrency_limited")
    assert error["context_id"] == "b"


async def test_tags_are_commands(cartesia: Standin) -> None:
    async with tts(cartesia) as wire:
        await wire.ask('Good <break time="1s"/>morning. ', add_timestamps=True)
        assert words_of(await wire.until("flush_done")) == ["Good", "morning."]


@pytest.mark.parametrize(
    ("oddity", "holds"),
    [
        ({"tts_timestamps": "none"}, lambda frames: "timestamps" not in kinds(frames)),
        ({"tts_timestamps": "before"}, lambda frames: kinds(frames)[0] == "timestamps"),
        ({"tts_timestamps": "after"}, lambda frames: kinds(frames)[0] == "chunk"),
        ({"tts_flush_done": False}, lambda frames: "flush_done" not in kinds(frames)),
        ({"tts_odd_chunks": True}, lambda frames: len(frames[1]["data"]) % 4 == 0),
    ],
)
async def test_oddities_of_the_synthesis(
    cartesia: Standin, oddity: dict[str, Any], holds: Callable[[list[dict[str, Any]]], bool]
) -> None:
    cartesia.put(oddities=oddity)
    async with tts(cartesia) as wire:
        await wire.ask("Good morning. ", add_timestamps=True, continues=False)
        assert holds(await wire.until("done"))


@pytest.mark.parametrize("without", [True, False])
async def test_an_error_on_demand(cartesia: Standin, without: bool) -> None:
    cartesia.put(
        faults={"tts": {"error_frame": "internal_error"}},
        oddities={"tts_error_without_context": without},
    )
    async with tts(cartesia) as wire:
        await wire.ask("Good morning. ")
        error = await wire.receive()
    assert (error["error_code"], "context_id" in error) == ("internal_error", not without)


async def test_a_cut_on_demand(cartesia: Standin) -> None:
    cartesia.put(faults={"tts": {"cut": 2}})
    async with tts(cartesia) as wire:
        await wire.ask("Good morning. ")
        with pytest.raises(ConnectionClosed):
            await wire.until("done")


async def test_an_idle_socket_is_closed(cartesia: Standin) -> None:
    cartesia.put(oddities={"tts_idle_s": 0.1, "stt_idle_s": 0.1})
    async with tts(cartesia) as wire:
        await asyncio.wait_for(wire.connection.wait_closed(), 10)
        assert wire.connection.close_code == 1000


# --- transcription ----------------------------------------------------------------------------

MANUAL = "/stt/websocket?model=ink-2&encoding=pcm_s16le&sample_rate=16000"
TURNS = "/stt/turns/websocket?model=ink-2&encoding=pcm_s16le&sample_rate=16000"


async def test_nothing_that_was_said_is_flushed_too(cartesia: Standin) -> None:
    async with connected(cartesia, MANUAL) as wire:
        await wire.connection.send(SILENCE)
        await wire.connection.send("finalize")
        assert (await wire.receive())["type"] == "flush_done"
        await wire.connection.send("close")
        assert (await wire.receive())["type"] == "done"
        await asyncio.wait_for(wire.connection.wait_closed(), 10)
        assert wire.connection.close_code == 1000


async def test_what_has_become_long_is_final_by_itself(cartesia: Standin, speech: Speech) -> None:
    cartesia.put(oddities={"stt_own_final_s": 1})
    pcm = speech("How many days are in a week? How many hours are in a day?")
    async with connected(cartesia, MANUAL) as wire:
        for at in range(0, len(pcm), 3200):
            await wire.connection.send(pcm[at : at + 3200])
        await wire.connection.send("finalize")
        frames = await wire.until("flush_done")
    finals = [frame["text"] for frame in frames if frame.get("is_final")]
    assert len(finals) > 1
    assert all(text.startswith(" ") for text in finals)


@pytest.mark.parametrize("path", [MANUAL, TURNS])
async def test_a_text_that_is_no_command_ends_the_connection(cartesia: Standin, path: str) -> None:
    async with connected(cartesia, path) as wire:
        await wire.connection.send("hello")
        assert (await wire.until("error"))[-1]["status_code"] == 400
        await asyncio.wait_for(wire.connection.wait_closed(), 10)


async def test_a_turn_has_no_end_while_no_audio_comes(cartesia: Standin, speech: Speech) -> None:
    async with connected(cartesia, TURNS) as wire:
        await wire.connection.send(speech("How many days are in a week?"))
        await wire.until("turn.update")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                frames = await wire.until("turn.end")
                raise AssertionError(frames)
        await wire.connection.send(SILENCE * 10)
        assert (await wire.until("turn.end"))[-1]["transcript"]


async def test_a_socket_more_than_the_account_may_have_is_refused(cartesia: Standin) -> None:
    cartesia.put(oddities={"stt_max_sockets": 1})
    async with connected(cartesia, MANUAL):
        with pytest.raises(InvalidStatus) as refused:
            async with connected(cartesia, MANUAL):
                pass
    assert refused.value.response.status_code == 429
    assert b"concurrency_limited" in refused.value.response.body
