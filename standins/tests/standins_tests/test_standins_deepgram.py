"""The official Deepgram SDK against the stand-in: the contract that both keep."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from standins_tests.conftest import KEY, Standin, Standins

CHUNK = 2_560
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*websockets.*:DeprecationWarning"  # the SDK uses what websockets deprecated
)


@pytest.fixture
def deepgram(shared: Standins) -> Iterator[Standin]:
    standin = shared.vendors["deepgram"]
    standin.reset()
    yield standin
    standin.reset()


def sdk(standin: Standin, http: httpx.AsyncClient, key: str = KEY) -> Any:
    # It costs half a second, which collecting the tests must not.
    from deepgram import AsyncDeepgramClient
    from deepgram.environment import DeepgramClientEnvironment

    sockets = "ws" + standin.url.removeprefix("http")
    return AsyncDeepgramClient(
        api_key=key,
        httpx_client=http,
        environment=DeepgramClientEnvironment(
            base=standin.url, production=sockets, agent=sockets, agent_rest=standin.url
        ),
    )


@pytest.fixture
async def client(deepgram: Standin) -> AsyncIterator[Any]:
    async with httpx.AsyncClient() as http:
        yield sdk(deepgram, http)


async def hear(connection: Any, pcm: bytes) -> None:
    for at in range(0, len(pcm), CHUNK):
        await connection.send_media(pcm[at : at + CHUNK])


async def until(connection: Any, event: str) -> list[Any]:
    """Messages up to and with the first of a turn's event, or of that type."""
    messages: list[Any] = []
    async with asyncio.timeout(15):
        while not messages or event not in (
            messages[-1].type,
            getattr(messages[-1], "event", ""),
        ):
            messages.append(await connection.recv())
    return messages


async def test_a_turn_that_the_client_ends(
    client: Any, deepgram: Standin, speech: Callable[..., bytes]
) -> None:
    pcm = speech("What time is it?")
    async with client.listen.v2.connect(
        model="flux-general-en", encoding="linear16", sample_rate=16_000, eot_threshold=1.0
    ) as connection:
        await hear(connection, pcm)
        await connection.send_force_end_turn()
        messages = await until(connection, "EndOfTurn")
        await connection.send_close_stream()
    last = messages[-1]
    assert messages[0].type == "Connected"
    assert (last.transcript, last.trigger, last.turn_index) == ("What time is it?", "manual", 0)
    assert [word.word for word in last.words] == last.transcript.split()
    assert last.words[-1].end <= last.audio_window_end == pytest.approx(len(pcm) / 32_000, abs=0.01)
    assert [message.sequence_id for message in messages] == list(range(len(messages)))
    assert "StartOfTurn" in [getattr(message, "event", "") for message in messages]
    record = deepgram.ended_record()
    assert deepgram.audio(record["id"], "in") == pcm
    assert KEY not in str(record)


async def test_turns_that_the_model_ends(client: Any, speech: Callable[..., bytes]) -> None:
    pcm = speech("What time is it?")
    async with client.listen.v2.connect(
        model="flux-general-en",
        encoding="linear16",
        sample_rate=16_000,
        eot_threshold=0.7,
        eager_eot_threshold=0.5,
    ) as connection:
        await hear(connection, pcm + bytes(40_000))
        first = await until(connection, "EndOfTurn")
        await hear(connection, pcm + bytes(40_000))
        second = await until(connection, "EndOfTurn")
    assert [(turn[-1].turn_index, turn[-1].trigger) for turn in (first, second)] == [
        (0, "model"),
        (1, "model"),
    ]
    assert first[-1].transcript == second[-1].transcript == "What time is it?"


async def test_a_long_silence_ends_a_turn_that_only_the_client_should(
    client: Any, speech: Callable[..., bytes]
) -> None:
    async with client.listen.v2.connect(
        model="flux-general-en",
        encoding="linear16",
        sample_rate=16_000,
        eot_threshold=1.0,
        eot_timeout_ms=500,
    ) as connection:
        await hear(connection, speech("What time is it?") + bytes(32_000))
        messages = await until(connection, "EndOfTurn")
    assert messages[-1].trigger == "timeout"


async def test_there_is_no_turn_to_end(client: Any) -> None:
    async with client.listen.v2.connect(
        model="flux-general-en", encoding="linear16", sample_rate=16_000
    ) as connection:
        await hear(connection, bytes(16_000))
        await connection.send_force_end_turn()
        messages = await until(connection, "Warning")
    assert messages[-1].code == "FORCE_END_TURN_NO_ACTIVE_TURN"


async def test_the_thresholds_are_changed_or_refused_together(client: Any) -> None:
    async with client.listen.v2.connect(
        model="flux-general-en", encoding="linear16", sample_rate=16_000
    ) as connection:
        await connection.send_configure(
            {"type": "Configure", "thresholds": {"eot_threshold": 0.8, "eot_timeout_ms": 900}}
        )
        changed = (await until(connection, "ConfigureSuccess"))[-1]
        await connection.send_configure(
            {"type": "Configure", "thresholds": {"eot_threshold": 2, "eot_timeout_ms": 1_000}}
        )
        refused = (await until(connection, "ConfigureFailure"))[-1]
    assert (changed.thresholds.eot_threshold, changed.thresholds.eot_timeout_ms) == (0.8, 900)
    assert "eot_threshold" in refused.description


