"""Every limit over the real socket: answered as documented, and gone after `retry_after_ms`.

Beside whoever meets a limit, somebody else's conversation goes on.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from parley_client import Conversation, TurnFailed
from tests.e2e.accounts import Accounts
from tests.e2e.http_api import url_of
from tests.e2e.knocking import javascript_client
from tests.e2e.raw import Event, RawClient, opened
from tests.e2e.records import Records
from tests.e2e.stack import Stack, Standins, running_stack

pytestmark = pytest.mark.timeout(120)

CONNECTIONS = 5
TURNS_PER_MINUTE = 6
"""A third of them at once: two, and one more every ten seconds."""
AT_ONCE, INTERVAL_MS = 2, 10_000
SESSIONS_PER_MINUTE, READS_PER_MINUTE = 6, 60
AUDIO_S, SPEECH_S = 60, 60
UTTERANCE_S = 6
ROOM = 1 + 10 * UTTERANCE_S
"""Messages that may come at once: the rate of one a second, and an utterance in chunks."""
DAY_S = 86_400


@pytest.fixture(scope="module")
def limited_stack(tmp_path_factory: pytest.TempPathFactory, standins: Standins) -> Iterator[Stack]:
    parameters = {
        "ConnectionsPerTenant": CONNECTIONS,
        "TurnsPerMinutePerSubject": TURNS_PER_MINUTE,
        "TurnsPerMinutePerTenant": 60,
        "AudioSecondsPerDayPerSubject": AUDIO_S,
        "SpeechSecondsPerDayPerSubject": SPEECH_S,
        "AudioSecondsPerDayPerTenant": 0,
        "SpeechSecondsPerDayPerTenant": 0,
        "SessionsPerMinutePerSubject": SESSIONS_PER_MINUTE,
        "ReadsPerMinutePerTenant": READS_PER_MINUTE,
        "MessagesPerSecond": 1,
        "MessageBytes": 30_000,
        "UtteranceSeconds": UTTERANCE_S,
        "ListenTimeoutSeconds": 3,
    }
    with running_stack(
        tmp_path_factory.mktemp("limited"),
        parameters={name: str(value) for name, value in parameters.items()},
        standins=standins,
    ) as stack:
        yield stack


@pytest.fixture(scope="module")
def accounts(limited_stack: Stack) -> Accounts:
    return Accounts(limited_stack)


@asynccontextmanager
async def undisturbed(accounts: Accounts, tenant: str = "") -> AsyncIterator[None]:
    """Somebody else holds a conversation meanwhile, and another turn of it afterwards."""
    async with accounts.opened(tenant=tenant) as other:
        talking = asyncio.create_task(other.say("Good morning."))
        yield
        reply = await talking
        assert reply.end["reason"] == "completed"
        assert reply.errors == []
        assert (await other.say("And again.")).end["reason"] == "completed"
        assert other.no_others()


def limit_of(error: Event) -> tuple[str, int, str]:
    limit = error["limit"]
    return limit["name"], limit["value"], limit["scope"]


async def passed(error: Event) -> None:
    """Wait for as long as an error says."""
    await asyncio.sleep(error["retry_after_ms"] / 1000)


async def test_a_flood_of_turns_is_refused_until_a_turn_has_come_back(
    accounts: Accounts,
) -> None:
    async with undisturbed(accounts), accounts.opened() as client:
        turns = [f"flood{number}" for number in range(6)]
        began = time.monotonic()
        for turn in turns:
            await client.send(type="user_message", turn_id=turn, text="Good morning.")
        ends = [(await client.ended(turn)) for turn in turns]
        came_back = int((time.monotonic() - began) * 1000 / INTERVAL_MS)
        refused = [reply for reply in ends if reply.end.get("code") == "rate_limited"]
        assert len(turns) - AT_ONCE - came_back <= len(refused) <= len(turns) - AT_ONCE
        for reply in refused:
            reply.check_gapless()
            assert (reply.end["reason"], reply.end["retryable"]) == ("failed", True)
            (error,) = reply.errors
            assert (error["code"], error["retryable"]) == ("rate_limited", True)
            assert limit_of(error) == ("turns_per_minute", TURNS_PER_MINUTE, "subject")
            assert 0 < error["retry_after_ms"] <= INTERVAL_MS
        await passed(refused[-1].errors[0])
        again = await client.say("Good morning.", refused[-1].turn_id + "-again")
        assert again.end["reason"] == "completed"


async def test_a_tenant_s_turns_are_for_all_its_subjects(accounts: Accounts) -> None:
    tenant = "crowded"
    async with undisturbed(accounts), accounts.opened(tenant=tenant) as client:
        full_at = int(time.time() * 1000) + 23_000  # sixty a minute, of which twenty at once
        accounts.set_usage(tenant, full_at=full_at)
        refused = await client.say("Good morning.")
        (error,) = refused.errors
        assert limit_of(error) == ("turns_per_minute", 60, "tenant")
        assert 0 < error["retry_after_ms"] <= 4_000
        await passed(error)
        assert (await client.say("Good morning.")).end["reason"] == "completed"


async def test_the_python_client_says_when_to_try_again_and_then_it_works(
    limited_stack: Stack, accounts: Accounts
) -> None:
    async with Conversation.connect(limited_stack.url) as conversation:
        accounts.set_usage("default", full_at=int(time.time() * 1000) + 22_000)
        turn = conversation.say("Good morning.")
        with pytest.raises(TurnFailed) as failed:
            await turn
        assert (failed.value.code, failed.value.retryable) == ("rate_limited", True)
        assert failed.value.retry_after_ms is not None
        await asyncio.sleep(failed.value.retry_after_ms / 1000)
        assert (await turn.retry()).reason == "completed"


async def use_up(client: RawClient, say: Callable[[], Any]) -> Event:
    """Hold turns until one is refused, waiting for as long as the rate of turns asks."""
    while True:
        reply = await say()
        if reply.end["reason"] == "completed":
            continue
        (error,) = reply.errors
        if error["code"] == "quota_exceeded":
            assert (reply.end["code"], reply.end["retryable"]) == ("quota_exceeded", True)
            return dict(error)
        await passed(error)


async def test_a_day_s_speech_is_used_up_and_comes_back_the_next_day(accounts: Accounts) -> None:
    async with undisturbed(accounts), accounts.opened("ann", "acme") as client:
        await client.say("Good morning.")
        assert int(accounts.usage("acme/ann")["speech_ms"]["N"]) > 500
        accounts.set_usage("acme/ann", speech_ms=SPEECH_S * 1000 - 1)
        error = await use_up(client, lambda: client.say("Good morning."))
        assert limit_of(error) == ("speech_seconds_per_day", SPEECH_S, "subject")
        assert 0 < error["retry_after_ms"] <= DAY_S * 1000
        used = accounts.usage("acme/ann")
        assert int(used["speech_ms"]["N"]) >= SPEECH_S * 1000
        assert accounts.usage("acme").get("speech_ms") is None, "the tenant has no quota"
        # Midnight.
        accounts.set_usage("acme/ann", used_on=int(used["used_on"]["N"]) - 1, full_at=0)
        assert (await client.say("Good morning.")).end["reason"] == "completed"


async def test_a_day_s_listening_is_used_up_and_typing_goes_on(
    accounts: Accounts, speech: Callable[[str], bytes]
) -> None:
    pcm = speech("What time is it?")
    async with undisturbed(accounts), accounts.opened("ben", "acme") as client:
        await client.speak(pcm, chunk_ms=500, speed=4)
        heard_ms = int(accounts.usage("acme/ben")["audio_ms"]["N"])
        assert heard_ms == round(len(pcm) / 32)
        day = int(accounts.usage("acme/ben")["used_on"]["N"])
        accounts.set_usage("acme/ben", audio_ms=AUDIO_S * 1000, speech_ms=0, used_on=day)
        refused = await client.speak(pcm, chunk_ms=500, speed=4)
        (error,) = refused.errors
        assert error["code"] == "quota_exceeded"
        assert limit_of(error) == ("audio_seconds_per_day", AUDIO_S, "subject")
        accounts.set_usage("acme/ben", full_at=0)
        assert (await client.say("Good morning.")).end["reason"] == "completed"


async def test_an_utterance_that_is_too_long_is_answered_until_there(
    accounts: Accounts, speech: Callable[[str], bytes]
) -> None:
    words = speech("What time is it?")
    pcm = words + bytes(32_000 * (UTTERANCE_S + 2) - len(words))
    async with undisturbed(accounts), accounts.opened() as client:
        reply = await client.speak(pcm, chunk_ms=500, speed=4)
    (error,) = reply.errors
    assert (error["code"], error["retryable"]) == ("too_large", False)
    assert limit_of(error) == ("utterance_seconds", UTTERANCE_S, "connection")
    assert reply.end["reason"] == "completed"
    assert "time" in reply.transcript.lower()


async def test_a_message_that_is_too_large_is_refused(accounts: Accounts) -> None:
    async with accounts.opened() as client:
        assert client.ready["limits"]["max_message_bytes"] == 30_000
        await client.send(type="user_message", turn_id="t", text="x" * 7_000, padding="x" * 23_000)
        error = await client.other()
        assert (error["code"], error["type"]) == ("too_large", "error")
        assert "30,000" in error["message"]


async def test_more_connections_than_may_be_are_refused_at_the_handshake(
    limited_stack: Stack, accounts: Accounts
) -> None:
    await accounts.nobody_connected()
    async with AsyncExitStack() as open_ones, accounts.opened() as first:
        for _ in range(CONNECTIONS - 2):
            await open_ones.enter_async_context(opened(limited_stack.url))
        async with opened(limited_stack.url):
            for _ in range(3):
                with pytest.raises(InvalidStatus) as refused:
                    async with opened(limited_stack.url, init=False):
                        pass
                assert refused.value.response.status_code == 429
            assert (await first.say("Good morning.")).end["reason"] == "completed"
        await connected_again(limited_stack.url)
    await accounts.nobody_connected()


async def test_sessions_that_are_opened_too_often_are_refused_until_one_has_come_back(
    accounts: Accounts,
) -> None:
    async with undisturbed(accounts), accounts.connected("eve", "acme") as client:
        # Six a minute, of which as many at once as there may be connections: ten.
        accounts.set_usage("acme/eve", "SESSIONS", full_at=int(time.time() * 1000) + 102_000)
        await client.send(type="init", protocol=1)
        error = await client.other()
        assert (error["code"], error["retryable"]) == ("rate_limited", True)
        assert limit_of(error) == ("sessions_per_minute", SESSIONS_PER_MINUTE, "subject")
        assert 0 < error["retry_after_ms"] <= 12_000
        await passed(error)
        await client.init()
        assert (await client.say("Good morning.")).end["reason"] == "completed"


async def test_transcripts_that_are_read_too_often_are_refused_and_say_until_when(
    limited_stack: Stack, accounts: Accounts
) -> None:
    async with opened(limited_stack.url) as client:
        records = Records(limited_stack)
        accounts.set_usage("default", "READS", full_at=int(time.time() * 1000) + 22_000)
        refused = await records.of(client)
        assert (refused.status, refused.json["code"]) == (429, "rate_limited")
        assert limit_of(refused.json) == ("reads_per_minute", READS_PER_MINUTE, "tenant")
        assert int(refused.headers["retry-after"]) == -(-refused.json["retry_after_ms"] // 1000)
        await passed(refused.json)
        assert (await records.of(client)).status == 200


async def test_a_page_whose_handshakes_are_one_too_many_goes_on_over_http(
    limited_stack: Stack, accounts: Accounts
) -> None:
    await accounts.nobody_connected()
    async with AsyncExitStack() as open_ones:
        for _ in range(CONNECTIONS):
            await open_ones.enter_async_context(opened(limited_stack.url))
        came = await asyncio.to_thread(
            javascript_client, limited_stack, http_url=url_of(limited_stack)
        )
        assert (came["type"], came["transport"]) == ("ready", "http")
    await accounts.nobody_connected()


async def connected_again(url: str) -> None:
    """Connect, once API Gateway has told of another connection's end."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(InvalidStatus):
                async with opened(url):
                    return
            await asyncio.sleep(0.2)


