"""An outbox leaves one post at a time, in order, early, and as few as it can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from parley.errors import ConnectionGone, ParleyError
from parley.outbox import TEXT_INTERVAL_S, Outbox
from parley.posting import Poster
from parley.protocol import Audio, Metrics, ReplyText, ServerEvent
from tests.unit.fakes import DEADLINE_S, Wire, until


class Office:
    """An outbox, its poster at work, and the connection."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.outbox = Outbox("t", "pcm_24000")
        self.posted: list[ServerEvent] = []
        self.poster = Poster(self.outbox, self.wire.post, self.posted.append)

    def text(self, delta: str) -> None:
        self.outbox.text(delta, asyncio.get_running_loop().time())
        self.poster.wake()

    def audio(self, pcm: bytes) -> None:
        self.outbox.audio(pcm, [], asyncio.get_running_loop().time())
        self.poster.wake()

    async def drained(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self.poster.drained()


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    found = Office()
    running = asyncio.create_task(found.poster.run())
    yield found
    running.cancel()


async def test_what_is_put_in_is_posted_in_order(office: Office) -> None:
    office.outbox.transcript("Hello?", final=True)
    office.text("Hi.")
    office.audio(bytes(96_000))
    office.outbox.error(ParleyError("speech_failed", "No."))
    await office.drained()
    await office.poster.post(office.outbox.end("completed", "Hi.", Metrics()))
    assert office.wire.end.text == "Hi."
    assert office.posted == office.wire.events
    assert office.poster.posts == len(office.posted)
    assert sum(len(event.audio) for event in office.wire.of(Audio)) == 96_000


async def test_what_gathers_while_a_post_is_under_way_leaves_as_one(office: Office) -> None:
    office.wire.open.clear()
    office.text("a")
    await until(lambda: office.wire.posting)
    for delta in "bcdefgh":
        office.text(delta)
    office.wire.open.set()
    await office.drained()
    assert [event.delta for event in office.wire.of(ReplyText)] == ["a", "bcdefgh"]


async def test_text_that_was_held_back_leaves_by_itself(office: Office) -> None:
    office.text("a")
    await until(lambda: office.posted)
    office.text("b")
    await until(lambda: len(office.posted) == 2)
    first, second = office.wire.at_s
    assert second - first >= TEXT_INTERVAL_S - 0.02


async def test_draining_holds_nothing_back(office: Office) -> None:
    office.text("a")
    await until(lambda: office.posted)
    office.text("b")
    office.audio(bytes(100))
    await office.drained()
    assert office.outbox.is_empty()
    assert len(office.posted) == 3


async def test_draining_waits_for_the_post_that_is_under_way(office: Office) -> None:
    office.wire.open.clear()
    office.text("a")
    await until(lambda: office.wire.posting)
    draining = asyncio.create_task(office.drained())
    await asyncio.sleep(0.05)
    assert not draining.done()
    office.wire.open.set()
    await draining
    assert len(office.wire.events) == 1


async def test_an_empty_outbox_is_drained_at_once(office: Office) -> None:
    await office.drained()
    await office.drained()
    assert office.wire.events == []


async def test_a_connection_that_is_gone_is_not_posted_to_again(office: Office) -> None:
    office.wire.gone_after = 1
    office.text("a")
    await until(lambda: office.posted)
    for _ in range(3):
        office.audio(bytes(9600))
        await office.drained()
    assert office.poster.gone
    assert (office.poster.posts, len(office.wire.frames)) == (1, 1)


async def test_posting_to_a_gone_connection_is_quick_and_quiet(office: Office) -> None:
    calls = 0

    async def post(_frame: bytes) -> None:
        nonlocal calls
        calls += 1
        raise ConnectionGone

    poster = Poster(office.outbox, post, office.posted.append)
    for _ in range(5):
        await poster.post(office.outbox.end("completed", "", Metrics()))
    assert (calls, office.posted) == (1, [])