async def test_languages_are_told_by_the_multilingual_model_alone(
    client: Any, deepgram: Standin, speech: Callable[..., bytes]
) -> None:
    deepgram.put(oddities={"languages": ["de", "en"]})
    pcm = speech("What time is it?")
    found: list[Any] = []
    for model, hints in (("flux-general-multi", ["de", "en"]), ("flux-general-en", None)):
        async with client.listen.v2.connect(
            model=model, encoding="linear16", sample_rate=16_000, language_hint=hints
        ) as connection:
            await hear(connection, pcm)
            await connection.send_force_end_turn()
            found.append((await until(connection, "EndOfTurn"))[-1])
    assert (found[0].languages, found[0].languages_hinted) == (["de", "en"], ["de", "en"])
    assert (found[1].languages, found[1].languages_hinted) == (None, None)


async def test_a_wrong_key_is_refused_by_the_handshake_and_by_the_check(
    deepgram: Standin,
) -> None:
    from deepgram.core.api_error import ApiError

    async with httpx.AsyncClient() as http:
        client = sdk(deepgram, http, "wrong")
        with pytest.raises(ApiError) as refused:
            async with client.listen.v2.connect(
                model="flux-general-en", encoding="linear16", sample_rate=16_000
            ):
                raise AssertionError("the socket opened")
        assert refused.value.status_code == 401
        with pytest.raises(ApiError) as unlisted:
            await client.manage.v1.projects.list()
        assert unlisted.value.status_code == 401
        assert (await sdk(deepgram, http).manage.v1.projects.list()).projects
    token = deepgram.http.get("/v1/auth/token", headers={"Authorization": f"Bearer {KEY}"})
    assert (token.status_code, token.json()["err_code"]) == (401, "INVALID_AUTH")
    assert deepgram.http.get("/v1/auth/token", headers={"Authorization": f"Token {KEY}"}).is_success


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("model=nova-3&encoding=linear16&sample_rate=16000", 403),
        ("model=flux-general-en&encoding=linear16", 400),
        ("model=flux-general-en&encoding=linear16&sample_rate=22050", 400),
        ("model=flux-general-en&encoding=flac&sample_rate=16000", 400),
        ("model=flux-general-en&encoding=linear16&sample_rate=16000&language_hint=de", 400),
        ("model=flux-general-multi&encoding=linear16&sample_rate=16000&language_hint=pl", 400),
        ("model=flux-general-en&encoding=linear16&sample_rate=16000&eot_threshold=1.1", 400),
        ("model=flux-general-en&encoding=linear16&sample_rate=16000&language=en", 400),
    ],
)
async def test_a_query_that_is_not_understood_is_refused(
    deepgram: Standin, query: str, status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(
            f"ws{deepgram.url.removeprefix('http')}/v2/listen?{query}",
            additional_headers={"Authorization": f"Token {KEY}"},
        )
    answer = refused.value.response
    assert answer.status_code == status
    assert json.loads(answer.body or b"")["request_id"] == answer.headers["dg-request-id"]


async def test_a_message_that_is_not_known_ends_the_session(deepgram: Standin) -> None:
    async with connect(
        f"ws{deepgram.url.removeprefix('http')}/v2/listen"
        "?model=flux-general-en&encoding=linear16&sample_rate=16000",
        additional_headers={"Authorization": f"Token {KEY}"},
    ) as socket:
        await socket.send('{"type": "KeepAlive"}')
        frames = [json.loads(frame) async for frame in closing(socket)]
    assert [frame["type"] for frame in frames] == ["Connected", "Error"]
    assert frames[-1]["code"] == "UNPARSABLE_CLIENT_MESSAGE"


async def closing(socket: ClientConnection) -> AsyncIterator[str | bytes]:
    """The frames of a socket until it is closed, however that is."""
    async with asyncio.timeout(15):
        while True:
            try:
                yield await socket.recv()
            except ConnectionClosed:
                return


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ({"status": 402}, "402 ASR_PAYMENT_REQUIRED"),
        ({"status": 429, "retry_after": 3}, "429 TOO_MANY_REQUESTS"),
        ({"error_frame": "INTERNAL_SERVER_ERROR"}, "INTERNAL_SERVER_ERROR"),
        ({"garbage": True}, "garbage"),
        ({"cut": 2}, "cut"),
    ],
)
async def test_faults_on_demand(deepgram: Standin, fault: dict[str, Any], seen: str) -> None:
    deepgram.put(faults={"stt": fault})
    assert await fate(deepgram) == seen
    assert await fate(deepgram) == "FORCE_END_TURN_NO_ACTIVE_TURN"


async def fate(deepgram: Standin) -> str:
    """What becomes of an utterance in which nothing is said."""
    try:
        async with connect(
            f"ws{deepgram.url.removeprefix('http')}/v2/listen"
            "?model=flux-general-en&encoding=linear16&sample_rate=16000",
            additional_headers={"Authorization": f"Token {KEY}"},
        ) as socket:
            for _ in range(3):
                await socket.send(bytes(CHUNK))
            await socket.send('{"type": "ForceEndTurn"}')
            while True:
                frame = json.loads(await asyncio.wait_for(socket.recv(), 10))
                if "code" in frame:
                    return str(frame["code"])
    except InvalidStatus as refused:
        answer = refused.response
        return f"{answer.status_code} {json.loads(answer.body or b'')['err_code']}"
    except ConnectionClosed:
        return "cut"
    except ValueError:
        return "garbage"