async def nothing(_: int) -> None:
    """Send nothing but the pings."""


async def slowed_down(client: RawClient, send: Callable[[int], Any] = nothing) -> Event:
    """Send until a client is told that it is too much, and wait for as long as it says.

    What comes at once starts functions, and each counts for itself: a ping after every third
    message is answered before the next is sent.
    """
    for number in range(1, 30 * ROOM):  # several functions may have started before
        await send(number)
        if number % 3 and send is not nothing:
            continue
        await client.send(type="ping", sent_at=number)
        answer = await client.other()
        if answer["type"] == "error":
            assert number >= 20
            await passed(answer)
            return answer
    raise AssertionError("nothing was too much")


async def test_messages_that_come_too_fast_are_dropped_until_the_client_has_waited(
    accounts: Accounts,
) -> None:
    async with undisturbed(accounts), accounts.opened() as client:
        error = await slowed_down(client)
        assert (error["code"], error["retryable"]) == ("rate_limited", True)
        assert limit_of(error) == ("messages_per_second", 1, "connection")
        await client.send(type="ping", sent_at=-2)
        while (answer := await client.other()).get("sent_at") != -2:
            if answer["type"] == "error":  # another function, which counts for itself
                await passed(answer)
                await client.send(type="ping", sent_at=-2)


async def test_audio_that_nobody_can_speak_so_fast_for_a_turn_of_somebody_else(
    accounts: Accounts, speech: Callable[[str], bytes]
) -> None:
    chunk = base64.b64encode(bytes(20_000)).decode()
    async with accounts.opened() as client, accounts.opened() as other:
        turn = other.new_turn_id()
        talking = asyncio.create_task(other.speak(speech("What time is it?"), turn, chunk_ms=500))
        error = await slowed_down(
            client,
            lambda seq: client.send(type="audio_chunk", turn_id=turn, seq=seq, audio=chunk),
        )
        assert error["code"] == "rate_limited"  # of bytes, or on a slow machine of messages
        assert error["limit"]["name"] in ("bytes_per_second", "messages_per_second")
        reply = await talking
        assert reply.end["reason"] == "completed"
        assert "time" in reply.transcript.lower()
        assert reply.errors == []
        assert (await client.say("Good morning.")).end["reason"] == "completed"


async def flood(client: RawClient) -> None:
    """Send much more than may be, in the beat of the answers, and in it when none comes any more:
    many functions would share what comes faster, and each counts for itself."""
    took_s: list[float] = []
    answered = True
    for number in range(3_000):
        began = time.monotonic()
        await client.send(type="ping", sent_at=number)
        if answered:
            answered = (await client.other())["type"] == "pong"
            took_s.append(time.monotonic() - began)
        else:
            await asyncio.sleep(2 * statistics.median(took_s))


async def test_a_connection_that_goes_on_flooding_is_closed_and_its_session_may_come_back(
    limited_stack: Stack, accounts: Accounts
) -> None:
    async with undisturbed(accounts):
        async with opened(limited_stack.url) as client:
            with pytest.raises(ConnectionClosed):
                await flood(client)
            session = {name: client.ready[name] for name in ("session_id", "resume_token")}
        async with opened(limited_stack.url, **session) as back:
            assert back.ready["resumed"] is True
            assert (await back.say("Good morning.")).end["reason"] == "completed"
